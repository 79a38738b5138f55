"""Progress of a long run: the stage, its rows and the time so far, redrawn on a terminal, plain lines elsewhere.

    with stage("ingest") as at:
        at.rows(1_000_000)          # so far; may be called again

On a terminal one line is redrawn while the stage is at work, and stays when it ends. Of stages side by side, and into a file or a
scheduler's log go two plain lines a stage, and one a minute between them, so that a log shows where a run hangs; with
`--log-format json` each is a JSON object with stage, state, rows, seconds and the runs it made. All of it goes to stderr:
stdout belongs to what a command answers.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from pipelines.runtime import logs
from transforms.common.processes import within

if TYPE_CHECKING:
    from rich.progress import TaskID

EVERY = 60.0
CURRENT = "current"
STAGES = "NIGHTSHELF_STAGES"  # environment: the stages of the command at work


@dataclass(frozen=True)
class Numbered:
    """The stages of a command that has several: which one is at work, and about how long the rest will take.

    Processes that the command starts number theirs alike: they are told in the environment.

    Attributes:
        names: of the stages to come, in order.
        seconds: about how long each takes; only their ratios count.
        began: when the first could begin, on the clock that stages are timed by.
    """

    names: tuple[str, ...] = ()
    seconds: tuple[float, ...] = ()
    began: float = 0.0

    @classmethod
    def now(cls) -> Numbered:
        """Those of the command at work; of none where it has not said."""
        stages = os.environ.get(STAGES)
        if not stages:
            return cls()
        names, seconds, began = json.loads(stages)
        return cls(tuple(names), tuple(seconds), began)

    def place(self, name: str) -> str:
        """`3 of 12 `, "" for a stage that nobody foresaw."""
        return f"{self.names.index(name) + 1} of {len(self.names)} " if name in self.names else ""

    def left(self, name: str, now: float) -> float | None:
        """Seconds until the last stage ends, when this one has: those expected of the rest, at the pace so far.

        None for a stage that nobody foresaw, and where nothing is left.

        >>> steps = Numbered(("a", "b", "c"), (1.0, 2.0, 3.0))
        >>> steps.left("a", 10.0), steps.left("b", 15.0), steps.left("c", 30.0)
        (50.0, 15.0, None)
        """
        if name not in self.names:
            return None
        at = self.names.index(name) + 1
        rest, done = sum(self.seconds[at:]), sum(self.seconds[:at])
        return rest * (now - self.began) / done if rest and done else None


@contextmanager
def numbered(
    names: Sequence[str], seconds: Sequence[float], clock: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """Number the stages that are shown inside the block, and say with each that ends how long the rest will take."""
    before = os.environ.get(STAGES)
    os.environ[STAGES] = json.dumps([list(names), list(seconds), clock()])
    try:
        yield
    finally:
        if before is None:
            del os.environ[STAGES]
        else:
            os.environ[STAGES] = before


def roughly(value: float) -> str:
    """A duration that is a guess.

    >>> roughly(7.0), roughly(75), roughly(5000)
    ('10 s', '1 min', '1 h 25 min')
    """
    if value < 55:
        return f"{max(10, round(value / 10) * 10)} s"
    minutes = round(value / 60)
    if minutes < 60:
        return f"{minutes} min"
    minutes = round(minutes / 5) * 5
    return f"{minutes // 60} h {minutes % 60} min"


_SILENT: ContextVar[bool] = ContextVar("stages are not shown", default=False)


@contextmanager
def silent() -> Iterator[None]:
    """Show no stage inside the block: it only finds out what they would do."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


_AT: ContextVar[Stage | None] = ContextVar("stage", default=None)


def working() -> None:
    """Note that the stage has something to do: a job is started in it."""
    at = _AT.get()
    if at is not None:
        at.work()


def made(runs: Sequence[str]) -> None:
    """Note the runs that the stage at work has made."""
    at = _AT.get()
    if at is not None:
        at.runs.extend(runs)


