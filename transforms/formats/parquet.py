"""Parquet of any columns, by a mapping file (or none, where the columns are called like ours already).

Only the mapped columns are read, some row groups at a time; a row's number in the file, from 1, stands for its line.
Times may be Parquet timestamps (without a zone they are UTC), whatever the mapping's `time` says, or text or numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.common.errors import UserError
from transforms.formats.base import Options, Parsed, accept
from transforms.formats.csv import mapped
from transforms.formats.mapping import IDENTITY

PIECE_ROWS = 1_000_000
MOST_ROWS = 50_000_000  # of a row group
MOST_BYTES = 8 << 30  # of a piece's columns once unpacked
BATCH_ROWS = 1 << 16
UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError, KeyError, IndexError)


@dataclass(frozen=True)
class RowGroups:
    """Some row groups of a file. `first_row` is the number, from 0, of their first row."""

    groups: tuple[int, ...]
    first_row: int
    rows: int


def pieces(file: pq.ParquetFile, rows: int = PIECE_ROWS) -> Iterator[RowGroups]:
    """Runs of row groups of about `rows` rows each."""
    groups: list[int] = []
    first = held = 0
    for group in range(file.num_row_groups):
        groups.append(group)
        held += file.metadata.row_group(group).num_rows
        if held >= rows or group == file.num_row_groups - 1:
            yield RowGroups(tuple(groups), first, held)
            first, held, groups = first + held, 0, []


def open_file(source: str | IO[bytes], name: str) -> pq.ParquetFile:
    """Open a file.

    Raises:
        UserError: it is not Parquet.
    """
    try:
        file = pq.ParquetFile(source, coerce_int96_timestamp_unit="us")  # nanoseconds wrap beyond 2262
        rows = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        file.schema_arrow  # noqa: B018  (a damaged schema is met here)
    except UNREADABLE as error:
        raise UserError(f"{name}: expected a Parquet file, found one that is not ({type(error).__name__}).") from None
    if any(not 0 <= n <= MOST_ROWS for n in rows):
        raise UserError(
            f"{name}: expected row groups of at most {MOST_ROWS:,} rows, found {max(rows):,}; write the file with smaller "
            "ones."
        )
    return file


def check(file: pq.ParquetFile, name: str, options: Options) -> None:
    """See that the mapped columns are there and hold what they should.

    Raises:
        UserError: a column is missing, or is of a type that cannot be read as ours.
    """
    mapping = options.mapping or IDENTITY
    schema = file.schema_arrow
    found = mapping.present(schema.names, name, options.listener is not None)
    kind = schema.field(found["started_at"]).type
    if pa.types.is_integer(kind) and mapping.time == "iso":
        raise UserError(
            f"{name}: expected times as timestamps or ISO text in column {found['started_at']!r}, found {kind}; "
            "say time: unix_s, unix_ms or unix_us in the mapping file."
        )
    for ours in (c for c in ("listener_id", "track_id") if c in found):
        kind = schema.field(found[ours]).type
        if pa.types.is_nested(kind) or pa.types.is_floating(kind):
            raise UserError(f"{name}: expected text or integers in column {found[ours]!r} for {ours}, found {kind}.")


def parse(file: pq.ParquetFile, piece: RowGroups, name: str, options: Options) -> Parsed:
    """Parse some row groups.

    Raises:
        UserError: a mapped column is missing or of a type that cannot be read as ours, or the row groups are damaged.
    """
    mapping = options.mapping or IDENTITY
    found = mapping.present(file.schema_arrow.names, name, options.listener is not None)
    frame = read(file, piece.groups, list(found.values()), name).with_columns(
        line=pl.int_range(piece.first_row + 1, piece.first_row + piece.rows + 1, dtype=pl.Int64)
    )

    def raw(lines: list[int]) -> dict[int, str]:
        rows = frame[[n - 1 - piece.first_row for n in lines]].drop("line")
        return {
            n: "\t".join("" if v is None else str(v) for v in row)
            for n, row in zip(lines, rows.iter_rows(), strict=True)
        }

    try:
        ours, unread = mapped(frame, found, mapping.time, options.listener)
        if isinstance(kind := ours.schema["started_at"], pl.Datetime):
            started = pl.col("started_at").cast(pl.Datetime("us", kind.time_zone))
            zoned = started.dt.convert_time_zone("UTC") if kind.time_zone else started.dt.replace_time_zone("UTC")
            ours = ours.with_columns(started_at=zoned)
        return accept(ours, raw, options, unread=unread)
    except pl.exceptions.PolarsError:
        types = ", ".join(f"{theirs!r} {frame.schema[theirs]}" for theirs in found.values())
        raise UserError(
            f"{name}: expected columns that can be read as ours, found {types}; write the odd one as text or a number."
        ) from None


def read(file: pq.ParquetFile, groups: Sequence[int], columns: list[str], name: str) -> pl.DataFrame:
    """Columns of some row groups, as the file's footer announces them and no larger.

    Raises:
        UserError: the bytes are damaged, or unfold to more than a worker should hold.
    """
    rows = sum(file.metadata.row_group(g).num_rows for g in groups)
    batches, held = [], 0
    try:
        for stored in file.iter_batches(BATCH_ROWS, list(groups), columns=columns):
            batch = _plain(stored)
            held += batch.nbytes
            if held > MOST_BYTES:
                raise UserError(
                    f"{name}: expected row groups of at most {MOST_BYTES >> 30} GB once unpacked, found larger ones; write "
                    "the file with smaller row groups."
                )
            batch.validate(full=True)  # text that is not UTF-8 must not reach code that trusts it
            batches.append(batch)
        if sum(b.num_rows for b in batches) != rows:
            raise pa.ArrowInvalid("rows are missing")
        table = pa.Table.from_batches(batches, batches[0].schema if batches else _schema(file, columns))
        return pl.DataFrame(pl.from_arrow(table, rechunk=True))
    except (*UNREADABLE, pl.exceptions.PolarsError) as error:
        raise UserError(
            f"{name}: expected a readable Parquet file, found damaged row groups ({type(error).__name__})."
        ) from None


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with dictionaries written out."""
    types = [f.type.value_type if pa.types.is_dictionary(f.type) else f.type for f in batch.schema]
    if types == batch.schema.types:
        return batch
    return batch.cast(pa.schema([f.with_type(kind) for f, kind in zip(batch.schema, types, strict=True)]))


def _schema(file: pq.ParquetFile, columns: list[str]) -> pa.Schema:
    return pa.schema([file.schema_arrow.field(c) for c in columns])
