"""What a downloaded file is packed in, told by its first bytes whatever its name: unpacked where it holds one text.

gzip, bzip2, xz and Zstandard files are read as the text they hold. A tar or zip archive holds files that are not all plays,
so it is refused in a sentence that names what is inside and says what to do. A stream that unfolds to far more than its
size can only mean harm, and stops.

    lastfm-dataset-1K.tar.gz -> "... found a tar archive of README.txt, userid-profile.tsv, ...; unpack it (tar xf) and
                                 give userid-timestamp-artid-artname-traid-traname.tsv with --format lastfm-1k"

Of sets that are published as archives the files that hold plays are known by name.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import IO

import pyarrow as pa

from transforms.common.errors import UserError

UNPACKED_FREELY = 1 << 30  # bytes that a packed file may hold whatever its size
MOST_TIMES = 200  # beyond them, how many times its size it may hold; logs shrink 5 to 30 times
DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, pa.ArrowException)
PUBLISHED: tuple[
    tuple[str, str | None], ...
] = (  # names of files inside, and the format that reads them; None = no times
    ("userid-timestamp-artid-artname-traid-traname.tsv", "lastfm-1k"),
    ("usersha1-artmbid-artname-plays.tsv", None),
    ("Streaming_History_Audio_*.json", "spotify-history"),
    ("endsong_*.json", "spotify-history"),
    ("listens/*.jsonl", "listenbrainz"),
    ("*.listens", "listenbrainz"),
)
_HEAD = 1 << 20  # enough to name what an archive holds
_LISTED = 5


class _Kept:
    """A stream that stays open when Arrow, which closes what it has read, lets go of it."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self.read = stream.read

    def close(self) -> None:
        """Nothing: whoever opened the stream closes it."""


def _zstd(stream: IO[bytes]) -> IO[bytes]:
    return pa.CompressedInputStream(pa.PythonFile(_Kept(stream), mode="r"), "zstd")  # type: ignore[no-any-return]


PACKED: dict[bytes, tuple[str, Callable[[IO[bytes]], IO[bytes]]]] = {
    b"\x1f\x8b": ("gzip", lambda stream: gzip.GzipFile(fileobj=stream, mode="rb")),  # type: ignore[dict-item,return-value]
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\x00": ("xz", lzma.LZMAFile),
    b"\x28\xb5\x2f\xfd": ("Zstandard", _zstd),
}


def opened(stream: IO[bytes], name: str) -> IO[bytes]:
    """The stream, unpacked where it is packed.

    Raises:
        UserError: it is an archive of several files, packed or not.
    """
    head = stream.read(512)
    stream.seek(0)
    if head.startswith(b"PK\x03\x04"):
        raise _archive(name, "zip", _zip_members(stream), "unzip it")
    if _is_tar(head):
        raise _archive(name, "tar", _members(stream), "unpack it (tar xf)")
    for first, (kind, unpack) in PACKED.items():
        if head.startswith(first):
            try:
                inside = unpack(stream).read(512)
                stream.seek(0)
                members = _members(unpack(stream)) if _is_tar(inside) else None
            except DAMAGED as error:
                raise damaged(name, kind, error) from None
            if members is not None:
                raise _archive(name, "tar", members, "unpack it (tar xf)")
            stream.seek(0)
            return _Unpacked(stream, name, kind, unpack(stream))  # type: ignore[return-value]
    return stream


def damaged(name: str, kind: str, error: Exception) -> UserError:
    """The error of a packed stream that cannot be read to its end."""
    return UserError(
        f"{name}: expected a whole {kind} file, found one that is cut short or damaged ({type(error).__name__})."
    )


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def _members(stream: IO[bytes]) -> list[str]:
    """Names of files at an archive's beginning; one that is cut short there gives those before the cut."""
    names = []
    try:
        with tarfile.open(fileobj=io.BytesIO(stream.read(_HEAD)), mode="r:") as archive:
            for member in archive:
                if member.isfile():
                    names.append(member.name)
    except (tarfile.TarError, EOFError):
        pass
    return names


def _zip_members(stream: IO[bytes]) -> list[str]:
    try:
        return [n for n in zipfile.ZipFile(stream).namelist() if not n.endswith("/")]
    except zipfile.BadZipFile:
        return []


def _archive(name: str, kind: str, members: list[str], how: str) -> UserError:
    inside = ", ".join(members[:_LISTED]) + (", ..." if len(members) > _LISTED else "")
    found = f"{name}: expected one file of lines, found a {kind} archive{f' of {inside}' if inside else ''}; {how} and give "
    for pattern, log_format in PUBLISHED:
        plays = [m for m in members if fnmatchcase(m, pattern) or fnmatchcase(m, f"*/{pattern}")]
        if plays and log_format:
            named = plays[0].rsplit("/", 1)[-1] if len(plays) == 1 else pattern
            return UserError(f"{found}{named} with --format {log_format}.")
        if plays:
            return UserError(f"{found}another set: {plays[0]} counts plays and has no times of them.")
    return UserError(f"{found}the files that hold plays.")


class _Unpacked:
    """A packed stream that stops where it holds so much more than its size that it can only mean harm."""

    def __init__(self, stream: IO[bytes], name: str, kind: str, plain: IO[bytes]) -> None:
        self._packed, self._name, self.kind, self._plain, self._given = stream, name, kind, plain, 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes.

        Raises:
            UserError: see the class; or the stream is cut short or damaged.
        """
        try:
            data = self._plain.read(size)
        except DAMAGED as error:
            raise damaged(self._name, self.kind, error) from None
        self._given += len(data)
        if self._given > UNPACKED_FREELY and self._given > MOST_TIMES * self._packed.tell():
            raise UserError(
                f"{self._name}: expected a {self.kind} file of a log, found one that unfolds to over {MOST_TIMES} times its "
                "size; unpack it yourself if it is what it should be."
            )
        return data
