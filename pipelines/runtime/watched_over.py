"""A small process that stays beside the command and says why, should the system end it without a word.

A process that the system kills for want of memory can say nothing itself, and a library that aborts says it in its own words.
So the command runs in a child, and its parent, which has loaded nothing and weighs a few megabytes, waits: it hands signals
on, gives the child's exit code back, and turns a death by signal into one sentence with what to do. A child that is told to end
and does not within seconds is ended: an interrupt that arrives while Python tidies up is ignored by Python, and one that arrives
in a library's long step waits for it. Nothing is lost by that, as nothing is by any kill. The child goes with its
parent (prctl PR_SET_PDEATHSIG), so whoever kills the process that was started kills the command.

    main()  =  watch_over(); ...the command...      # returns in the child only
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import signal
import sys

from transforms.common.memory import allowed_mb

PR_SET_PDEATHSIG = 1
INTERRUPTED = "nightshelf: interrupted; the same command again goes on where it can"
ENDING = (signal.SIGINT, signal.SIGTERM)
GRACE = 8.0  # seconds; those who end containers wait for ten at least
HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
AGAIN = "what was not committed yet is not there for any reader"
LESS = (
    "give it more memory, or have less in memory at once (more `shards` in the settings, fewer `models.sample_listeners`), then "
    "run the same command again"
)


_BY_ITSELF = mmap.mmap(-1, 1)  # shared by both processes: whether the command has said its own last words


def by_itself() -> None:
    """The command ends of its own accord, and has said why."""
    _BY_ITSELF[0] = 1


def watch_over() -> None:
    """Go on in a child; the parent waits for it and ends as it ended. Nothing happens where that cannot be had.

    That is elsewhere than on Linux, and in a process that has threads already, of which a child would have only one.
    """
    if sys.platform != "linux" or len(os.listdir("/proc/self/task")) > 1:
        return
    signals = {*HANDED_ON, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    parent = os.getpid()
    try:
        child = os.fork()
    except OSError:  # no process or no memory is left for a second one
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    if child == 0:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before it could be tied to us
            os._exit(128 + signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    code, peak_mb, overdue = _waited(child, signals)
    if overdue and code < 0:
        _say(INTERRUPTED.removeprefix("nightshelf: "), code := 130)
    elif code < 0:
        _say(ended_by(-code, peak_mb, limits()), code := 128 - code)
    elif code == 1 and not _BY_ITSELF[0]:  # as OpenBLAS does that gets no memory
        _say(ended_by(0, peak_mb, limits()), code)
    os._exit(code)


def _say(message: str, code: int) -> None:
    """One line on stderr, as the command would have written it."""
    from pipelines.runtime import logs

    words = " ".join(sys.argv).replace("=", " ")
    if "--log-format json" in words:
        logs.choose("json")
    logs.say("ERROR", f"nightshelf: {message}", exit_code=code)


def _waited(child: int, signals: set[signal.Signals]) -> tuple[int, int, bool]:
    """Hand signals on until the child has ended, and end it where it was told to and did not.

    Returns:
        its exit code (negative: the signal), its largest memory in MB, and whether it had to be ended.
    """
    grace, overdue = 0.0, False
    while True:
        arrived = signal.sigtimedwait(signals, grace) if grace else signal.sigwaitinfo(signals)
        if arrived is None:
            grace, overdue = 0.0, True
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            continue
        if arrived.si_signo != signal.SIGCHLD:
            if arrived.si_code <= 0:  # sent by a process; a terminal's Ctrl-C has reached the child by itself
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, arrived.si_signo)
            if arrived.si_signo in ENDING and not overdue:
                grace = GRACE
            continue
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), used.ru_maxrss >> 10, overdue


def ended_by(number: int, peak_mb: int, limit: str = "") -> str:
    """The sentence for a process that a signal ended, or (0) that a library left with exit code 1.

    >>> ended_by(9, 2900, "3,000 MB").partition(":")[0]
    'the system ended the process (signal 9) when it had used up to 2,900 MB of 3,000 MB, as it does when memory is used up'
    """
    used = f"when it had used up to {peak_mb:,} MB" + (f" of {limit}" if limit else "")
    if number == signal.SIGKILL:
        return f"the system ended the process (signal 9) {used}, as it does when memory is used up: {AGAIN}; {LESS}"
    if number in (0, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS):
        how = f"signal {number}" if number else "exit code 1"
        return (
            f"a library ended the process ({how}) {used}, as some do when memory or a disk is full: {AGAIN}; "
            f"if it was memory, {LESS}; if it comes again with memory and disk to spare, keep the log and report it"
        )
    return f"the process was ended from outside (signal {number}): {AGAIN}; run the same command again"


def limits() -> str:
    """What the machine, or the container or control group we are in, and `ulimit` allow of memory.

    >>> "MB" in limits()
    True
    """
    bounds = [f"{allowed_mb():,} MB"]
    for limit, name in ((resource.RLIMIT_AS, "addresses (`ulimit -v`)"), (resource.RLIMIT_DATA, "data (`ulimit -d`)")):
        allowed = resource.getrlimit(limit)[0]
        if allowed != resource.RLIM_INFINITY:
            bounds.append(f"{allowed >> 20:,} MB of {name}")
    return " and ".join(bounds)
