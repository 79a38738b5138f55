"""Makes a night in this process while something goes wrong around it: a full disk, a jumping clock, a rival.

    python -m tests.pipelines.troubled full WAREHOUSE SETTINGS.yaml 20000      # no file may grow beyond so many bytes
    python -m tests.pipelines.troubled clock WAREHOUSE SETTINGS.yaml 86400     # every look at the clock jumps, to and fro
    python -m tests.pipelines.troubled wait WAREHOUSE SETTINGS.yaml PATTERN    # says "reached" before the first rename to
                                                                               # PATTERN, and goes on after a line of input

It ends as the command line does, with its message and its exit code.
"""

from __future__ import annotations

import os
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any


def fill(limit: int) -> None:
    """Let no file grow beyond `limit` bytes, as a quota would: writing more fails in Python, Arrow and TensorFlow alike."""
    import resource

    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def jump(seconds: int) -> None:
    """Let every clock jump at every look at it: the date's to and fro, those that only count ahead, as after a sleep."""
    import datetime
    import time

    now, counted, looks = time.time, time.monotonic, iter(range(1 << 60))
    time.time = lambda: now() + seconds * ((next(looks) % 3) - 1)
    time.time_ns = lambda: int(time.time() * 1e9)
    time.monotonic = lambda: counted() + seconds * next(looks)
    time.perf_counter = time.monotonic

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.datetime.fromtimestamp(time.time(), tz)

    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in ("pipelines", "transforms", "models") and hasattr(module, "datetime"):
            module.datetime = Jumping  # type: ignore[attr-defined]


def wait(root: Path, pattern: str) -> None:
    """Stop before the first rename to `pattern` until somebody writes a line."""
    rename, stopped = os.replace, iter([True])

    def replace(source: Any, target: Any, **more: Any) -> None:
        path = Path(target)
        if path.is_relative_to(root) and fnmatch(path.relative_to(root).as_posix(), pattern) and next(stopped, False):
            print("reached", flush=True)
            sys.stdin.readline()
        rename(source, target, **more)

    os.replace = replace  # type: ignore[assignment]


def main(what: str, warehouse: str, settings: str, how: str) -> None:
    """Run the night through the command line."""
    import apache_beam  # noqa: F401  (before the clock jumps)

    from pipelines.cli import main as cli
    from tests.pipelines.world import NIGHT

    if what == "full":
        fill(int(how))
    elif what == "clock":
        jump(int(how))
    elif what == "wait":
        wait(Path(warehouse).resolve(), how)
    sys.argv = ["nightshelf", "run", "--date", str(NIGHT), "--warehouse", warehouse, "--config", settings]
    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
