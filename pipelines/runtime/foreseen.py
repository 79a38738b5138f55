"""What the machine refuses, whoever met it (Python, Arrow, TensorFlow, a worker), said as what it is, with what to do.

>>> str(foreseen(OSError(28, "No space left on device"))).partition(";")[0]
'the disk cannot be written (No space left on device)'
"""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

from transforms.common.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
CLOSED = (errno.EACCES, errno.EPERM)
BROKEN = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.EREMOTEIO)
LIMITS = (errno.EMFILE, errno.ENFILE)
BUSY = (408, 429, 500, 502, 503, 504)  # what the clients try again, for some minutes, before they give up
REFUSED = (401, 403)
UNREACHABLE = (
    "ConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "TransportError",
    "DefaultCredentialsError",
    "RefreshError",
)
_OURS = re.compile(r"(?:\w+/date=[\d-]{10}/|runs/|reports/|checkpoints/|forgotten/|(?<=/)\.)[^\s'\"]*$")
_MEMORY = re.compile(
    r"bad_alloc|[Cc]annot allocate memory|[Cc]an't start new thread|[Oo]ut of memory|malloc of size|realloc of size"
    r"|failed to map segment|can't load unicodedata|MemoryError"
    r"|ThreadPoolBuildError|[Cc]ould not spawn|[Rr]esource temporarily unavailable"
)
AGAIN = "what was not committed yet is not there for any reader"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def foreseen(error: BaseException) -> UserError | None:
    """The sentence for an error of the machine or of a service; None for any other."""
    for one in _chain(error):
        found = _of_the_system(one) or _of_a_service(one)
        if found is not None:
            return found
    return None


def _of_the_system(one: BaseException) -> UserError | None:
    if (code := _code(one, FULL)) is not None:
        return UserError(
            f"the disk cannot be written ({os.strerror(code)}); {AGAIN}: make room, then run the same command again"
        )
    if _of_memory(one):
        return UserError(
            f"the machine's memory, or the limit set for this process, is used up; {AGAIN}: free some, raise the limit, or "
            "have less in memory at once (more `shards` in the settings, fewer `models.sample_listeners`), then run the same "
            "command again"
        )
    if isinstance(one, OSError) and one.errno in CLOSED:
        return UserError(
            f"{_named(one)} cannot be opened or written ({os.strerror(one.errno)}); {AGAIN}: mend the rights on it, then run "
            "the same command again"
        )
    if isinstance(one, OSError) and one.errno in BROKEN:
        return UserError(
            f"{_named(one)} cannot be read or written ({os.strerror(one.errno)}), as of a disk or a mount that fails; "
            f"{AGAIN}: look at the machine's log, then run the same command again"
        )
    if isinstance(one, OSError) and one.errno in LIMITS:
        return UserError(
            f"too many files are open ({os.strerror(one.errno)}); {AGAIN}: raise the limit (`ulimit -n`), then run the same "
            "command again"
        )
    return None


def _of_memory(one: BaseException) -> bool:
    """A library that gets no memory while it is imported may say nothing of it; at the limit of the process that is why."""
    if isinstance(one, MemoryError) or _MEMORY.search(str(one)) or getattr(one, "errno", None) == errno.ENOMEM:
        return True
    return isinstance(one, (SystemError, ImportError)) and _at_the_limit()


def _at_the_limit() -> bool:
    """Whether the process has a limit of memory and has come within a quarter of it."""
    for limit, name in ((resource.RLIMIT_AS, "VmPeak"), (resource.RLIMIT_DATA, "VmData")):
        allowed = resource.getrlimit(limit)[0]
        if allowed != resource.RLIM_INFINITY and _kilobytes(name) * 1024 >= 0.75 * allowed:
            return True
    return False


def _kilobytes(name: str) -> int:
    """One of the kernel's counts of this process; 0 where there are none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def _of_a_service(error: BaseException) -> UserError | None:
    """What storage in the cloud answers; its own text is not told: it names objects, which may be called like a person."""
    kinds = {kind.__module__ for kind in type(error).__mro__}
    answered = "google.api_core.exceptions" in kinds
    code = int(getattr(error, "code", None) or 0) if answered else 0
    if code in REFUSED:
        return UserError(
            f"the storage service refused ({code}): this account may not do what the command needs; {AGAIN}: let it read, "
            "create, replace and delete objects of the warehouse (role `storage.objectUser` on the bucket), then run the same "
            "command again"
        )
    if code in BUSY or (answered and type(error).__name__ == "RetryError"):
        return UserError(
            f"the storage service is busy or away ({code or 'tried for minutes'}); {AGAIN}: run the same command again in some "
            "minutes, with fewer workers if it says so often"
        )
    if kinds & {"requests.exceptions", "google.auth.exceptions"} and type(error).__name__ in UNREACHABLE:
        return UserError(
            f"the storage service cannot be reached; {AGAIN}: look at the network and the account's credentials, then run the "
            "same command again"
        )
    return None


def _code(error: BaseException, codes: tuple[int, ...]) -> int | None:
    for code in codes:
        if getattr(error, "errno", None) == code or os.strerror(code) in str(error):
            return code
    return None


def _named(error: OSError) -> str:
    """The file, where it is one of the warehouse's; others may be called like a person."""
    found = _OURS.search(str(error.filename or ""))
    return found[0] if found else "a file or folder"
