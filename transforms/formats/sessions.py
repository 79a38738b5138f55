"""Sessions without times: `listener,track,track,...`, a listener's lines in time order.

    ann,t1,t2
    ann,t3

Times are invented, since everything downstream lives in time: each listener's last session falls on the end date,
earlier ones a day apart, plays 210 s apart from midnight on (closer where a session would not end an hour before the
next midnight). `anonymous` makes each line a listener of its own, named by file and line, and spreads the lines over
the 60 days up to the end date, in line order. ms_played stays unknown. Each *play* counts as a row in, and every line
that names no listener or no track as one; a line that holds empty tracks has these refused one by one.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from transforms.common.errors import UserError
from transforms.formats.base import Options, Parsed, accept, end_of, hashed, rejects_frame
from transforms.formats.text import LineBlock

SPACING_S = 210
LONGEST_S = 23 * 3600
ANONYMOUS_DAYS = 60
_DAY_US = 86_400_000_000


def read_lines(block: LineBlock, file_no: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One row a session: file_no, line, listener_id, tracks; and the lines that are none."""
    texts, numbers, broken = [], [], []
    for number, line in enumerate(block.lines(), block.first_line):
        try:
            texts.append(line.rstrip(b"\r").decode())
            numbers.append(number)
        except UnicodeDecodeError:
            broken.append((number, "bad_encoding", hashed(line)))
    frame = pl.DataFrame({"line": numbers, "text": texts}, schema={"line": pl.Int64, "text": pl.String}).with_columns(
        parts=pl.col("text").str.split(","), file_no=pl.lit(file_no, dtype=pl.Int32)
    )
    short = frame.filter(pl.col("parts").list.len() < 2)
    broken += [(line, "broken_line", hashed(text)) for line, text in short.select("line", "text").iter_rows()]
    sessions = frame.filter(pl.col("parts").list.len() >= 2).select(
        "file_no",
        "line",
        pl.col("parts").list.first().alias("listener_id"),
        pl.col("parts").list.slice(1).alias("tracks"),
    )
    return sessions, rejects_frame(broken)


def invent_times(sessions: pl.DataFrame, options: Options) -> pl.DataFrame:
    """Give every session its first start and the spacing of its plays.

    Args:
        sessions: all sessions of the batch, from `read_lines`.
        options: `end_date`, `anonymous`.

    Returns:
        The sessions in (file, line) order with `first` (UTC) and `spacing_us`.

    Raises:
        UserError: no end date was given.
    """
    if options.end_date is None:
        raise UserError(
            "the format 'sessions' has no times: give the date of each listener's last session with --end-date."
        )
    length = pl.col("tracks").list.len().cast(pl.Int64)
    spaced = sessions.sort("file_no", "line").with_columns(
        spacing_us=pl.min_horizontal(pl.lit(SPACING_S * 1_000_000), pl.lit(LONGEST_S * 1_000_000) // length)
    )
    end = end_of(options.end_date)
    if not options.anonymous:
        after = pl.len().over("listener_id") - 1 - pl.int_range(pl.len()).over("listener_id")
        midnight = pl.lit(end - timedelta(days=1))
        return spaced.with_columns(first=midnight - pl.duration(days=after.cast(pl.Int64)))
    longest = int(spaced.select((length * pl.col("spacing_us")).max()).item() or 0)
    start = end - timedelta(days=ANONYMOUS_DAYS)
    room = ANONYMOUS_DAYS * _DAY_US - longest
    offset = pl.int_range(pl.len(), dtype=pl.Int64) * room // pl.len().cast(pl.Int64)
    return spaced.with_columns(
        first=pl.lit(start) + pl.duration(microseconds=offset),
        listener_id=pl.format("session-{}-{}", pl.col("file_no") + 1, "line"),
    )


def plays_of(sessions: pl.DataFrame, options: Options) -> Parsed:
    """Plays of sessions that have their times.

    Args:
        sessions: of one file, from `invent_times`.
        options: see `Options`.
    """
    plays = (
        sessions.with_columns(position=pl.int_ranges(pl.col("tracks").list.len().cast(pl.Int64)))
        .explode("tracks", "position")
        .select(
            "line",
            "listener_id",
            pl.col("tracks").alias("track_id"),
            started_at=pl.col("first") + pl.duration(microseconds=pl.col("position") * pl.col("spacing_us")),
        )
    )
    rows = dict(zip(sessions["line"].to_list(), sessions["tracks"].to_list(), strict=True)) if _has_empty(plays) else {}
    return accept(plays, lambda lines: {n: ",".join(rows.get(n, [])) for n in lines}, options)


def _has_empty(plays: pl.DataFrame) -> bool:
    blank = pl.any_horizontal(pl.col("listener_id", "track_id").str.strip_chars() == "")
    return bool(plays.select(blank.any()).item())
