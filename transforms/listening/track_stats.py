"""Track statistics: how much each track was played in each market on one date, as integers that add up.

A listener counts at most 10 plays of a track a day (their first 10), so one loop left running overnight cannot make a
track popular. A date's partial is written once; popularity over a window is their weighted sum on reading,

    plays(T) = sum_d 2^(-(T - d) / half_life) plays_d        d: dates up to T within the window; T - d in days

so changing the window or the decay remakes nothing. Sums are of integers, hence equal for any split into chunks.

    ann plays a 12 times and bob once, market SE      ->  a SE: plays 11, listeners 2
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from transforms.listening.plays import codes, is_heard, ordered, run_positions, run_starts
from transforms.tables.schema import TABLES

LISTEN_COLUMNS = ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed", "country", "date")
KEY = ("track_id", "market")
Part = pl.DataFrame | Callable[[], pl.DataFrame]  # a date's rows, or how to read them
COUNTS = ("plays", "listeners", "heard", "completions", "skips")


class TrackStatsSettings(BaseModel):
    """How much one listener can count, and how long a play counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plays_per_day: int = Field(10, ge=1, description="plays of one track by one listener that count on one date")
    window_days: int = Field(90, ge=1, description="dates that popularity is summed over")
    half_life_days: float = Field(30.0, gt=0, description="age at which a date counts half in decayed popularity, days")
    recent_half_life_days: float = Field(
        7.0, gt=0, description="the same for what is popular lately and for popularity by listeners, days"
    )


def day_partials(listens: pl.DataFrame, markets: pl.DataFrame | None = None, plays_per_day: int = 10) -> pl.DataFrame:
    """Partials of some listeners' listens. Partials of other listeners are added by `add`.

    Args:
        listens: columns LISTEN_COLUMNS, every listen of its listeners on its dates, in any order.
        markets: listener_id (unique), market; where there is none, the play's country stands in, else "".
        plays_per_day: plays of a track a listener and date that count: the first ones.

    Returns:
        date, then the columns of table `track_stats`, sorted by (date, track_id, market).
    """
    if not listens.height:
        return _empty()
    market = pl.col("country").cast(pl.String)
    if markets is not None and markets.height:
        home = markets.select(pl.col("listener_id").cast(listens.schema["listener_id"], strict=False), "market")
        listens = listens.join(home.drop_nulls("listener_id"), on="listener_id", how="left", maintain_order="left")
        market = pl.coalesce("market", market)
    rows = listens.select(
        "date",
        "track_id",
        market=market.fill_null(""),
        heard=is_heard(),
        completions=pl.col("completed").fill_null(False),
        skips=pl.col("skipped").fill_null(False),
    )
    tracks, names = codes(listens["track_id"])
    day = listens["date"].to_physical().to_numpy().astype(np.int64)
    owner = codes(listens["listener_id"])[0] * int(day.max() - day.min() + 1) + day - day.min()
    # a listener's plays of a track on a date, in time order
    order = ordered(owner * len(names) + tracks, listens["started_at"].to_physical().to_numpy())
    plays_of = (owner * len(names) + tracks)[order]
    rows = rows[order].with_columns(_owner=pl.Series(owner[order]))
    rows = rows.filter(pl.Series(run_positions(plays_of) < plays_per_day))
    keys = ("date", *KEY)
    return (
        rows.group_by(keys)
        .agg(
            plays=pl.len().cast(pl.Int64),
            listeners=pl.col("_owner").n_unique().cast(pl.Int64),
            heard=pl.col("heard").sum().cast(pl.Int64),
            completions=pl.col("completions").sum().cast(pl.Int64),
            skips=pl.col("skips").sum().cast(pl.Int64),
        )
        .with_columns(pl.col("track_id").cast(pl.String))
        .sort(keys)
        .select(keys + COUNTS)
    )


