"""Delimited text of any columns, by a mapping file; `.gz` is read as it is.

    listener,song,at
    ann,t1,2026-01-05T10:00:00Z

with `columns: {listener_id: listener, track_id: song, started_at: at}`. List columns (artist_ids, tags) are `;`-joined.
Numbers may be written as 210000 or 210000.0.
"""

from __future__ import annotations

import polars as pl

from transforms.common.errors import UserError
from transforms.formats.base import Options, Parsed, accept
from transforms.formats.mapping import IDENTITY, Mapping
from transforms.formats.text import Block, delimited
from transforms.formats.times import TimeUnit, read_bool, read_time

BOOLEANS = ("skipped", "completed", "shuffle")
NUMBERS = ("ms_played", "duration_ms")
_INT32_MAX = 2**31 - 1


def header_of(first_line: bytes, mapping: Mapping, file: str) -> list[str]:
    """Column names of a file: its header line, or 1, 2, 3, ... where it has none.

    Raises:
        UserError: a name stands twice, or the line cannot be read as columns.
    """
    import csv

    text = first_line.rstrip(b"\r\n").decode("utf-8", "replace")
    try:
        numbered = _numbered(text, mapping)
    except csv.Error:
        raise UserError(f"{file}: expected a first line of columns, found one that cannot be read as such.") from None
    if not mapping.header:
        return numbered
    count = delimited(Block(file, 1, first_line.rstrip(b"\r\n") + b"\n"), numbered, mapping.delimiter)
    if not count.frame.height:
        raise UserError(f"{file}: expected a header line, found one whose quotes never close.")
    names = [str(n) if n is not None else f"column {i}" for i, n in enumerate(count.frame.row(0)[:-1], 1)]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UserError(f"{file}: expected every column to have a name of its own, found {twice[0]!r} twice.")
    return names


def _numbered(text: str, mapping: Mapping) -> list[str]:
    import csv

    row = next(csv.reader([text], delimiter=mapping.delimiter), [])
    return [str(i) for i in range(1, len(row) + 1)]


def parse(block: Block, names: list[str], options: Options) -> Parsed:
    """Parse a block of lines (without the header).

    Args:
        block: whole lines.
        names: the file's columns, from `header_of`.
        options: with the mapping; None = the columns are called like ours.

    Raises:
        UserError: a mapped column is not in the file.
    """
    mapping = options.mapping or IDENTITY
    found = mapping.present(names, block.file)
    table = delimited(block, names, mapping.delimiter)
    return accept(mapped(table.frame, found, mapping.time), block.raw, options, table.broken)


def mapped(frame: pl.DataFrame, found: dict[str, str], time: TimeUnit) -> pl.DataFrame:
    """Their columns as ours; text is read into each column's type, and what a type cannot hold becomes a reason."""
    frame = frame.select("line", *(pl.col(theirs).alias(ours) for ours, theirs in found.items()))
    schema = frame.schema
    reads: list[pl.Expr] = [pl.col("listener_id").cast(pl.String), pl.col("track_id").cast(pl.String)]
    if not schema["started_at"].is_temporal():
        reads.append(read_time(pl.col("started_at"), time).alias("started_at"))
    reads += [read_bool(pl.col(c)).alias(c) for c in BOOLEANS if c in schema and schema[c] != pl.Boolean]
    for c in NUMBERS:
        if c in schema:
            number = pl.col(c) if schema[c].is_integer() else pl.col(c).cast(pl.Float64, strict=False).round(0)
            reads.append(pl.when(number.is_between(-1, _INT32_MAX)).then(number).cast(pl.Int32).alias(c))
    for c in ("artist_ids", "tags"):
        if c in schema and not isinstance(schema[c], pl.List):
            reads.append(pl.col(c).cast(pl.String).str.split(";").alias(c))
    single = next((c for c in ("artist_id", "artist") if c in schema), None)
    if single and "artist_ids" not in schema:
        reads.append(_listed(single, schema[single]).alias("artist_ids"))
    reads += [pl.col(c).cast(pl.String).alias(n) for c, n in _TEXT.items() if c in schema]
    if "ms_played" in schema:
        unreadable = pl.col("ms_played").is_not_null() & reads_null("ms_played", schema["ms_played"])
        ids = pl.all_horizontal(
            (pl.col(c).cast(pl.String).str.strip_chars() != "").fill_null(False) for c in ("listener_id", "track_id")
        )
        reads.append(pl.when(unreadable & ids).then(pl.lit("bad_ms_played")).alias("reason"))
    return frame.with_columns(reads)


_TEXT = {
    "title": "title",
    "album": "album_id",
    "isrc": "isrc",
    "mbid": "mbid",
    "context": "context",
    "shelf_id": "shelf_id",
    "device_id": "device_id",
    "platform": "platform",
    "country": "country",
}


def _listed(column: str, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.List):
        return pl.col(column).cast(pl.List(pl.String))
    return pl.col(column).cast(pl.String).str.split(";")


def reads_null(column: str, kind: pl.DataType) -> pl.Expr:
    """Whether a number is not one that the column can hold: text that is no number, negative, or beyond 32 bits."""
    number = pl.col(column) if kind.is_numeric() else pl.col(column).cast(pl.Float64, strict=False)
    return (number.is_null() | ~number.is_between(0, _INT32_MAX)).fill_null(True)
