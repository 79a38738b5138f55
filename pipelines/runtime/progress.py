"""Progress of a long run: the stage, its rows and the time so far, redrawn on a terminal, plain lines elsewhere.

    with stage("ingest") as at:
        at.rows(1_000_000)          # so far; may be called again

On a terminal one line is redrawn while the stage is at work, and stays when it ends. Of stages side by side, and into a file or a
scheduler's log go two plain lines a stage, and one a minute between them, so that a log shows where a run hangs; with
`--log-format json` each is a JSON object with stage, state, rows, seconds and the runs it made. All of it goes to stderr:
stdout belongs to what a command answers.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO

from pipelines.runtime import logs
from transforms.common.processes import within

if TYPE_CHECKING:
    from rich.progress import TaskID

EVERY = 60.0
CURRENT = "current"


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
        self._began = began
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

    def fields(self, now: float, state: str) -> dict[str, object]:
        """What a JSON line says of it."""
        took = round(now - self._began, 3)
        return {"stage": self.name, "state": state, "rows": self.count, "seconds": took, "run": self.runs or None}

    def line(self, now: float, state: str) -> str:
        """`features 2026-01-01 to 2026-01-31: 1,234 rows, 12.3 s, done`."""
        if state == CURRENT:
            return f"{self.name}: {state}"
        rows = f"{self.count:,} rows, " if self.count is not None else ""
        return f"{self.name}: {rows}{seconds(now - self._began)}, {state}"


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
        logs.say("INFO", f"{name}: started", out, stage=name, state="started")

    at = Stage(name, clock(), works=starts)
    over = threading.Event()

    def say(state: str) -> None:
        now = clock()
        message = at.line(now, state)
        logs.say("ERROR" if state == "failed" else "INFO", message, out, **at.fields(now, state))

    def beat() -> None:
        while not over.wait(every):
            if at.at_work:
                say("at work")

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
        say(state)


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
    task: TaskID = bar.add_task(name, total=1, rows="")

    def changed(at: Stage) -> None:
        bar.update(task, rows=f"{at.count:,} rows")

    at = Stage(name, clock(), changed)
    if not makes:
        at.work()
    with bar:
        try:
            yield at
        except BaseException:
            bar.update(task, description=f"[red]{name}: failed[/red]")
            raise
        if not at.at_work:
            bar.update(task, rows=CURRENT)
        bar.update(task, completed=1)
