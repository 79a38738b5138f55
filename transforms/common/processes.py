"""Work in other processes of this machine, with as many of Polars' threads together as one process has.

TensorFlow keeps its threads in each: sums of its gradients depend, in their last bits, on how many there are.

Libraries that take seconds to import are imported once, in a server process that the others are forked from; nothing that
the server imports starts a thread, since a process forked beside one may wait forever for a lock that it held (Polars starts
threads as it is imported, so each process imports that itself). A process ends with the one that asked for it, however that one
ended, and an interrupt is left to that one.

    with processes(2) as pool:
        sizes = list(pool.map(len, ["ab", "c"]))       # [2, 1]
    taken()                                            # what the processes used of the machine, for the job's record
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, forkserver, get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import Any

from transforms.common.errors import UserError

PRELOADED = ("pipelines", "models", "scipy.sparse", "numba", "pydantic", "apache_beam")
TRAINED = ("tensorflow",)  # what only models need, half of all the time
_SHARED: list[Any] = []
_WARM: list[bool] = []
_TAKEN: list[Used] = []


@dataclass(frozen=True)
class Used:
    """Processor seconds of some processes, and the most memory that one of them held, in MB of 2**20 bytes."""

    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


def within() -> bool:
    """Whether this process was started by `processes`, or by something like it: it starts none itself."""
    return parent_process() is not None


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def warm(models: bool = True) -> None:
    """Start the server and its imports beside what is done here, for processes that will be asked for soon.

    Args:
        models: they will work with models; else a server that is not at work yet starts without TensorFlow.
    """
    get_context("forkserver").set_forkserver_preload([*PRELOADED, *(TRAINED if models else ())])
    forkserver.ensure_running()
    _WARM.append(True)


def warmed() -> bool:
    """Whether the server has been started, so that another process costs little."""
    return bool(_WARM)


@contextmanager
def processes(count: int, shared: Any = None, *, models: bool = True) -> Iterator[ProcessPoolExecutor]:
    """A pool of `count` processes for the block; they are ended with it, at once where it raises.

    Args:
        shared: sent to each process once; `given()` is it there.
        models: see `warm`.

    Raises:
        UserError: a process died, most often for want of memory.
    """
    warm(models)
    context = get_context("forkserver")
    before = set(active_children())
    threads = max(1, cores() // count)
    pool = ProcessPoolExecutor(
        count, mp_context=context, initializer=_begin, initargs=(dict(os.environ), threads, shared)
    )
    try:
        yield pool
        pool.shutdown()
    except BrokenProcessPool:
        raise UserError(
            f"one of {count} processes at work was ended by the system, most often for want of memory; free some or raise its "
            f"limit, set `processes` in the settings to fewer than {count}, or have less in memory at once (more `shards`, fewer "
            "`models.sample_listeners`), then run the same command again"
        ) from None
    finally:
        _end(pool, set(active_children()) - before)


def _end(pool: ProcessPoolExecutor, mine: set[BaseProcess]) -> None:
    pool.shutdown(wait=False, cancel_futures=True)
    for process in mine:
        process.kill()
    for process in mine:
        process.join()


def _begin(environment: dict[str, str], threads: int, shared: Any) -> None:
    """What a process does first; nothing that reads the environment has been imported yet but what the server imports."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment | {"POLARS_MAX_THREADS": str(threads)})
    _SHARED[:] = [shared]
    threading.Thread(target=_outlive_nobody, name="parent", daemon=True).start()


def _outlive_nobody() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def given() -> Any:
    """In a process of a pool: what `shared` was."""
    return _SHARED[0]


def used() -> Used:
    """What this process has used so far."""
    from resource import RUSAGE_SELF, getrusage

    return Used(time.process_time(), round(getrusage(RUSAGE_SELF).ru_maxrss / 1024, 1))


def take(used: Used) -> None:
    """Note what a process used, as it said when it was last asked."""
    _TAKEN.append(used)


def taken() -> Used:
    """What was noted since this was last asked: the sum of processor seconds, the highest memory."""
    found, _TAKEN[:] = list(_TAKEN), []
    return Used(sum(one.cpu_seconds for one in found), max((one.peak_mb for one in found), default=0.0))
