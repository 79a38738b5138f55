"""A warehouse that is only looked at: everything is read as it stands, and what a plan would write is not.

    warehouse = Warehouse(dry("./warehouse"))
    run = plan(warehouse, "sessions", day, ...)     # a run, as if claimed; None where the date is current

A plan claims a folder for its run, and tidying up deletes: both are passed over. A row that is written after all is a mistake of
the program, so that raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import pyarrow as pa

from transforms.tables.store_base import Store, Token

PREFIX = "dry:"


def dry(url: str) -> str:
    """The address of a warehouse that nothing is written to."""
    return url if is_dry(url) else PREFIX + url


def is_dry(url: str) -> bool:
    """Whether nothing is written to this warehouse."""
    return url.startswith(PREFIX)


class DryStore:
    """Another store, for reading. Claims succeed and leave nothing, deletions are passed over."""

    def __init__(self, behind: Store) -> None:
        self._behind = behind
        self.root = behind.root

    def read(self, path: str) -> bytes:
        return self._behind.read(path)

    def read_with_token(self, path: str) -> tuple[bytes | None, Token]:
        return self._behind.read_with_token(path)

    def open(self, path: str) -> pa.NativeFile:
        return self._behind.open(path)

    def paths(self, prefix: str) -> list[str]:
        return self._behind.paths(prefix)

    def folders(self, prefix: str) -> list[str]:
        return self._behind.folders(prefix)

    def folders_with(self, prefix: str, name: str) -> list[str]:
        return self._behind.folders_with(prefix, name)

    def leftovers(self) -> list[str]:
        return self._behind.leftovers()

    def replace(self, path: str, data: bytes, token: Token) -> bool:
        return True

    def delete(self, prefix: str) -> None:
        return None

    def settle(self, paths: Sequence[str]) -> None:
        return None

    def ended(self) -> None:
        return None

    def at_work(self) -> str:
        return ""

    def others_at_work(self) -> bool:
        return self._behind.others_at_work()

    def is_at_work(self, claim: str, folder: str) -> bool:
        return self._behind.is_at_work(claim, folder)

    def write(self, path: str, data: bytes) -> None:
        self._refuse(path)

    def adopt(self, local: str, path: str) -> None:
        self._refuse(path)

    def turn(self, who: str) -> AbstractContextManager[Any]:
        self._refuse(who)

    def _refuse(self, what: str) -> NoReturn:
        raise RuntimeError(f"nothing may be written to a warehouse that is only looked at: {what}")
