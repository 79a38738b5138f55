"""Input files: finding them, opening them (local or a bucket), and their content's hash, which is their identity."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import IO

from transforms.common.errors import UserError
from transforms.common.printable import printable

ROLES = ("log", "tracks", "listeners", "feedback", "impressions", "blends", "signals")
_NOTHING = sha256().hexdigest()


@dataclass(frozen=True)
class InputFile:
    """One input file. `name` is what stands in `rejects`; `role` is `log` or the table it holds rows of.

    `stamp` says how the file stood when it was hashed (size, time, which file); "" where that is not known.
    """

    path: str
    name: str
    sha256: str
    bytes: int
    role: str = "log"
    stamp: str = ""

    @property
    def empty(self) -> bool:
        """Whether it has no bytes at all. (`bytes` is not known of an exported table.)"""
        return self.sha256 == _NOTHING

    @property
    def identity(self) -> tuple[str, str]:
        """What an ingest knows it again by: its content and what it was read as."""
        return self.sha256, self.role


def find(patterns: Sequence[str]) -> list[str]:
    """Paths that the globs match, sorted, each once.

    Raises:
        UserError: a pattern matches no file.
    """
    found: set[str] = set()
    for pattern in patterns:
        matched = _match(pattern)
        if not matched:
            raise UserError(f"--input {pattern}: expected a file or a pattern that matches files, found none.")
        found.update(matched)
    return sorted(found)


def _match(pattern: str) -> list[str]:
    if "://" not in pattern:
        paths = [pattern] if os.path.isfile(pattern) else glob.glob(pattern, recursive=True)
        return [p for p in paths if os.path.isfile(p)]
    from apache_beam.io.filesystems import FileSystems

    return [m.path for result in FileSystems.match([pattern]) for m in result.metadata_list]


def open_input(path: str) -> IO[bytes]:
    """A seekable stream of a file's bytes as they are (gzip is not undone).

    Raises:
        UserError: it cannot be read.
    """
    if "://" not in path:
        try:
            return open(path, "rb")
        except OSError as error:
            raise UserError(f"{path}: expected a readable file, found none ({error.strerror}).") from error
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    try:
        return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    except Exception as error:  # each file system has errors of its own
        raise UserError(
            f"{path}: expected an object that can be read, found none ({type(error).__name__}); check its name and the "
            "rights on it."
        ) from error


def identify(paths: Sequence[str], role: str = "log") -> list[InputFile]:
    """Hash the files. Names are the shortest ends of their paths that tell them apart."""
    names = _names(paths)
    out = []
    for path in paths:
        digest, size, stamp = sha256(), 0, stamp_of(path)
        with open_input(path) as stream:
            while data := stream.read(4 << 20):
                digest.update(data)
                size += len(data)
        out.append(InputFile(path, names[path], digest.hexdigest(), size, role, stamp))
    return out


def stamp_of(path: str) -> str:
    """How a file stands now: another size, time or file under its name makes another stamp; "" if it is gone."""
    try:
        if "://" not in path:
            found = os.stat(path)
            return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"
        from apache_beam.io.filesystems import FileSystems

        (match,) = FileSystems.match([path])
        return " ".join(f"{m.size_in_bytes} {m.last_updated_in_seconds}" for m in match.metadata_list)
    except Exception:  # each file system has errors of its own; what cannot be looked at cannot be the same
        return ""


def require_unchanged(files: Sequence[InputFile]) -> None:
    """Look whether files still are what they were when they were hashed: what was parsed since then is of that content.

    Raises:
        UserError: one was written to, cut, or replaced.
    """
    for file in files:
        if not file.stamp or stamp_of(file.path) == file.stamp:
            continue
        try:
            (now,) = identify([file.path], file.role)
        except UserError:
            now = None
        if now is None or now.sha256 != file.sha256:
            raise UserError(
                f"{file.name} was written to, cut or replaced while it was read; nothing was committed: ingest it when nobody "
                "writes to it any more, a log that is rotated as the copy that was put aside."
            )


def _names(paths: Sequence[str]) -> dict[str, str]:
    split = {p: printable(p.replace("\\", "/")).split("/") for p in paths}
    for depth in range(1, max((len(s) for s in split.values()), default=1) + 1):
        names = {p: "/".join(s[-depth:]) for p, s in split.items()}
        if len(set(names.values())) == len(names):
            return names
    return {p: printable(p) for p in paths}
