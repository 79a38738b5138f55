"""What every log adapter returns, and the one place where a play is accepted or refused.

An adapter parses a block of a file into columns and hands them to `accept`, which keeps the plays that can be true and
names a reason for every other line. Nothing is dropped: `rows == plays + rejects` for each block. Raw lines of a
listening log name a person, so `rejects` keeps their SHA-256; only a line that names no listener is kept as it is.

    >>> frame = pl.DataFrame({"line": [1, 2], "listener_id": ["ann", ""], "track_id": ["t1", "t1"], "started_at": None})
    >>> accept(frame, lambda lines: {n: f"line {n}" for n in lines}, Options()).rejects["reason"].to_list()
    ['bad_time', 'empty_listener']
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import polars as pl

from transforms.formats.columns import CATALOG_COLUMNS, PLAY_COLUMNS, REJECT_COLUMNS
from transforms.formats.mapping import Mapping as ColumnMapping
from transforms.formats.songs import ARTISTS, artists_of
from transforms.signals.declared import NUMBER, TEXT

REASONS: dict[str, str] = {
    "broken_line": "the line has too few or too many columns, or is not JSON, or a quote in it never closes",
    "bad_encoding": "the line is not UTF-8",
    "empty_listener": "no listener id",
    "empty_track": "no track id, and no artist and title to make one from",
    "bad_time": "the start is missing or cannot be read as the format's time",
    "bad_ms_played": "the time played is negative, longer than a day or not a number",
    "before_1990": "the start lies before 1990, where a clock that was never set puts it",
    "future": "the start lies after the end of the batch's end date",
    "not_music": "a podcast episode, audiobook or video",
    "private": "played in a private session, which the listener wanted to leave no trace",
    "over_daily_cap": "beyond the most listens that one listener's day keeps",
    "implausible_day": "the listener's day holds more playing time than a day has",
    "forgotten": "the listener was forgotten; nothing of the line is kept",
    "unknown_kind": "an act of feedback of a kind that is not known, or an impression that is neither item nor spare",
    "bad_target": "a time range that ends before it begins, or lies beyond the calendar",
}

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)

RawLines = Callable[[list[int]], Mapping[int, str | bytes]]


@dataclass(frozen=True)
class Options:
    """What an adapter needs to know beyond the file.

    Attributes:
        end_date: plays that start after its end are in the future; None = no such check.
        mapping: which column is which, for csv and parquet.
        anonymous: `sessions` only: every line is a listener of its own.
        listener: whose log this is, where its lines do not say.
    """

    end_date: date | None = None
    mapping: ColumnMapping | None = None
    anonymous: bool = False
    listener: str | None = None


@dataclass(frozen=True)
class Parsed:
    """One block of a file, parsed.

    Attributes:
        plays: accepted rows: `line`, those of PLAY_COLUMNS the format knows, and the user's own signals.
        catalog: one row a track with those of CATALOG_COLUMNS the format carries; no rows where it carries none.
        rejects: line, reason, raw, and listener_id where the line could be read so far; ids are never stored.
        rows: lines read; always `plays.height + rejects.height`.
        unread: column of ours -> cells that held something that could not be read, and count as unknown.
        artists: artist_id, name, plays: what the accepted plays call their artists.
    """

    plays: pl.DataFrame
    catalog: pl.DataFrame
    rejects: pl.DataFrame
    rows: int
    unread: Mapping[str, int] = field(default_factory=dict)
    artists: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ARTISTS))


def end_of(day: date) -> datetime:
    """The first moment after a date, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def hashed(raw: str | bytes) -> str:
    """What `rejects` keeps of a line that may name a person."""
    return "sha256:" + sha256(raw.encode() if isinstance(raw, str) else raw).hexdigest()


