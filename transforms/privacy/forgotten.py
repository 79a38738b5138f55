"""Who was forgotten: a list of keyed hashes in the warehouse, so that nobody comes back with the next export of a log.

A listener who was forgotten must be recognised when a log names them again, so something has to stay: HMAC-SHA256 of
the id under the list's own random salt. It stands in no other place, so it links to nothing; somebody who has both the
warehouse and the person's id can tell that they were forgotten, and nobody can list ids from it. Ingest refuses their
rows with the reason `forgotten`, and `forget` knows by it what to take out, so that no id travels in a job's graph.

Of a refused line the warehouse knows 16 bits of a hash of its listener (`prints_of`): too few to tell whose it is, enough to find
it again. The list keeps those of its own people, so that a backup that is put back can be gone over for everybody.

    forgotten/_list.json    {"salt": "...", "hashes": ["...", ...], "prints": [...]}
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import polars as pl

from transforms.common.errors import UserError
from transforms.tables.chunks import shard_of
from transforms.tables.warehouse import Warehouse

LIST = "forgotten/_list.json"
PRINTS = 1 << 16
REASON = "forgotten"


@dataclass(frozen=True)
class Forgotten:
    """The list. `salt` is 32 hex characters, `hashes` 32 each; an empty list has no salt. `prints` are of its people."""

    salt: str = ""
    hashes: frozenset[str] = frozenset()
    prints: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def hash(self, listener: str) -> str:
        """How a listener stands on the list."""
        return hmac.digest(bytes.fromhex(self.salt), listener.encode(), "sha256").hex()[:32]

    def among(self, ids: Iterable[str]) -> set[str]:
        """Those of some ids that are on the list."""
        return {i for i in ids if self.hash(i) in self.hashes} if self else set()

    def mask(self, ids: pl.Series) -> np.ndarray:
        """Which rows are of somebody on the list, bool. Only distinct ids are hashed."""
        found = self.among(ids.drop_nulls().unique().to_list()) if self else set()
        if not found:
            return np.zeros(len(ids), dtype=bool)
        return ids.is_in(pl.Series(sorted(found), dtype=pl.String).implode()).fill_null(False).to_numpy()

    @property
    def fingerprint(self) -> str | None:
        """16 hex characters that change with the list; None for an empty one."""
        return sha256("\n".join([self.salt, *sorted(self.hashes)]).encode()).hexdigest()[:16] if self else None


def prints_of(listeners: Iterable[str | None]) -> list[int | None]:
    """16 bits of each id's shard hash; null for null. What tells somebody's refused lines from nearly everybody else's."""
    ids = list(listeners)
    known = sorted({i for i in ids if i is not None})
    found = dict(zip(known, shard_of(pl.Series(known, dtype=pl.String), PRINTS).tolist(), strict=True)) if known else {}
    return [None if i is None else int(found[i]) for i in ids]


def forgotten(warehouse: Warehouse) -> Forgotten:
    """A warehouse's list.

    Raises:
        UserError: the list cannot be read.
    """
    return _parsed(warehouse.store.read_with_token(LIST)[0])


def add(warehouse: Warehouse, listeners: Iterable[str]) -> Forgotten:
    """Put listeners on the list. Whoever is on it already stays once."""
    ids = list(listeners)
    wanted = {p for p in prints_of(ids) if p is not None}
    return _change(
        warehouse,
        lambda known: Forgotten(known.salt, known.hashes | {known.hash(i) for i in ids}, known.prints | wanted),
    )


def readmit(warehouse: Warehouse, listeners: Iterable[str]) -> int:
    """Take listeners off the list: rows that are ingested from now on are taken again. Returns how many were on it."""
    ids, before = list(listeners), len(forgotten(warehouse).hashes)
    wanted = {p for p in prints_of(ids) if p is not None}
    after = _change(
        warehouse,
        lambda known: Forgotten(known.salt, known.hashes - {known.hash(i) for i in ids}, known.prints - wanted),
    )
    return before - len(after.hashes)


def _change(warehouse: Warehouse, change: Callable[[Forgotten], Forgotten]) -> Forgotten:
    while True:
        data, token = warehouse.store.read_with_token(LIST)
        known = _parsed(data)
        known = known if known.salt else Forgotten(secrets.token_hex(16))
        wanted = change(known)
        if wanted == known and data is not None:
            return wanted
        body = {"salt": wanted.salt, "hashes": sorted(wanted.hashes), "prints": sorted(wanted.prints)}
        if warehouse.store.replace(LIST, (json.dumps(body, indent=1) + "\n").encode(), token):
            return wanted


def _parsed(data: bytes | None) -> Forgotten:
    if data is None:
        return Forgotten()
    try:
        body = json.loads(data)
        wanted = frozenset(map(int, body.get("prints", ())))
        return Forgotten(str(body["salt"]), frozenset(map(str, body["hashes"])), wanted)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{LIST} is not the list of who was forgotten; put it back from a backup before anything is ingested"
        ) from error
