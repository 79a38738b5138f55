"""Jobs at once on one warehouse: whose turn it is to commit, and which runs somebody still works on.

A commit checks what it was planned on and then replaces manifests. Both must happen with nobody between, so commits take
turns. In a folder the turn is a file lock: it goes with the process that held it. In a bucket it is an object that its holder
writes anew every few seconds, and that another may take over once it has seen no new writing for long enough. No clock is
compared with another: whoever waits counts its own tries.

    with store.turn("ingest"):
        ...                     # check, then commit

A run that is at work is known the same way: its claim names a file (`.work-<token>.lock`) that its process holds locked. Of a
bucket's runs, whose work may be done by machines that come and go, the last writing into the folder is asked instead.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transforms.common.errors import LostRace, UserError

LOCK = ".commit.lock"
WORK = ".work-{}.lock"
EVERY = 0.1  # seconds between two tries
TRIES = 250  # without any sign of life of whoever has the turn
BEAT = 5.0  # seconds between two signs of life in a bucket


def _stuck(holder: str) -> LostRace:
    return LostRace(
        f"another job ({holder or 'unknown'}) is at its commit in this warehouse and gets no further; nothing was committed "
        "here: when it has ended, or was ended, run the same command again"
    )


def locked(path: Path, wait: bool) -> int | None:
    """A handle on a lock file, locked until it is closed; None if somebody has it and we were not to wait.

    Somebody else's lock file that may only be read is locked all the same.

    Raises:
        UserError: the file system has no locks, or the file may not even be read.
    """
    try:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:
            handle = os.open(path, os.O_RDONLY)
    except PermissionError as error:
        raise UserError(
            f"{path.name} in the warehouse belongs to somebody else and cannot be opened (Permission denied): mend the rights "
            "on it, or delete it while no job is at work; then run the same command again"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError as error:
        os.close(handle)
        if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise UserError(
                f"the warehouse's file system keeps no locks ({os.strerror(error.errno or 0)}), so jobs could overwrite each "
                "other; nothing was committed: mount it with locks, or use a local folder or a bucket"
            ) from error
        raise
    return handle


def release(handle: int | None) -> None:
    """Give a lock back."""
    if handle is not None:
        os.close(handle)


@contextmanager
def local_turn(root: Path, who: str) -> Iterator[Callable[[], None]]:
    """Have the turn in a folder; what is yielded tells those who wait that we get on.

    Raises:
        LostRace: whoever has it gave no sign of life for a long time.
    """
    path, tries, seen = root / LOCK, 0, -1
    while (handle := locked(path, wait=False)) is None:
        with contextlib.suppress(OSError):
            changed = os.stat(path).st_mtime_ns
            tries, seen = (tries, seen) if changed == seen else (0, changed)
        tries += 1
        if tries > TRIES:
            holder = path.read_bytes()[:200].decode("utf-8", "replace") if os.access(path, os.R_OK) else ""
            raise _stuck(holder.strip())
        threading.Event().wait(EVERY)

    def beat() -> None:
        with contextlib.suppress(OSError):
            os.utime(handle)

    try:
        with contextlib.suppress(OSError):  # a lock file of somebody else's that may only be read
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{who}, process {os.getpid()}\n".encode(), 0)
        yield beat
    finally:
        os.close(handle)


@contextmanager
def bucket_turn(blob: Any, who: str) -> Iterator[Callable[[], None]]:
    """Have the turn in a bucket, by an object that only one can create; see `local_turn`."""
    from google.api_core.exceptions import NotFound, PreconditionFailed

    text = f"{who}, {secrets.token_hex(8)}\n"
    over, lost = threading.Event(), threading.Event()
    mine = _take(blob, text)
    blob.upload_from_string(
        text, if_generation_match=mine
    )  # who may create objects and not replace them is refused here,
    mine = blob.generation  # with nothing committed, and not in the middle

    def beat() -> None:
        nonlocal mine
        while not over.wait(BEAT):
            try:
                blob.upload_from_string(text, if_generation_match=mine)
                mine = blob.generation
            except Exception:  # somebody took over, or the service is away: the commit's own comparisons decide
                lost.set()
                return

    def held() -> None:
        if lost.is_set():
            raise _stuck("it took over the turn from this one, which was silent for too long")

    beating = threading.Thread(target=beat, name="turn to commit", daemon=True)
    beating.start()
    try:
        yield held
    finally:
        over.set()
        beating.join()
        with contextlib.suppress(NotFound, PreconditionFailed):
            blob.delete(if_generation_match=mine)


def _take(blob: Any, text: str) -> Any:
    from google.api_core.exceptions import NotFound, PreconditionFailed

    tries, seen, token = 0, None, 0
    while True:
        try:
            blob.upload_from_string(text, if_generation_match=token)
            return blob.generation
        except PreconditionFailed:
            token = 0
        try:
            blob.reload()
            tries, seen = (tries, seen) if blob.generation == seen else (0, blob.generation)
        except NotFound:
            continue
        tries += 1
        if tries > TRIES:
            token, tries = seen, 0  # silent for far longer than a beat: its process is gone
        threading.Event().wait(EVERY)


class Presence:
    """The lock files by which this process says that it is at work in some folders."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, int]] = {}
        self._guard = threading.Lock()

    def token(self, root: Path) -> str:
        """Says what claims in a folder name; the same until `leave`."""
        with self._guard:
            known = self._held.get(str(root))
            if known is not None and (root / WORK.format(known[0])).exists():
                return known[0]
            while True:
                token = secrets.token_hex(6)
                handle = locked(root / WORK.format(token), wait=True)
                if handle is not None and (root / WORK.format(token)).exists():
                    break
                release(handle)  # somebody took it for a dead one's before it was locked
            self._held[str(root)] = (token, handle)
            return token

    def leave(self, root: Path) -> None:
        """What was claimed in a folder so far is no longer worked on."""
        with self._guard:
            token, handle = self._held.pop(str(root), ("", -1))
            if token:
                (root / WORK.format(token)).unlink(missing_ok=True)
                os.close(handle)

    def others(self, root: Path) -> bool:
        """Whether another process says that it is at work in a folder."""
        mine = self._held.get(str(root), ("", -1))[0]
        tokens = [p.name.removeprefix(".work-").removesuffix(".lock") for p in root.glob(WORK.format("*"))]
        return any(is_present(root, token) for token in tokens if token != mine)


def is_present(root: Path, token: str) -> bool:
    """Whether the process that made a token is still at work; what a dead one left is removed."""
    path = root / WORK.format(token)
    if not token.isalnum() or not path.exists():
        return False
    handle = locked(path, wait=False)
    if handle is None:
        return True
    path.unlink(missing_ok=True)
    os.close(handle)
    return False


PRESENCE = Presence()