def encodable(value: Any) -> bool:
    """Whether all text of a decoded JSON value is Unicode: an escape may name half of a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def rejects_frame(
    rows: Iterable[tuple[int, str, str | None] | tuple[int, str, str | None, str | None]] = (),
) -> pl.DataFrame:
    """(line, reason, raw) or (line, reason, raw, listener_id) rows as a frame."""
    return pl.DataFrame([(*row, None)[:4] for row in rows], schema=REJECT_COLUMNS, orient="row")


def accept(
    frame: pl.DataFrame,
    raw_lines: RawLines,
    options: Options,
    broken: pl.DataFrame | None = None,
    unread: Mapping[str, int] | None = None,
) -> Parsed:
    """Split parsed columns into plays and rejects.

    Args:
        frame: `line`, `listener_id`, `track_id`, `started_at` (null where unreadable) and any of PLAY_COLUMNS and
            CATALOG_COLUMNS, and `artist_names` beside `artist_ids`; a string column `reason` (null = none yet) may say
            what the adapter found.
        raw_lines: gives the raw text of some lines.
        options: see `Options`.
        broken: rejects found before there were columns.
        unread: see `Parsed`.

    Returns:
        The block, with every row accounted for.
    """
    refused = _reason(frame, options)
    frame = frame.with_columns(reason=refused)
    bad = frame.filter(pl.col("reason").is_not_null()) if frame["reason"].null_count() < frame.height else frame.clear()
    good = frame if not bad.height else frame.filter(pl.col("reason").is_null())
    rejects = rejects_frame() if broken is None else broken
    rows = frame.height + rejects.height
    if bad.height:
        raw = raw_lines(bad["line"].to_list())
        rejects = pl.concat(
            [
                rejects,
                rejects_frame(
                    (line, reason, _kept(raw.get(line), reason), listener or None)
                    for line, reason, listener in bad.select("line", "reason", "listener_id").iter_rows()
                ),
            ]
        )
    signals = [c for c in good.columns if c.startswith((NUMBER, TEXT))]
    plays = good.select("line", *(pl.col(c).cast(t) for c, t in PLAY_COLUMNS.items() if c in good.columns), *signals)
    by_column = {column: n for column, n in sorted((unread or {}).items()) if n}
    return Parsed(plays, catalog_of(good), rejects.sort("line", "reason", "raw"), rows, by_column, artists_of(good))


def _kept(raw: str | bytes | None, reason: str) -> str | None:
    if raw is None:
        return None
    if reason == "empty_listener":
        return raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    return hashed(raw)


def _reason(frame: pl.DataFrame, options: Options) -> pl.Expr:
    """First reason that applies, null for a play to keep."""
    started = pl.col("started_at").cast(pl.Datetime("us", "UTC"))
    rules = [
        ("empty_listener", pl.col("listener_id").is_null() | (pl.col("listener_id").str.strip_chars() == "")),
        ("empty_track", pl.col("track_id").is_null() | (pl.col("track_id").str.strip_chars() == "")),
        ("bad_time", started.is_null()),
        ("before_1990", started < EARLIEST),
    ]
    if options.end_date is not None:
        rules.append(("future", started >= end_of(options.end_date)))
    if "ms_played" in frame.columns:
        rules.append(("bad_ms_played", pl.col("ms_played") < 0))
    found = [pl.col("reason")] if "reason" in frame.columns else []
    return pl.coalesce(*found, *(pl.when(rule).then(pl.lit(code)) for code, rule in rules)).alias("reason")


def catalog_of(plays: pl.DataFrame) -> pl.DataFrame:
    """One row a track: what these plays say about it; per column the largest value, so no order matters."""
    known = [c for c in CATALOG_COLUMNS if c in plays.columns]
    if not known:
        return pl.DataFrame(schema={"track_id": pl.String()})
    return merge_catalog(plays.select("track_id", *(pl.col(c).cast(CATALOG_COLUMNS[c]) for c in known)))


def merge_catalog(rows: pl.DataFrame) -> pl.DataFrame:
    """Merge catalog rows of the same track: per column the largest value that is not null, whatever the order."""
    lists = [c for c in rows.columns if rows.schema[c] == pl.List(pl.String)]
    joined = rows.with_columns(
        pl.when(pl.col(c).list.len() > 0).then(pl.col(c).list.join("\x1f")).alias(c) for c in lists
    )
    merged = joined.group_by("track_id").agg(pl.exclude("track_id").max()).sort("track_id")
    return merged.with_columns(pl.col(c).str.split("\x1f") for c in lists)
