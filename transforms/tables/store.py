"""Where a warehouse's bytes live: a local folder or a bucket, behind six verbs.

Readers rely on two promises. `write` is all or nothing: a reader sees the old bytes, the new bytes or no file. `replace`
is compare-and-swap: it succeeds only if the object is still the one whose token was read. Locally the first is a rename
and the second a rename under a lock file; in Google Cloud Storage both are the service's own generation match.

    store = open_store("./warehouse")
    data, token = store.read_with_token("listens/date=2026-01-01/_current.json")
    store.replace("listens/date=2026-01-01/_current.json", new, token)   # False if somebody was faster
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pyarrow as pa

from transforms.common.errors import UserError

Token = str | int | None
WHOLE_BYTES = 4 << 20  # an object up to this size comes in one request; of larger ones only what is read


class Store(Protocol):
    """Objects under a root, named by relative paths with forward slashes."""

    root: str

    def read(self, path: str) -> bytes:
        """The object's bytes. Raises FileNotFoundError."""

    def read_with_token(self, path: str) -> tuple[bytes | None, Token]:
        """Bytes and the token to hand to `replace`; (None, token) where there is no object."""

    def write(self, path: str, data: bytes) -> None:
        """Create or overwrite, all or nothing."""

    def adopt(self, local: str, path: str) -> None:
        """Move a finished local file in, all or nothing."""

    def replace(self, path: str, data: bytes, token: Token) -> bool:
        """Write only if the object is still the one `token` was read with; False if it is not."""

    def open(self, path: str) -> pa.NativeFile:
        """Random-access reader."""

    def paths(self, prefix: str) -> list[str]:
        """Paths of all objects under a folder, sorted."""

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under a folder, sorted."""

    def folders_with(self, prefix: str, name: str) -> list[str]:
        """Those of these folders that hold an object of this name, sorted; nothing is read of it."""

    def delete(self, prefix: str) -> None:
        """Remove an object, or everything under a folder."""

    def leftovers(self) -> list[str]:
        """Paths of what killed writes left behind, which no reader sees; of writes at work too."""


def checked(path: str) -> str:
    """The path itself, if it stays inside the root.

    Raises:
        UserError: it is absolute or climbs out.
    """
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\x00" in path:
        raise UserError("a path in the warehouse must stay inside it; found one that is absolute or contains '..'")
    return path


class LocalStore:
    """A folder of the local file system, which need not be there yet.

    Raises:
        UserError: a file stands where it, or a folder above it, should; or, when written to, it cannot be.
    """

    def __init__(self, root: str) -> None:
        self.root = str(Path(root).resolve())
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
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
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
        with open(target.with_name(f".{target.name}.lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def open(self, path: str) -> pa.NativeFile:
        return pa.OSFile(str(self._path(path)), "rb")

    def paths(self, prefix: str) -> list[str]:
        top = self._path(prefix)
        if not top.is_dir():
            return []
        return sorted(
            str(p.relative_to(self.root)) for p in top.rglob("*") if p.is_file() and not p.name.startswith(".")
        )

    def folders(self, prefix: str) -> list[str]:
        top = self._path(prefix)
        return sorted(p.name for p in top.iterdir() if p.is_dir()) if top.is_dir() else []

    def folders_with(self, prefix: str, name: str) -> list[str]:
        return [folder for folder in self.folders(prefix) if (self._path(prefix) / folder / name).is_file()]

    def delete(self, prefix: str) -> None:
        target = self._path(prefix)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    def leftovers(self) -> list[str]:
        top = Path(self.root)
        return sorted(str(p.relative_to(top)) for p in top.rglob(".*.tmp") if p.is_file())


def _above(there: Path, root: str) -> str:
    return "" if str(there) == root else f" above it ({there.name})"


class GcsStore:
    """A prefix of a Google Cloud Storage bucket; `STORAGE_EMULATOR_HOST` is honoured by the client library."""

    def __init__(self, root: str) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage  # type: ignore[attr-defined]

        self.root = root.rstrip("/")
        bucket, _, self._prefix = self.root.removeprefix("gs://").partition("/")
        emulated = os.environ.get("STORAGE_EMULATOR_HOST")
        options: dict[str, Any] = {"credentials": AnonymousCredentials(), "project": "test"} if emulated else {}
        self._client = storage.Client(**options)
        self._bucket = self._client.bucket(bucket)

    def _name(self, path: str) -> str:
        return f"{self._prefix}/{checked(path)}".strip("/")

    def read(self, path: str) -> bytes:
        data, _ = self.read_with_token(path)
        if data is None:
            raise FileNotFoundError(path)
        return data

    def read_with_token(self, path: str) -> tuple[bytes | None, Token]:
        from google.api_core.exceptions import NotFound, PreconditionFailed

        while True:
            blob = self._bucket.get_blob(self._name(path))
            if blob is None:
                return None, 0
            seen = blob.generation  # a download overwrites it, with nothing where the answer does not tell
            try:
                return blob.download_as_bytes(if_generation_match=seen), seen
            except (NotFound, PreconditionFailed):
                continue  # replaced since it was looked up: what stands there now is read

    def write(self, path: str, data: bytes) -> None:
        self._bucket.blob(self._name(path)).upload_from_string(data)

    def adopt(self, local: str, path: str) -> None:
        self._bucket.blob(self._name(path)).upload_from_filename(local)
        os.unlink(local)

    def replace(self, path: str, data: bytes, token: Token) -> bool:
        from google.api_core.exceptions import PreconditionFailed

        try:
            self._bucket.blob(self._name(path)).upload_from_string(data, if_generation_match=token)
        except PreconditionFailed:
            return False
        return True

    def open(self, path: str) -> pa.NativeFile:
        blob = self._bucket.get_blob(self._name(path))
        if blob is None:
            raise FileNotFoundError(path)
        if blob.size <= WHOLE_BYTES:
            return pa.BufferReader(blob.download_as_bytes(if_generation_match=blob.generation))
        return pa.PythonFile(_Ranges(blob), mode="r")

    def paths(self, prefix: str) -> list[str]:
        skip = len(self._prefix) + 1 if self._prefix else 0
        found = self._client.list_blobs(self._bucket, prefix=self._under(prefix) or None)
        return sorted(b.name[skip:] for b in found)

    def folders(self, prefix: str) -> list[str]:
        under = self._under(prefix)
        # the service cuts names at the first slash, so it tells one name a folder whatever lies below
        found = self._client.list_blobs(self._bucket, prefix=under or None, delimiter="/")
        below = {name for page in found.pages for name in page.prefixes}
        return sorted(name.removeprefix(under).rstrip("/") for name in below)

    def folders_with(self, prefix: str, name: str) -> list[str]:
        under = self._under(prefix)
        found = self._client.list_blobs(self._bucket, prefix=under or None, match_glob=f"{under}*/{name}")
        parts = (PurePosixPath(blob.name.removeprefix(under)).parts for blob in found)
        return sorted(p[0] for p in parts if len(p) == 2 and p[1] == name)

    def _under(self, prefix: str) -> str:
        """What the names of all objects below a folder begin with."""
        name = self._name(prefix)
        return f"{name}/" if name else ""

    def delete(self, prefix: str) -> None:
        names = [self._name(p) for p in (self.paths(prefix) or [prefix])]
        self._bucket.delete_blobs([self._bucket.blob(n) for n in names], on_error=lambda blob: None)

    def leftovers(self) -> list[str]:
        return []  # an upload that ends early leaves no object


class _Ranges:
    """An object read in ranges, for Arrow: what is asked of it is what is fetched."""

    closed = False

    def __init__(self, blob: Any) -> None:
        self._blob, self._at = blob, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._blob.size)[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        stop = self._blob.size if size < 0 else min(self._at + size, self._blob.size)
        if stop <= self._at:
            return b""
        seen = self._blob.generation
        data: bytes = self._blob.download_as_bytes(start=self._at, end=stop - 1, if_generation_match=seen)
        self._at += len(data)
        return data

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@lru_cache(maxsize=16)
def open_store(url: str) -> Store:
    """The store of a warehouse URL: a folder, or `gs://bucket/prefix`.

    Raises:
        UserError: another scheme.
    """
    if url.startswith("gs://"):
        return GcsStore(url)
    if "://" in url:
        scheme = url.split("://", maxsplit=1)[0]
        raise UserError(f"a warehouse is a folder or gs://bucket/prefix; found the scheme {scheme!r}")
    return LocalStore(url)
