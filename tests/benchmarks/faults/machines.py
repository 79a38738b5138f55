"""The machine itself: Ctrl-C, clocks that jump, limits of memory, an installation that may only be read."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

from tests.benchmarks.faults.case import REMEDY, ROOT, Case, Fault
from tests.benchmarks.faults.cut import STAGE

PLACES = {
    "ingest": ("listens/*.parquet", "listens/*/_current.json"),
    "features": ("sessions/*.parquet", "library/*/_current.json"),
    "forget": ("listens/*.parquet", "listens/*/_current.json"),
}
YEAR = 31_557_600
CLOCKS = {
    "25 years back": f"return real - {25 * YEAR};",
    "25 years forward": f"return real + {25 * YEAR};",
    "a day forward and back at every look": "return real + (looks++ % 3 - 1) * 86400;",
}
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static long looks;
static time_t shifted(time_t real) {{ (void)looks; {} }}
int clock_gettime(clockid_t id, struct timespec *at) {{
    static int (*next)(clockid_t, struct timespec *);
    if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int code = next(id, at);
    if (!code && id == CLOCK_REALTIME) at->tv_sec = shifted(at->tv_sec);
    return code;
}}
time_t time(time_t *at) {{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}}
"""


def interrupted(command: str, what: str, pattern: str, case: Case) -> str:
    """Ctrl-C, once or twice; then the same command."""
    case.start(STAGE[command])
    said = case.run(command, (what, pattern, "1"))
    assert case.codes[-1] == 130, f"{case.codes[-1]}: {said}"
    said = f"{said}; gone after {case.since_told():.0f} s"
    case.done(command)
    case.equal(command)
    return said


@cache
def clock(folder: Path, body: str) -> Path:
    """A library that moves the clock of whoever loads it first.

    Raises:
        CalledProcessError: there is no compiler.
    """
    source = folder / f"clock-{abs(hash(body))}.c"
    source.write_text(SHIM.format(body))
    made = source.with_suffix(".so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(made), str(source), "-ldl"], check=True)
    return made


def by_another_clock(body: str, case: Case) -> str:
    """An ingest and a fold by a clock that is wrong."""
    made = clock(case.log.parent, body)
    for command in ("ingest", "features"):
        said = case.run(command, env={"LD_PRELOAD": str(made)})
        assert case.codes[-1] == 0, f"{case.codes[-1]}: {said}"
    case.equal("features")
    return said


def starved(kilobytes: int, case: Case) -> str:
    """Under a limit of memory a command works or ends with a sentence; without it, it works."""
    case.start("ingest")
    said = case.run("features", shell=f"ulimit -v {kilobytes}; CMD")
    assert case.codes[-1] == 0 or REMEDY.search(said), f"{case.codes[-1]}: {said}"
    said = f"{case.codes[-1]}: {said}"
    case.done("features")
    case.equal("features")
    return said


def installed_read_only(case: Case) -> str:
    """The program and its libraries lie on a mount that may only be read, and there is no home to write into."""
    case.start("ingest")
    places = {str(Path(p).resolve()) for p in (ROOT, ROOT / ".venv")}
    mounts = " && ".join(f"mount --bind {p} {p} && mount -o remount,ro,bind {p}" for p in sorted(places))
    shell = f"exec unshare -m bash -c '{mounts} && unset HOME && exec \"$@\"' bash CMD"
    said = case.run("features", shell=shell)
    assert case.codes[-1] == 0, f"{case.codes[-1]}: {said}"
    case.equal("features")
    return said


def faults() -> Iterator[Fault]:
    """Signals of a terminal, clocks, memory, the installation."""
    for command, patterns in PLACES.items():
        for what, word in (("int", "Ctrl-C once"), ("int twice", "Ctrl-C twice")):
            for pattern in patterns:
                do = partial(interrupted, command, what, pattern)
                yield Fault(f"{word} at {pattern}", "machine", command, do)
    for name, body in CLOCKS.items():
        yield Fault(f"the clock is {name}", "machine", "ingest, features", partial(by_another_clock, body))
    for kilobytes in (1_000_000, 2_000_000, 4_000_000):
        yield Fault(f"ulimit -v {kilobytes}", "machine", "features", partial(starved, kilobytes))
    yield Fault("a read-only installation, HOME unset", "machine", "features", installed_read_only)
