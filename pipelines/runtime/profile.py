"""Where a command's time goes: `--profile FOLDER` looks at the stacks of all threads a hundred times a second.

    jobs.json       every job: seconds, processor seconds, peak memory, and its parts
    functions.txt   functions by the time spent in them and in what they called, share of all samples
    stacks.folded   one line a stack, `a;b;c 12`, as flame-graph tools read them

Looking costs about a percent, where counting every call would change what is measured. A thread that waits (for a lock, a
queue, another process) is not counted; time inside a library stands at the line that called it. Jobs in other processes of
this machine are looked at there; what a cluster's workers do is not seen.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from transforms.tables.records import Record

EVERY_S = 0.01
WAITING = {
    ("threading", "wait"),
    ("threading", "_wait_for_tstate_lock"),
    ("queue", "get"),
    ("selectors", "select"),
    ("concurrent.futures.thread", "_worker"),
    ("subprocess", "_try_wait"),
    ("grpc._channel", "_next"),
}


_AT_WORK: list[Sampler] = []


def at_work() -> Sampler | None:
    """Who looks now, if anybody does; the stacks of other processes are added to its own."""
    return _AT_WORK[-1] if _AT_WORK else None


class Sampler:
    """Counts stacks between `start` and `stop`."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self.stacks: Counter[tuple[str, ...]] = Counter()
        self._every_s, self._ended = every_s, threading.Event()
        self._thread = threading.Thread(target=self._look, name="profile", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        own = threading.get_ident()
        while not self._ended.wait(self._every_s):
            for thread, frame in sys._current_frames().items():
                if thread != own and _place(frame) not in WAITING:
                    self.stacks[stack_of(frame)] += 1


def _place(frame: FrameType) -> tuple[str, str]:
    return frame.f_globals.get("__name__", "?"), frame.f_code.co_name


def stack_of(frame: FrameType | None) -> tuple[str, ...]:
    """`module:function` from the outermost call to the innermost."""
    names = []
    while frame is not None:
        names.append(":".join(_place(frame)))
        frame = frame.f_back
    return tuple(reversed(names))


def folded(stacks: Counter[tuple[str, ...]]) -> str:
    """One line a stack and its count, sorted."""
    return "".join(f"{';'.join(stack)} {count}\n" for stack, count in sorted(stacks.items()))


def functions(stacks: Counter[tuple[str, ...]], most: int = 60) -> str:
    """A table: share of samples in a function itself, in it and what it called, its name; the dearest first.

    >>> print(functions(Counter({("a", "b"): 3, ("a",): 1})), end="")
      own     all  function
    75.0%   75.0%  b
    25.0%  100.0%  a
    """
    whole = max(sum(stacks.values()), 1)
    own: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    for stack, count in stacks.items():
        own[stack[-1]] += count
        for name in set(stack):
            inside[name] += count
    order = sorted(inside, key=lambda name: (-own[name], -inside[name], name))[:most]
    lines = [f"{own[name] / whole:5.1%}  {inside[name] / whole:6.1%}  {name}\n" for name in order]
    return "".join(["  own     all  function\n", *lines])


def jobs(records: Sequence[Record]) -> str:
    """The jobs of a command as JSON, in the order they ended."""
    parts = [
        {"job": r.job, "seconds": r.seconds, "cpu_seconds": r.cpu_seconds, "peak_mb": r.peak_mb, "parts": r.parts}
        for r in records
    ]
    return json.dumps(parts, indent=1) + "\n"


@contextmanager
def profiled(folder: Path) -> Iterator[Sampler]:
    """Profile what happens inside the block into a folder, also where it fails."""
    from pipelines.runtime.jobs import watched

    folder.mkdir(parents=True, exist_ok=True)
    sampler = Sampler()
    with watched() as records:
        sampler.start()
        _AT_WORK.append(sampler)
        try:
            yield sampler
        finally:
            _AT_WORK.remove(sampler)
            sampler.stop()
            (folder / "jobs.json").write_text(jobs(records))
            (folder / "functions.txt").write_text(functions(sampler.stacks))
            (folder / "stacks.folded").write_text(folded(sampler.stacks))
