"""Chunks: the unit that flows through Beam. A chunk is `(shard, {table: frame})`, every row of some listeners.

Why: one Python object a million rows instead of a million objects; a listener's listens, library and shelves meet in one
chunk without a join across machines. Every listener-side table is split by the same stable hash into the same shards and
sorted by listener inside, so a shard's tables can be walked in lockstep. The shape follows xarray-beam's `(Key, chunk)`.

    >>> shard_of(pl.Series(["ann", "bob", "ann"]), 4).tolist()
    [2, 0, 2]
    >>> [(s, f["n"].to_list()) for s, f in split(pl.DataFrame({"listener_id": ["ann", "bob", "ann"], "n": [1, 2, 3]}), 4)]
    [(0, [2]), (2, [1, 3])]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import md5

import numpy as np
import polars as pl

from transforms.common.errors import UserError
from transforms.tables.order import ordered
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse, reading

CHUNK_BYTES = 128 << 20


@dataclass
class Chunk:
    """Every row of some listeners of one shard, table by table, each sorted by its key."""

    shard: int
    tables: dict[str, pl.DataFrame]

    def __getitem__(self, table: str) -> pl.DataFrame:
        return self.tables[table]

    @property
    def rows(self) -> int:
        """Rows of all tables together."""
        return sum(frame.height for frame in self.tables.values())

    @property
    def bytes(self) -> int:
        """Size of all tables together in memory, estimated."""
        return sum(int(frame.estimated_size()) for frame in self.tables.values())


@dataclass(frozen=True)
class Part:
    """One file to read, and which shard of how many it holds. `day` is the date whose manifest named it."""

    path: str
    shard: int
    shards: int
    day: date


@dataclass(frozen=True)
class Spec:
    """One shard and the files of each table that hold its rows: what a worker needs to start.

    >>> print(Spec("./warehouse", 3, 16, {"listens": ()}))
    shard 3 of 16: listens 0 files
    """

    warehouse: str
    shard: int
    shards: int
    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        tables = ", ".join(f"{t} {len(p)} files" for t, p in self.parts.items())
        return f"shard {self.shard} of {self.shards}: {tables}"


def check_shards(shards: int) -> int:
    """The shard count itself, if it is a power of two.

    Raises:
        UserError: it is not.
    """
    if shards < 1 or shards & (shards - 1):
        raise UserError(
            f"the number of shards must be a power of two, so that it can double on any date; found {shards}"
        )
    return shards


def shard_of(ids: pl.Series, shards: int) -> np.ndarray:
    """Shard of each id: the first 4 bytes of md5(utf-8), big-endian, mod `shards`. Only distinct ids are hashed."""
    encoded = ids.to_arrow(compat_level=pl.CompatLevel.oldest()).dictionary_encode()
    digests = [md5(v.encode(), usedforsecurity=False).digest()[:4] for v in encoded.dictionary.to_pylist()]
    numbers = np.frombuffer(b"".join(digests), dtype=">u4").astype(np.int64)
    return numbers[encoded.indices.to_numpy()] % check_shards(shards)


def split(frame: pl.DataFrame, shards: int, by: str = "listener_id") -> list[tuple[int, pl.DataFrame]]:
    """Rows by shard, in shard order; within a shard in their given order. Shards without rows are left out."""
    if not frame.height:
        return []
    parts = frame.with_columns(pl.Series("_shard", shard_of(frame[by], shards)).cast(pl.Int32)).partition_by(
        "_shard", as_dict=True, include_key=False, maintain_order=True
    )
    return sorted(((int(key[0]), part) for key, part in parts.items()), key=lambda pair: pair[0])  # type: ignore[call-overload]


class _Stream:
    """One file, read row group by row group; `head` is what was read and not yet handed on."""

    def __init__(self, spec: Spec, part: Part, columns: Sequence[str] | None, dated: bool) -> None:
        self._file = Warehouse(spec.warehouse).open_parquet(part.path)
        self._path = part.path
        self._columns = list(columns) if columns is not None else None
        self._next = 0
        self._day = part.day if dated else None
        self._filter = (spec.shard, spec.shards) if part.shards < spec.shards else None
        self.head: pl.DataFrame | None = None

    @property
    def exhausted(self) -> bool:
        return self._next >= self._file.num_row_groups

    def fill(self) -> None:
        while (self.head is None or not self.head.height) and not self.exhausted:
            with reading(self._path):
                arrow = self._file.read_row_group(self._next, columns=self._columns)
            self._next += 1
            frame = pl.DataFrame(pl.from_arrow(arrow))
            if self._filter is not None and frame.height:
                shard, shards = self._filter
                frame = frame.filter(pl.Series(shard_of(frame["listener_id"], shards) == shard))
            if self._day is not None:
                frame = frame.with_columns(date=pl.lit(self._day))
            self.head = frame

    def take(self, upto: str | None) -> pl.DataFrame | None:
        """Hand on the rows of listeners up to and including `upto` (None = all)."""
        head = self.head
        if head is None or not head.height:
            return None
        if upto is None:
            self.head = None
            return head
        cut = int(head["listener_id"].search_sorted(upto, side="right"))
        self.head = head.slice(cut)
        return head.slice(0, cut) if cut else None


def read_chunks(
    spec: Spec,
    columns: Mapping[str, Sequence[str]] | None = None,
    dated: Sequence[str] = (),
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[Chunk]:
    """Walk a shard's tables in lockstep by listener.

    Each file is sorted by listener and no row group cuts a listener (the writer's promise), so once a row group of every
    file is in memory, every listener up to the smallest last one is complete.

    Args:
        spec: the shard and its files.
        columns: columns to read of each table (`listener_id` must be among them); a table not named is read whole.
        dated: tables that get a `date` column: the date they were filed under.
        chunk_bytes: a chunk is handed on once it holds this much (estimated, in memory).

    Yields:
        Chunks in listener order; every table of the spec is in each (empty where these listeners have no rows).

    Raises:
        UserError: a file is missing or damaged.
    """
    columns = columns or {}
    streams = [(t, _Stream(spec, p, columns.get(t), t in dated)) for t, parts in spec.parts.items() for p in parts]
    pending: dict[str, list[pl.DataFrame]] = {t: [] for t in spec.parts}
    size = 0
    while True:
        for _, stream in streams:
            stream.fill()
        heads = [s.head for _, s in streams if not s.exhausted and s.head is not None and s.head.height]
        frontier = min((h["listener_id"][-1] for h in heads), default=None)
        for table, stream in streams:
            taken = stream.take(frontier)
            if taken is not None:
                pending[table].append(taken)
                size += int(taken.estimated_size())
        done = all(s.exhausted and (s.head is None or not s.head.height) for _, s in streams)
        if size and (size >= chunk_bytes or done):
            yield Chunk(spec.shard, {t: _join(t, parts, columns.get(t), t in dated) for t, parts in pending.items()})
            pending = {t: [] for t in spec.parts}
            size = 0
        if done:
            return


def _join(table: str, parts: list[pl.DataFrame], columns: Sequence[str] | None, dated: bool) -> pl.DataFrame:
    if not parts:
        empty = TABLES[table].empty()
        # an open column (rank_als) is declared by no schema, so an empty table cannot have it
        empty = empty.select([c for c in columns if c in empty.columns]) if columns is not None else empty
        return empty.with_columns(date=pl.lit(None, dtype=pl.Date)) if dated else empty
    # before they are joined: files of one table may be of different ages
    parts = [TABLES[table].completed(part, columns) for part in parts]
    frame = parts[0] if len(parts) == 1 else pl.concat(parts, how="diagonal")
    if len(parts) == 1:
        return frame
    keys = [k for k in TABLES[table].key if k in frame.columns and k != "listener_id"]
    return ordered(frame, ["listener_id", *keys])
