"""What every store keeps, whatever its bytes lie in; see `transforms.tables.store`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import PurePosixPath
from typing import Any, Protocol

import pyarrow as pa

from transforms.common.errors import UserError

Token = str | int | None


class Store(Protocol):
    """Objects under a root, named by relative paths with forward slashes."""

    root: str

    def read(self, path: str) -> bytes:
        """The object's bytes. Raises FileNotFoundError."""

    def read_with_token(self, path: str) -> tuple[bytes | None, Token]:
        """Bytes and the token to hand to `replace`; (None, None) where there is no object, in every store."""

    def write(self, path: str, data: bytes) -> None:
        """Create or overwrite, all or nothing."""

    def adopt(self, local: str, path: str) -> None:
        """Move a finished local file in, all or nothing."""

    def replace(self, path: str, data: bytes, token: Token) -> bool:
        """Write only if the object is still the one `token` was read with (None: there is none still); False if not."""

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

    def settle(self, paths: Sequence[str]) -> None:
        """Return when these objects would be there after a power loss."""

    def turn(self, who: str) -> AbstractContextManager[Any]:
        """Commit with nobody between, see `transforms.tables.turns`. Raises LostRace."""

    def at_work(self) -> str:
        """A text for claims, by which `is_at_work` knows that this process has not ended."""

    def ended(self) -> None:
        """What this process claimed so far is no longer worked on."""

    def others_at_work(self) -> bool:
        """Whether another process is known to work on something here."""

    def is_at_work(self, claim: str, folder: str) -> bool:
        """Whether whoever made a claim with this text, or writes into this folder, is still at work."""


def checked(path: str) -> str:
    """The path itself, if it stays inside the root.

    Raises:
        UserError: it is absolute or climbs out.
    """
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\x00" in path:
        raise UserError("a path in the warehouse must stay inside it; found one that is absolute or contains '..'")
    return path
