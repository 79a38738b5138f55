"""A warehouse in a folder: renames, lock files, and what a power loss may not take."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path, PurePosixPath

import pyarrow as pa

from transforms.common.errors import UserError
from transforms.tables.store_base import Token, checked
from transforms.tables.turns import LOCK, PRESENCE, is_present, local_turn, locked, release


class LocalStore:
    """A folder of the local file system, which need not be there yet.

    Raises:
        UserError: a file stands where it, or a folder above it, should; or, when written to, it cannot be.
    """

    def __init__(self, root: str) -> None:
        self.root = str(Path(root).resolve())
        self._beat: Callable[[], None] = _nothing
        there = next((p for p in (Path(self.root), *Path(self.root).parents) if os.path.exists(p)), None)
        if there is not None and not there.is_dir():
            raise UserError(f"--warehouse {root}: expected a folder, found a file{_above(there, self.root)}")

    def _path(self, path: str) -> Path:
        return Path(self.root) / checked(path)

    def read(self, path: str) -> bytes:
        return self._path(path).read_bytes()

    def read_with_token(self, path: str) -> tuple[bytes | None, Token]:
        try:
            data = self._path(path).read_bytes()
        except FileNotFoundError:
            return None, None
        return data, sha256(data).hexdigest()

    def _make_room(self, target: Path) -> None:
        """Make the folder of a file."""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(target.parent, os.W_OK):
                frozen = os.statvfs(target.parent).f_flag & os.ST_RDONLY
                raise OSError(code := errno.EROFS if frozen else errno.EACCES, os.strerror(code))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # a full disk is told by whoever runs the job
                raise
            raise UserError(
                f"--warehouse {self.root}: expected a folder that can be made and written, found that it cannot "
                f"({os.strerror(error.errno or 0)}); name another one, or mend its rights"
            ) from error

    def write(self, path: str, data: bytes) -> None:
        target = self._path(path)
        self._make_room(target)
        scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with open(scratch, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            os.replace(scratch, target)
        except OSError:
            scratch.unlink(missing_ok=True)
            raise
        self._beat()

    def adopt(self, local: str, path: str) -> None:
        target = self._path(path)
        self._make_room(target)
        try:
            os.replace(local, target)
        except OSError:
            scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            shutil.move(local, scratch)
            os.replace(scratch, target)

    def replace(self, path: str, data: bytes, token: Token) -> bool:
        with self._lock(path):
            if self.read_with_token(path)[1] != token:
                return False
            self.write(path, data)
            return True

    @contextmanager
    def _lock(self, path: str) -> Iterator[None]:
        target = self._path(path)
        self._make_room(target)
        handle = locked(target.with_name(f".{target.name}.lock"), wait=True)
        try:
            yield
        finally:
            release(handle)

    def open(self, path: str) -> pa.NativeFile:
        return pa.OSFile(str(self._path(path)), "rb")

    def paths(self, prefix: str) -> list[str]:
        return [p for p in self._walk(prefix) if not PurePosixPath(p).name.startswith(".")]

    def _walk(self, prefix: str) -> list[str]:
        """Every file under a folder, also behind links.

        Raises:
            UserError: a folder that cannot be looked into: what is in it would count as not there.
        """
        top, out = self._path(prefix), list[str]()

        def closed(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):  # gone since it was listed
                raise UserError(
                    f"{os.path.relpath(error.filename, self.root)} in the warehouse cannot be looked into "
                    f"({os.strerror(error.errno or 0)}): mend the rights on it, then run the same command again"
                ) from error

        for folder, inner, files in os.walk(top, onerror=closed, followlinks=True):
            if os.path.islink(folder) and os.path.realpath(folder) in map(os.path.realpath, self._above(folder)):
                inner.clear()  # back to where we came from
                continue
            out += [os.path.relpath(os.path.join(folder, f), self.root) for f in files]
        return sorted(p for p in out if (Path(self.root) / p).is_file())

    def _above(self, folder: str) -> list[Path]:
        return [p for p in Path(folder).parents if p.is_relative_to(self.root)]

    def folders(self, prefix: str) -> list[str]:
        top = self._path(prefix)
        try:
            return sorted(p.name for p in top.iterdir() if p.is_dir()) if top.is_dir() else []
        except PermissionError as error:
            raise UserError(
                f"{prefix or 'the warehouse'} cannot be looked into ({os.strerror(error.errno or 0)}): mend the rights on it, "
                "then run the same command again"
            ) from error

    def folders_with(self, prefix: str, name: str) -> list[str]:
        return [folder for folder in self.folders(prefix) if (self._path(prefix) / folder / name).is_file()]

    def delete(self, prefix: str) -> None:
        target = self._path(prefix)
        if target.is_dir():
            shutil.rmtree(target.resolve())  # behind a link too, which is then taken away itself
            if target.is_symlink():
                target.unlink()
        else:
            target.unlink(missing_ok=True)

    def leftovers(self) -> list[str]:
        return [p for p in self._walk("") if fnmatch(PurePosixPath(p).name, ".*.tmp")]

    def settle(self, paths: Sequence[str]) -> None:
        files = [self._path(p) for p in paths]
        folders = {above for f in files for above in f.parents if above.is_relative_to(self.root)}
        with ThreadPoolExecutor(8) as pool:  # a journal takes many at once in one go
            list(pool.map(_synced, files))
            list(pool.map(_synced, sorted(folders)))
        self._beat()

    @contextmanager
    def turn(self, who: str) -> Iterator[None]:
        self._make_room(self._path(LOCK))
        with local_turn(Path(self.root), who) as beat:
            self._beat = beat
            try:
                yield
            finally:
                self._beat = _nothing

    def at_work(self) -> str:
        self._make_room(self._path(LOCK))
        return PRESENCE.token(Path(self.root))

    def ended(self) -> None:
        PRESENCE.leave(Path(self.root))

    def others_at_work(self) -> bool:
        return PRESENCE.others(Path(self.root))

    def is_at_work(self, claim: str, folder: str) -> bool:
        return is_present(Path(self.root), claim)


def _nothing() -> None:
    return None


def _synced(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
        ):  # a file system on which a folder has nothing to write down
            raise
    finally:
        os.close(handle)


def _above(there: Path, root: str) -> str:
    return "" if str(there) == root else f" above it ({there.name})"
