"""Discoveries: a listener's first play of a recording, and on which of the days after it they came back.

A trace is what a delayed reward is the sum of: one bit a day after the discovery, 1 where the recording was heard on that day.
Bit d - 1 of `days_heard` is the d-th day after. A night adds its day's bits and its first plays, so folding day by day equals
folding a range.

A first play counts only where the log knows that it is one: not in the log's first days (`warm_up_days`), when everything is
new. `shelf_id` is the shelf that the first play names; empty for a listener's own find.

    >>> days_known(date(2026, 1, 1), date(2026, 1, 4)), traces(np.array([0b101], dtype=np.int64), 3).tolist()
    (3, [[1, 0, 1]])
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from transforms.listening.plays import is_heard
from transforms.outcomes.join import with_recording
from transforms.outcomes.rewards import MOST_DAYS
from transforms.tables.schema import TABLES

KEY = ["listener_id", "recording_id"]
COLUMNS = {
    "listens": ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed", "shelf_id"),
    "library": ("listener_id", "track_id", "heard"),
    "discoveries": ("listener_id", "recording_id", "track_id", "shelf_id", "discovered_on", "days_heard"),
}


def days_known(discovered_on: date, day: date) -> int:
    """How many days of a trace are known at a day's end."""
    return min((day - discovered_on).days, MOST_DAYS)


def traces(days_heard: np.ndarray, days: int) -> np.ndarray:
    """Bits as traces: int8[n, days], the first day first."""
    return ((days_heard[:, None] >> np.arange(days)) & 1).astype(np.int8)


def fold(
    listens: pl.DataFrame,
    recordings: pl.DataFrame,
    heard: pl.DataFrame,
    earlier: pl.DataFrame,
    first: date,
    last: date,
    keep_days: int,
) -> pl.DataFrame:
    """What the discoveries are after some more days.

    Args:
        listens: of the days in question; others are left out.
        recordings: track_id, recording_id.
        heard: listener_id, track_id of everything heard before these days.
        earlier: table `discoveries` before these days.
        first, last: the first day whose first plays count as discoveries, and the last of the days.
        keep_days: days back to which discoveries are kept: those that still grow, and the whole ones that beliefs rest on.

    Returns:
        Table `discoveries` as of `last`.
    """
    plays = with_recording(
        listens.with_columns(is_heard(), day=pl.col("started_at").dt.date()).filter("heard"), recordings
    ).filter(pl.col("day") <= last)
    known = with_recording(heard, recordings).select(KEY).unique()
    fresh = (
        plays.sort(*KEY, "started_at", "track_id")
        .group_by(KEY, maintain_order=True)
        .agg(
            pl.col("track_id", "shelf_id").first(),
            discovered_on=pl.col("day").first(),
        )
        .join(known, on=KEY, how="anti")
        .join(earlier.select(KEY), on=KEY, how="anti")
        .filter(pl.col("discovered_on") >= first)
        .with_columns(pl.col("shelf_id").fill_null(""), days_heard=pl.lit(0, dtype=pl.Int64))
    )
    names = list(COLUMNS["discoveries"])
    started = pl.concat([earlier.select(names), fresh.select(names)])
    later = plays.select(*KEY, "day").unique().join(started.select(*KEY, "discovered_on"), on=KEY)
    after = (pl.col("day") - pl.col("discovered_on")).dt.total_days()
    bits = (
        later.with_columns(after=after)
        .filter(pl.col("after").is_between(1, MOST_DAYS))
        .with_columns(bit=pl.lit(2, dtype=pl.Int64).pow(pl.col("after") - 1).cast(pl.Int64))
        .group_by(KEY)
        .agg(more=pl.col("bit").sum())  # each day once, so a sum is an or
    )
    answered = started.join(bits, on=KEY, how="left").with_columns(
        days_heard=pl.col("days_heard") | pl.col("more").fill_null(0)  # a day that was folded before counts once
    )
    kept = answered.filter(pl.col("discovered_on") >= last - timedelta(keep_days))
    table = TABLES["discoveries"]
    return kept.select(pl.col(c).cast(t) for c, t in table.polars.items()).sort(table.key)
