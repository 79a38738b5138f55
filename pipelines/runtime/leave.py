"""Leaving a process whose libraries keep threads: everything of Python is finished, then the process ends at once.

Arrow's readers run in a pool of native threads. One of them may still hold the last reference to a Python object (the
file or bytes that it read from) when the interpreter is being taken down; as it asks for the interpreter in order to let
go, Python ends that thread, and C++ answers by aborting the process, after all work is done: "terminate called without
an active exception", exit code 134, a few times in a hundred runs (apache/arrow issue 34314). So what Python does on leaving
is done here, in its order, and the taking down is left to the operating system.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import NoReturn

from pipelines.runtime.watched_over import by_itself


def exit_code(code: object) -> int:
    """The number that `sys.exit(code)` stands for.

    >>> exit_code(None), exit_code(3), exit_code("a message")
    (0, 3, 1)
    """
    if code is None:
        return 0
    return code if isinstance(code, int) else 1


def leave(code: int) -> NoReturn:
    """Wait for Python's own threads, run what was registered for the end, flush, and end the process."""
    threading._shutdown()  # type: ignore[attr-defined]  # joins threads, and lets executors' threads go
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # a reader that has gone away; Python's own code for it
            code = code or 120
    by_itself()
    os._exit(code)