class Stage:
    """What a stage reports: `rows(n)` so far."""

    def __init__(
        self,
        name: str,
        began: float,
        changed: Callable[[Stage], None] = lambda stage: None,
        works: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.count: int | None = None
        self.runs: list[str] = []
        self.at_work = False
        self.steps = Numbered.now()
        self.shown = self.steps.place(name) + name
        self.began = began
        self._changed = changed
        self._works = works

    def work(self) -> None:
        """Say that there is something to do."""
        if not self.at_work:
            self.at_work = True
            self._works()

    def rows(self, n: int) -> None:
        """Say how many rows there are so far."""
        self.count = n
        self._changed(self)

    def left(self, now: float) -> str:
        """`, about 3 min left`."""
        left = self.steps.left(self.name, now)
        return "" if left is None else f", about {roughly(left)} left"

    def fields(self, now: float, state: str) -> dict[str, object]:
        """What a JSON line says of it."""
        took, left = round(now - self.began, 3), self.steps.left(self.name, now) if state == "done" else None
        known = self.name in self.steps.names
        return {
            "stage": self.name,
            "state": state,
            "rows": self.count,
            "seconds": took,
            "run": self.runs or None,
            "step": self.steps.names.index(self.name) + 1 if known else None,
            "steps": len(self.steps.names) if known else None,
            "seconds_left": None if left is None else round(left),
        }

    def line(self, now: float, state: str) -> str:
        """`3 of 12 features 2026-01-01 to 2026-01-31: 1,234 rows, 12.3 s, done, about 2 min left`."""
        if state == CURRENT:
            return f"{self.shown}: {state}"
        rows = f"{self.count:,} rows, " if self.count is not None else ""
        left = self.left(now) if state == "done" else ""
        return f"{self.shown}: {rows}{seconds(now - self.began)}, {state}{left}"


def seconds(value: float) -> str:
    """A duration for people.

    >>> seconds(3.21), seconds(75), seconds(3700)
    ('3.2 s', '1 min 15 s', '1 h 1 min')
    """
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60)} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60)} min"


def stopwatch(clock: Callable[[], float] = time.monotonic) -> Callable[[], str]:
    """Start one: asked, it says how long ago that was, for people."""
    began = clock()
    return lambda: seconds(clock() - began)


@contextmanager
def stage(
    name: str,
    out: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
    every: float = EVERY,
    *,
    makes: bool = False,
) -> Iterator[Stage]:
    """Show a stage while the block is at work; a block that raises is shown as failed.

    Args:
        name: what to show; no personal id.
        makes: the block starts a job where there is something to make; where it starts none, the stage is shown as current.
        out: where to; stderr by default. Redrawn if it is a terminal.
        clock: seconds.
        every: seconds between the plain lines of a stage at work.
    """
    if _SILENT.get():
        yield Stage(name, clock())
        return
    out = out if out is not None else sys.stderr
    redrawn = out.isatty() and not logs.as_json() and not within()
    shown = _on_terminal if redrawn else _in_lines
    with shown(name, out, clock, every, makes) as at:
        token = _AT.set(at)
        try:
            yield at
        finally:
            _AT.reset(token)


@contextmanager
def _in_lines(name: str, out: TextIO, clock: Callable[[], float], every: float, makes: bool) -> Iterator[Stage]:
    def starts() -> None:
        fields = at.fields(at.began, "started")
        event = {k: fields[k] for k in ("stage", "state", "step", "steps")}
        logs.say("INFO", f"{at.shown}: started", out, **event)

    at = Stage(name, clock(), works=starts)
    over = threading.Event()

    def say(state: str, now: float) -> None:
        message = at.line(now, state)
        logs.say("ERROR" if state == "failed" else "INFO", message, out, **at.fields(now, state))

    def beat() -> None:
        while not over.wait(every):
            if at.at_work:
                say("at work", clock())

    beats = threading.Thread(target=beat, daemon=True)
    if not makes:
        at.work()
    beats.start()
    state = "failed"
    try:
        yield at
        state = "done" if at.at_work else CURRENT
    finally:
        over.set()
        beats.join()
        now = clock()
        say(state, now)


@contextmanager
def _on_terminal(name: str, out: TextIO, clock: Callable[[], float], every: float, makes: bool) -> Iterator[Stage]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        SpinnerColumn(finished_text="[green]✓[/green]"),
        TextColumn("{task.description}"),
        TextColumn("[dim]{task.fields[rows]}[/dim]"),
        TimeElapsedColumn(),
        console=Console(file=out),
        refresh_per_second=4,
    )
    at = Stage(name, clock())
    task: TaskID = bar.add_task(at.shown, total=1, rows="")

    def said() -> str:
        return f"{at.count:,} rows" if at.count is not None else ""

    at._changed = lambda at: bar.update(task, rows=said())
    if not makes:
        at.work()
    with bar:
        try:
            yield at
        except BaseException:
            bar.update(task, description=f"[red]{at.shown}: failed[/red]")
            raise
        words = (said() + at.left(clock())).removeprefix(", ") if at.at_work else CURRENT
        bar.update(task, rows=words, completed=1)
