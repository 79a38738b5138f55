"""A warehouse in a bucket: objects, generations, ranges."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from transforms.common.errors import UserError
from transforms.tables.store_base import Token, checked
from transforms.tables.turns import LOCK, bucket_turn

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WHOLE_BYTES = 4 << 20  # an object up to this size comes in one request; of larger ones only what is read
IDLE_HOURS = 24.0  # a run in a bucket into which nobody wrote for so long is not at work


def local_emulator(variable: str) -> str | None:
    """Address of an emulator on this machine, where the environment names one.

    Raises:
        UserError: it names another machine: a warehouse that is sent there is nobody's, and its reader is not known.
    """
    address = os.environ.get(variable)
    if address and (urlsplit(address if "://" in address else f"//{address}").hostname or "") not in LOOPBACK:
        raise UserError(
            f"{variable} is set to another machine; an emulator is obeyed on this one only (127.0.0.1): unset it to use the "
            "service"
        )
    return address or None


class GcsStore:
    """A prefix of a Google Cloud Storage bucket; `STORAGE_EMULATOR_HOST` is honoured by the client library."""

    def __init__(self, root: str) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage  # type: ignore[attr-defined]

        self.root = root.rstrip("/")
        bucket, _, self._prefix = self.root.removeprefix("gs://").partition("/")
        emulated = local_emulator("STORAGE_EMULATOR_HOST")
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
                return None, None
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

        seen = 0 if token is None else token  # given None, the service would compare nothing
        try:
            self._bucket.blob(self._name(path)).upload_from_string(data, if_generation_match=seen)
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

    def settle(self, paths: Sequence[str]) -> None:
        return None  # an object that was written is there

    @contextmanager
    def turn(self, who: str) -> Iterator[None]:
        with bucket_turn(self._bucket.blob(self._name(LOCK)), who):
            yield

    def at_work(self) -> str:
        return ""

    def ended(self) -> None:
        return None

    def others_at_work(self) -> bool:
        return False  # machines that come and go cannot be seen

    def is_at_work(self, claim: str, folder: str) -> bool:
        changed = [b.updated for b in self._client.list_blobs(self._bucket, prefix=f"{self._name(folder)}/")]
        newest = max((at for at in changed if at is not None), default=None)
        return newest is not None and (datetime.now(UTC) - newest).total_seconds() < IDLE_HOURS * 3600


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
