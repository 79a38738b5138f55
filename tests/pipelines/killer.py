"""Makes a night or an ingest in a process that is killed, as a power cut would, at the n-th finished file of a kind.

    python -m tests.pipelines.killer
    ["night", "WAREHOUSE", "library/*/_current.json", "1"]        # `light`: the night of LIGHT; `ingest`: with a log's folder
    -9

Every file of a warehouse comes to its name by a rename; the process dies right before one, its bytes already on disk. Each line
is done by a fork of one process that has loaded the program and done nothing yet; what is answered is how the fork ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from fnmatch import fnmatch
from pathlib import Path
from typing import Any


def kill_at(root: Path, pattern: str, n: int) -> None:
    """Let `os.replace` kill this process before the n-th target below `root` that matches `pattern`."""
    rename, seen = os.replace, 0

    def replace(source: Any, target: Any, **more: Any) -> None:
        nonlocal seen
        path = Path(target)
        if path.is_relative_to(root) and fnmatch(path.relative_to(root).as_posix(), pattern):
            seen += 1
            if seen == n:
                os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target, **more)

    os.replace = replace  # type: ignore[assignment]


def main(what: str, warehouse: str, pattern: str, n: str, log: str = "") -> None:
    """Run until killed."""
    from pipelines.nightly import night
    from tests.pipelines.world import LIGHT, NIGHT, SETTINGS, ingested

    kill_at(Path(warehouse).resolve(), pattern, int(n))
    if what == "forget":
        from pipelines.forget import forget

        forget(warehouse, [log])
        return
    if what == "ingest":
        ingested(Path(log), Path(warehouse))
    else:
        # in this process, which is the one that dies
        settings = LIGHT if what == "light" else SETTINGS
        night(warehouse, NIGHT, settings.model_copy(update={"processes": 1}))


def serve() -> None:
    """Do what each line says in a fork of its own."""
    import tests.benchmarks.faults.loaded  # noqa: F401
    from tests.quick_beam import keep

    keep()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                os.dup2(2, 1)  # what it prints is no answer
                main(*json.loads(line))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
