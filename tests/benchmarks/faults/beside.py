"""Runs the command line in this process with one thing going wrong in it.

    python -m tests.benchmarks.faults.beside kill WAREHOUSE "listens/*/_current.json" 2 -- ingest --format csv ...

What goes wrong: `kill`, `term`, `int`, `int twice` (the signal), `hold` (says "reached" and waits for a line of input), or the
name of an error (`ENOSPC`, `EIO`, `EACCES`). Where: before the n-th rename below the warehouse to a path that matches, or, with
the pattern `(delete)`, before the n-th folder is deleted, or, with `(change)`, before the n-th of either, or, with `(request)`,
before the n-th request over HTTP that is no GET. `count` lets nothing go wrong, and writes a line for every such place into the
file `changes` beside the warehouse.

Jobs that are no command of their own are given as `job:NAME DATE SETTINGS.yaml`.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from datetime import date
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

SIGNALS = {
    "kill": signal.SIGKILL,
    "term": signal.SIGTERM,
    "int": signal.SIGINT,
    "int twice": signal.SIGINT,
}
TOLD = "signalled"  # beside the warehouse: when the signal was sent


def act(what: str, root: Path) -> None:
    """Let it go wrong."""
    if what == "count":
        with open(root.parent / "changes", "a") as noted:
            noted.write("one\n")
    elif what == "hold":
        print("reached", flush=True)
        sys.stdin.readline()
    elif what in SIGNALS:
        (root.parent / TOLD).write_text(str(time.monotonic()))
        os.kill(os.getpid(), SIGNALS[what])
        if what == "int twice":
            os.kill(os.getpid(), SIGNALS[what])
    else:
        code = getattr(errno, what)
        raise OSError(code, os.strerror(code))


def arm(what: str, root: Path, pattern: str, n: int) -> None:
    """Make it go wrong at the n-th place that matches, once."""
    seen = iter(range(1, 1 << 30))

    def watched(real: Callable[..., Any], target: int) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            path = Path(args[target])
            inside = path.is_relative_to(root)
            mine = pattern == "(change)" or (
                pattern == "(delete)"
                if target == 0
                else fnmatch(path.relative_to(root).as_posix() if inside else "", pattern)
            )
            if inside and mine and (next(seen) == n or what == "count"):
                act(what, root)
            return real(*args, **more)

        return call

    if pattern == "(request)":
        import requests

        send = requests.Session.request

        def request(session: Any, method: str, url: str, *args: Any, **more: Any) -> Any:
            if method != "GET" and (next(seen) == n or what == "count"):
                act(what, root)
            return send(session, method, url, *args, **more)

        requests.Session.request = request  # type: ignore[assignment,method-assign]
        return
    os.replace = watched(os.replace, 1)  # type: ignore[assignment]
    shutil.rmtree = watched(shutil.rmtree, 0)  # type: ignore[assignment]


def job(name: str, warehouse: str, day: str, settings: str) -> None:
    """Run one of the night's jobs."""
    from pipelines.runtime.config import Settings
    from pipelines.runtime.settings_file import load

    more = {"horizon": 3} if name == "train_ranker" else {}
    made = getattr(import_module(f"pipelines.{name}"), name)
    made(warehouse, date.fromisoformat(day), settings=load(Settings, settings), **more)


def main(what: str, warehouse: str, pattern: str, n: str, *words: str) -> None:
    """Run a command."""
    from pipelines.cli.main import main as cli

    if what != "nothing":
        arm(what, Path(warehouse).resolve(), pattern, int(n))
    if words[0].startswith("job:"):
        job(words[0].removeprefix("job:"), warehouse, *words[1:])
        return
    sys.argv = ["nightshelf", *words]
    cli()


if __name__ == "__main__":
    main(*sys.argv[1:5], *sys.argv[6:])