def add(partials: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Sum of partials of different listeners: one row a (date, track_id, market), sorted."""
    return total(partials, KEY, COUNTS, _empty())


def total(
    partials: Iterable[pl.DataFrame], key: tuple[str, ...], counts: tuple[str, ...], empty: pl.DataFrame
) -> pl.DataFrame:
    """Integer partials added up: one row a date and key, sorted by them; `empty` where there are none."""
    frames = [p for p in partials if p.height]
    if not frames:
        return empty
    keys = ("date", *key)
    return pl.concat(frames).group_by(keys).agg(pl.col(counts).sum()).sort(keys)


def sum_window(
    partials: Iterable[tuple[date, Part]], as_of: date, half_life_days: float | None = 30.0, days: int = 90
) -> pl.DataFrame:
    """Table `track_stats` over a window, as of a date.

    Args:
        partials: (date, rows of that date or a function that reads them), in any order; dates after `as_of`, or
            `days` or more before it, are left out.
        as_of: the last date that counts.
        half_life_days: age at which a date counts half; None = all count alike.
        days: length of the window.

    Returns:
        track_id, market and the counts as float64, sorted by (track_id, market); equal bits for any order of the input.
    """
    return weighted_sum(partials, KEY, COUNTS, as_of=as_of, half_life_days=half_life_days, days=days)


def weighted_sum(
    partials: Iterable[tuple[date, Part]],
    key: tuple[str, ...],
    counts: tuple[str, ...],
    *,
    as_of: date,
    half_life_days: float | None,
    days: int,
    held: int = 4_000_000,
) -> pl.DataFrame:
    """Decayed sum of integer day partials (unique in `key` within a date), sorted by `key`; float64 counts.

    Dates are added oldest first, and those that are functions read when their turn comes; whenever more than `held`
    rows, and more than the sum so far has, are waiting, they are added up. So a long window needs no more memory than
    a few of its dates.
    """
    kept = sorted(((day, part) for day, part in partials if 0 <= (as_of - day).days < days), key=lambda pair: pair[0])
    waiting: list[tuple[float, pl.DataFrame]] = []
    sum_so_far = rows = 0
    for day, part in kept:
        frame = part if isinstance(part, pl.DataFrame) else part()
        if not frame.height:
            continue
        weight = 1.0 if half_life_days is None else 0.5 ** ((as_of - day).days / half_life_days)
        waiting.append((weight, frame.select(*key, pl.col(counts).cast(pl.Float64))))
        rows += frame.height
        if rows > max(held, sum_so_far):
            waiting = [(1.0, _added(waiting, key, counts))]
            sum_so_far, rows = waiting[0][1].height, 0
    if not waiting:
        floats = [pl.lit(None, dtype=pl.Float64).alias(c) for c in counts]
        return pl.DataFrame(schema=dict.fromkeys(key, pl.String)).with_columns(floats)
    return _added(waiting, key, counts)


def _added(frames: list[tuple[float, pl.DataFrame]], key: tuple[str, ...], counts: tuple[str, ...]) -> pl.DataFrame:
    """Weighted sum of frames by key, sorted by it; the terms of a key are added in the order of the frames."""
    rows = pl.concat([f for _, f in frames])
    weight = np.repeat([w for w, _ in frames], [f.height for _, f in frames])
    code = np.zeros(rows.height, dtype=np.int64)
    for name in key:
        ranks, names = codes(rows[name])
        code = code * len(names) + ranks
    # rows of a key end up in date order, so floats are added in one order only
    order = ordered(code, np.arange(rows.height))
    first = np.flatnonzero(run_starts(code[order]))
    weight = weight[order]
    sums = {c: np.add.reduceat(rows[c].to_numpy()[order] * weight, first) for c in counts}
    return rows.select(key)[order[first]].with_columns(pl.Series(c, v) for c, v in sums.items())


def _empty() -> pl.DataFrame:
    table = TABLES["track_stats"].empty()
    return table.select(pl.lit(None, dtype=pl.Date).alias("date"), *KEY, *COUNTS)
