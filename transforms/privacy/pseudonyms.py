"""Pseudonyms: a listener's id replaced by a keyed hash before anything is written.

The keyed hash is HMAC-SHA256 (RFC 2104), cut to 128 bits, as 32 hex characters. Whoever has the warehouse and not the key
cannot tell whose rows they are, nor try ids out; whoever has the key gets from an id to its rows, never back. The key
stands in a file or in the environment and is read where it is needed: it travels in no graph and stands in no warehouse.
Manifests record its fingerprint, so that a second batch cannot come in under another key and split every listener in two.

    >>> names = Pseudonyms(b"a key of at least 16 bytes")
    >>> names.of("ann") == names.of("ann") != names.of("bob"), len(names.of("ann"))
    (True, 32)
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from transforms.common.errors import UserError
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

ENVIRONMENT = "NIGHTSHELF_PSEUDONYM_KEY"
RECORDED = "pseudonyms"  # key of a manifest's settings that holds the fingerprint
OPEN_TO_OTHERS = 0o027  # bits of a key file's mode: all of others', and writing of the group's
SHORTEST_KEY = 16
KEYED = tuple(table.name for table in TABLES.values() if table.keyed)


class Pseudonyms:
    """A key at work. Never pickled, printed or written: hand its source on instead."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "Pseudonyms(...)"

    def __reduce__(self) -> str:
        raise TypeError("a key does not travel; hand on where it is read from")

    @property
    def fingerprint(self) -> str:
        """16 hex characters that tell keys apart and give none away."""
        return hmac.digest(self._key, b"nightshelf fingerprint", "sha256").hex()[:16]

    def of(self, listener: str) -> str:
        """A listener's pseudonym: 32 hex characters."""
        return hmac.digest(self._key, b"listener/" + listener.encode(), "sha256").hex()[:32]

    def line(self, raw: str) -> str:
        """What `rejects` keeps of a line, or a file's name: its keyed hash."""
        return "hmac-sha256:" + hmac.digest(self._key, b"line/" + raw.encode(), "sha256").hex()

    def column(self, ids: pl.Series) -> pl.Series:
        """The pseudonym of every id (nulls stay null). Only distinct ids are hashed."""
        distinct = ids.drop_nulls().unique()
        mapped = pl.Series([self.of(i) for i in distinct.to_list()], dtype=pl.String)
        return ids.replace_strict(distinct, mapped, default=None, return_dtype=pl.String)

    def rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A frame with its `listener_id` replaced."""
        if "listener_id" not in frame.columns:
            return frame
        return frame.with_columns(self.column(frame["listener_id"]).alias("listener_id"))

    def rejects(self, rejects: pl.DataFrame) -> pl.DataFrame:
        """Refused lines with nothing of their text: every `raw` is a keyed hash of what was kept of the line."""
        raw = [None if r is None else self.line(r) for r in rejects["raw"].to_list()]
        return rejects.with_columns(pl.Series("raw", raw, dtype=pl.String))


@dataclass(frozen=True)
class KeySource:
    """Where a key is read from: a file, local or in a bucket, or (None) the environment."""

    file: str | None = None

    def load(self) -> Pseudonyms:
        """Read the key, once a process.

        Raises:
            UserError: it cannot be read here, or is too short.
        """
        return _load(self.file)


@lru_cache(maxsize=4)
def _load(file: str | None) -> Pseudonyms:
    if file is None:
        key = os.environ.get(ENVIRONMENT, "").encode()
        where = f"the environment variable {ENVIRONMENT}"
        if not key:
            raise UserError(
                f"expected the pseudonym key in {where}, found none; where jobs run on other machines, put it in a file "
                "they can read and give --pseudonym-key-file"
            )
    else:
        from transforms.formats.files import open_input

        where = f"--pseudonym-key-file {file}"
        if "://" not in file and os.path.exists(file) and (mode := os.stat(file).st_mode) & OPEN_TO_OTHERS:
            raise UserError(
                f"{where}: expected a key that only its owner (and a group that may not write) can read, found mode "
                f"{mode & 0o777:o}; close it with `chmod 600`, and make another key if somebody may have read it"
            )
        with open_input(file) as stream:
            key = stream.read(4096).strip()
    if len(key) < SHORTEST_KEY:
        raise UserError(
            f"{where}: expected a key of at least {SHORTEST_KEY} bytes, found {len(key)}; make one with "
            "`(umask 077; openssl rand -hex 32 > KEY)`"
        )
    return Pseudonyms(key)


def key_source(file: str | None) -> KeySource | None:
    """Where the key is: the file if one is given, else the environment if it holds one, else None: ids as they came."""
    if file is not None:
        return KeySource(file)
    return KeySource() if os.environ.get(ENVIRONMENT) else None


def fingerprint_of(warehouse: Warehouse) -> tuple[bool, str | None]:
    """Whether a warehouse holds listeners' ids, and the fingerprint of the key they were made with (None: as they came)."""
    for table in KEYED:
        for day in reversed(warehouse.dates(table)):
            manifest = warehouse.current(table, day)
            if manifest is not None:
                return True, manifest.settings.get(RECORDED)
    return False, None


def checked_key(warehouse: Warehouse, source: KeySource | None) -> Pseudonyms | None:
    """The key of an ingest, if it is the one the warehouse was begun with; None for ids as they came.

    Raises:
        UserError: the warehouse was begun with another key, with none, or with one and none is given.
    """
    names = source.load() if source else None
    holds, fingerprint = fingerprint_of(warehouse)
    if not holds or fingerprint == (names.fingerprint if names else None):
        return names
    if names is None:
        raise UserError(
            f"this warehouse holds pseudonyms made with the key of fingerprint {fingerprint}, and no key is given; give "
            f"it with --pseudonym-key-file or in {ENVIRONMENT}"
        )
    if fingerprint is None:
        raise UserError(
            "this warehouse holds listeners' ids as they came, and a pseudonym key is given; ingest into a new warehouse, "
            "or without a key"
        )
    raise UserError(
        f"expected the pseudonym key of fingerprint {fingerprint}, with which this warehouse was begun, found one of "
        f"fingerprint {names.fingerprint}; give that key, or ingest into a new warehouse"
    )


def stored_ids(warehouse: Warehouse, listeners: list[str], source: KeySource | None) -> list[str]:
    """Ids as the warehouse holds them: pseudonyms where it was begun with a key and that key is given, else as given.

    Without a key the ids given are taken for what is stored, so a pseudonym may be named too.

    Raises:
        UserError: the key is another than the warehouse's, or the warehouse knows no key and a file of one is given.
    """
    holds, fingerprint = fingerprint_of(warehouse)
    if source is None or (fingerprint is None and source.file is None) or not holds:
        return listeners
    names = checked_key(warehouse, source)
    return [names.of(i) for i in listeners] if names else listeners
