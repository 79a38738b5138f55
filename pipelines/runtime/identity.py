"""Listeners named on a command line or in a file, as the warehouse knows them: their pseudonyms where it holds those."""

from __future__ import annotations

from collections.abc import Sequence

from transforms.common.errors import UserError
from transforms.formats.files import open_input
from transforms.privacy.pseudonyms import key_source, stored_ids
from transforms.tables.warehouse import Warehouse


def known_as(warehouse: str, listeners: Sequence[str], key_file: str | None = None) -> list[str]:
    """Ids as they stand in the warehouse.

    Args:
        listeners: ids as they came; or, without a key, as they are stored.
        key_file: file with the key of pseudonyms; default: the environment's key, where there is one.

    Raises:
        UserError: the key is not the one the warehouse was begun with, or an id is empty.
    """
    if any(not listener.strip() for listener in listeners):
        raise UserError("expected listener ids, found an empty one; name each listener as the log does")
    return stored_ids(Warehouse(warehouse), list(listeners), key_source(key_file))


def ids_of_file(path: str) -> list[str]:
    """Ids of a file, one a line, local or in a bucket.

    Raises:
        UserError: it cannot be read, is not text, or names nobody.
    """
    with open_input(path) as stream:
        try:
            lines = stream.read().decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise UserError(f"{path}: expected listener ids as UTF-8 text, one a line, found other bytes") from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise UserError(f"{path} holds no listener ids; expected one a line")
    return found
