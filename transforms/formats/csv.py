"""Delimited text of any columns, by a mapping file; `.gz` is read as it is.

    listener,song,at
    ann,t1,2026-01-05T10:00:00Z

with `columns: {listener_id: listener, track_id: song, started_at: at}`. List columns (artist_ids, tags) are `;`-joined.
How a cell is read stands in `values`; a cell that cannot be read counts as unknown, and is counted.
"""

from __future__ import annotations

import polars as pl

from transforms.common.errors import UserError
from transforms.formats.base import Options, Parsed, accept
from transforms.formats.mapping import IDENTITY, Mapping
from transforms.formats.songs import with_track_ids
from transforms.formats.text import LineBlock, delimited
from transforms.formats.times import TimeUnit, read_time
from transforms.formats.values import (
    LONGEST_TRACK_MS,
    missing,
    read_bool,
    read_list,
    read_number,
    said,
    signal_of,
    unread,
    well_formed_isrc,
    well_formed_mbid,
)
from transforms.signals.declared import NUMBER, TEXT

BOOLEANS = ("skipped", "completed", "shuffle")


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
    count = delimited(LineBlock(file, 1, first_line.rstrip(b"\r\n") + b"\n"), numbered, mapping.delimiter)
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


def parse(block: LineBlock, names: list[str], options: Options) -> Parsed:
    """Parse a block of lines (without the header).

    Args:
        block: whole lines.
        names: the file's columns, from `header_of`.
        options: with the mapping; None = the columns are called like ours.

    Raises:
        UserError: a mapped column is not in the file.
    """
    mapping = options.mapping or IDENTITY
    found = mapping.present(names, block.file, options.listener is not None)
    table = delimited(block, names, mapping.delimiter)
    frame, lost = mapped(table.frame, found, mapping.time, options.listener)
    return accept(frame, block.raw, options, table.broken, lost)


def mapped(
    frame: pl.DataFrame, found: dict[str, str], time: TimeUnit, listener: str | None = None
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Their columns as ours; text is read into each column's type, and what a type cannot hold becomes a reason.

    Args:
        found: column of ours -> column of theirs.
        time: the unit of started_at.
        listener: whose all plays are, where no column says so.

    Returns:
        The frame, and by column of ours how many cells held something that could not be read.
    """
    frame = frame.select("line", *(pl.col(theirs).alias(ours) for ours, theirs in found.items()))
    schema = frame.schema
    reads = {c: pl.col(c).cast(pl.String) for c in ("listener_id", "track_id") if c in schema}
    if listener is not None:
        reads["listener_id"] = pl.lit(listener)
    if "track_id" not in schema:
        reads["track_id"] = pl.lit(None, dtype=pl.String)
    if not schema["started_at"].is_temporal():
        reads["started_at"] = read_time(pl.col("started_at"), time)
    reads |= {c: read_bool(pl.col(c)) for c in BOOLEANS if c in schema and schema[c] != pl.Boolean}
    if "ms_played" in schema:
        reads["ms_played"] = read_number(pl.col("ms_played"), schema["ms_played"], -1, LONGEST_TRACK_MS)
    if "duration_ms" in schema:
        reads["duration_ms"] = read_number(pl.col("duration_ms"), schema["duration_ms"], 1, LONGEST_TRACK_MS)
    if "tags" in schema:
        reads["tags"] = read_list(pl.col("tags"), schema["tags"])
    credit = next((c for c in ("artist_ids", "artist_id", "artist") if c in schema), None)
    if credit:
        reads["artist_ids"] = read_list(pl.col(credit), schema[credit])
    if "artist" in schema:
        names = read_list(pl.col("artist"), schema["artist"])
        reads["artist_names"] = names
        reads["artist_ids"] = pl.coalesce(reads["artist_ids"], names)
    reads |= {ours: pl.col(c).cast(pl.String) for c, ours in _TEXT.items() if c in schema}
    reads |= {c: read(pl.col(c).cast(pl.String)) for c, read in _IDS.items() if c in schema}
    signals = [c for c in schema if c.startswith((NUMBER, TEXT))]
    reads |= {c: signal_of(pl.col(c), schema[c], c.startswith(NUMBER)) for c in signals}
    read = frame.with_columns(expression.alias(name) for name, expression in reads.items())
    if "title" in schema:
        read = _with_ids(read)
    if "ms_played" in schema:
        bad = ~missing(frame["ms_played"]) & ~read["ms_played"].ge(0).fill_null(False)
        ids = pl.all_horizontal(
            (pl.col(c).str.strip_chars() != "").fill_null(False) for c in ("listener_id", "track_id")
        )
        read = read.with_columns(reason=pl.when(pl.lit(bad) & ids).then(pl.lit("bad_ms_played")))
    counted = [c for c in (*BOOLEANS, "duration_ms", *_IDS) if c in schema]
    return read, {c: unread(frame[c], read[c]) for c in counted} | {
        c.removeprefix(NUMBER).removeprefix(TEXT): unread(frame[c], read[c]) for c in signals
    }


def _with_ids(read: pl.DataFrame) -> pl.DataFrame:
    """An id of artist and title for plays without one, as in the formats that know no ids."""
    unnamed = said(pl.col("track_id")).is_null()
    if not read.select(unnamed.any()).item():
        return read
    artist = pl.col("artist_names").list.join("; ") if "artist_names" in read.columns else pl.lit(None, dtype=pl.String)
    songs = read.with_columns(track_id=pl.when(~unnamed).then("track_id"), artist=artist)
    return with_track_ids(songs)


_TEXT = {
    "title": "title",
    "album": "album_id",
    "context": "context",
    "shelf_id": "shelf_id",
    "device_id": "device_id",
    "platform": "platform",
    "country": "country",
}
_IDS = {"isrc": well_formed_isrc, "mbid": well_formed_mbid}
