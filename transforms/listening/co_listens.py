"""Co-listens: how much two tracks are played together and after one another, as integer partials of one date.

Evidence comes from closed sessions, on the date they close, and from plays that were heard: a track skipped at once
says nothing about its neighbours. For each session with n distinct tracks, each pair (a, a included) gets

    together += n^-1.5                     so a whole session weighs n^0.5 and not n^2: long sessions say less a pair
    next_ab  += 1 / k                      b is played k <= 5 plays after a (Ludewig & Jannach 2018, sequential rules)

both in units of 2^-20, so that sums are of integers and equal for any split into chunks. On one date a listener adds at
most one whole unit to any entry: nobody makes a pair alone. The diagonal is a track's own weight, so cosine
similarity is together_ab / sqrt(together_aa * together_bb), computed on reading, where decay and window are chosen.

A session of more than 100 distinct tracks pairs each with the 50 distinct ones after it only: its size then grows
with n.

    session a b     ->  (a,a) (a,b) (b,b): together 2^-1.5 each; (a,b): next_ab 1
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from transforms.common.hashing import uniform
from transforms.listening.plays import codes, is_heard, run_positions, run_starts, stable_argsort
from transforms.listening.track_stats import Part, total, weighted_sum
from transforms.tables.schema import TABLES

UNIT = 1 << 20
KEY = ("track_a", "track_b")
COUNTS = ("together", "next_ab", "next_ba", "sessions")


class CoListenSettings(BaseModel):
    """What counts as together, and how much."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reach: int = Field(5, ge=1, le=20, description="plays after a track that count as following it")
    whole_session: int = Field(100, ge=2, description="distinct tracks up to which all pairs of a session count")
    reach_in_long: int = Field(
        50, ge=1, description="distinct tracks that follow a track and count, in longer sessions"
    )
    cap: float = Field(1.0, gt=0, description="the most one listener adds to an entry on one date, in whole units")
    share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of listeners, by hash, whose sessions count; below 1 the sums over pairs, the largest shuffle "
        "of a night, shrink with it",
    )
    window_days: int = Field(90, ge=1, description="dates that co-listens are summed over")
    half_life_days: float = Field(60.0, gt=0, description="age at which a date counts half, days")


def day_partials(
    sessions: pl.DataFrame, settings: CoListenSettings | None = None, batch_pairs: int = 4_000_000
) -> pl.DataFrame:
    """Partials of the closed sessions among these; open ones are left out.

    Args:
        sessions: columns listener_id, open, tracks, date: every session of its listeners on its dates, in any order.
        settings: what counts.
        batch_pairs: about how many pairs are held in memory at a time.

    Returns:
        date, then the columns of table `co_listens`, sorted by (date, track_a, track_b).
    """
    settings = settings or CoListenSettings()
    plays = _heard_plays(sampled(sessions, settings.share))
    if not plays.height:
        return _empty()
    tracks, names = codes(plays["track_id"])
    session = plays["session"].to_numpy()
    # numbered anew: an owner who heard nothing is gone
    owner = np.cumsum(run_starts(plays["owner"].to_numpy()))
    day = plays["date"].to_physical().to_numpy().astype(np.int64)
    out = []
    day_no = day - day.min()
    for start, stop in _batches(owner, session, batch_pairs, settings):
        at = slice(start, stop)
        out.append(_pairs(tracks[at], session[at], owner[at], day_no[at], size=len(names), settings=settings))
    total = pl.concat(out).group_by("key").agg(pl.col(COUNTS).sum()).sort("key")
    pair = pl.col("key") % len(names) ** 2
    keys = total.select(
        date=(pl.col("key") // len(names) ** 2 + int(day.min())).cast(pl.Int32).cast(pl.Date),
        a=(pair // len(names)).cast(pl.UInt32),
        b=(pair % len(names)).cast(pl.UInt32),
    )
    return total.select(
        keys["date"], names.gather(keys["a"]).alias("track_a"), names.gather(keys["b"]).alias("track_b"), *COUNTS
    )


def sampled(sessions: pl.DataFrame, share: float) -> pl.DataFrame:
    """Sessions of a hashed share of listeners: the same ones on every date, and all of a smaller share in a larger one."""
    if share >= 1:
        return sessions
    return sessions.filter(pl.Series(uniform(0, "co_listens", sessions["listener_id"]) < share, dtype=pl.Boolean))


def _heard_plays(sessions: pl.DataFrame) -> pl.DataFrame:
    """Heard plays of closed sessions: track_id, session and owner (numbers), date; an owner is a listener's date."""
    closed = sessions.filter(~pl.col("open")).sort("date", "listener_id", maintain_order=True)
    owner = pl.struct("date", "listener_id").rle_id().cast(pl.Int64)
    return (
        closed.select("date", "tracks", owner=owner)
        .with_row_index("session")
        .explode("tracks", empty_as_null=False)
        .with_columns(pl.col("tracks").struct.unnest())
        .filter(is_heard())
        .select("track_id", pl.col("session").cast(pl.Int64), "owner", "date")
    )


def _batches(
    owner: np.ndarray, session: np.ndarray, batch_pairs: int, settings: CoListenSettings
) -> Iterator[tuple[int, int]]:
    """Ranges of plays of about `batch_pairs` pairs that cut no owner: the cap needs all sessions of one together."""
    left = np.minimum(run_positions(session), settings.whole_session) + 1 + settings.reach
    total = np.cumsum(left)
    ends = np.append(np.flatnonzero(run_starts(owner))[1:], len(owner))
    start, done = 0, 0
    while start < len(owner):
        at = int(np.searchsorted(total[ends - 1], done + batch_pairs, side="left"))
        stop = int(ends[min(at, len(ends) - 1)])
        yield start, stop
        start, done = stop, int(total[stop - 1])


def _pairs(
    tracks: np.ndarray,
    session: np.ndarray,
    owner: np.ndarray,
    day: np.ndarray,
    *,
    size: int,
    settings: CoListenSettings,
) -> pl.DataFrame:
    """Counts by key = day * size^2 + a * size + b with a <= b; keys may repeat."""
    repeated = _repeated(owner * size + tracks)
    cap = round(settings.cap * UNIT)
    single, several = [], []
    for left, right, values in (_together(tracks, session, settings), _following(tracks, session, settings.reach)):
        low, high = np.minimum(tracks[left], tracks[right]), np.maximum(tracks[left], tracks[right])
        pair = low * size + high
        # only a track that the owner played twice can make a pair meet the cap
        again = repeated[left] | repeated[right]
        single.append(_columns(day[left[~again]] * size**2 + pair[~again], {c: v[~again] for c, v in values.items()}))
        several.append(
            _columns((owner[left[again]] - owner[0]) * size**2 + pair[again], {c: v[again] for c, v in values.items()})
        )
    once, often = pl.concat(single), pl.concat(several)
    if not often.height:
        return once
    day_of = day[np.flatnonzero(run_starts(owner))]
    capped = (
        often.group_by("key")
        .agg(pl.col(COUNTS).sum())
        .with_columns(pl.col("together", "next_ab", "next_ba").clip(upper_bound=cap))
    )
    key = capped["key"].to_numpy()
    rekeyed = capped.with_columns(key=pl.Series(day_of[key // size**2] * size**2 + key % size**2))
    return pl.concat([once.with_columns(pl.col("together", "next_ab", "next_ba").clip(upper_bound=cap)), rekeyed])


def _columns(key: np.ndarray, values: dict[str, np.ndarray]) -> pl.DataFrame:
    zero = pl.lit(0, dtype=pl.Int64)
    return pl.DataFrame({"key": key, **values}).select("key", *(c if c in values else zero.alias(c) for c in COUNTS))


def _repeated(keys: np.ndarray) -> np.ndarray:
    """Boolean: the key stands in more than one row."""
    order = stable_argsort(keys)
    starts = run_starts(keys[order])
    alone = starts & np.append(starts[1:], True)
    out = np.empty(len(keys), dtype=bool)
    out[order] = ~alone
    return out


Pairs = tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]


def _together(tracks: np.ndarray, session: np.ndarray, settings: CoListenSettings) -> Pairs:
    """Rows (left, right) of the pairs of distinct tracks within each session, with their counts."""
    base = int(tracks.max()) + 1
    seen = session - session.min()
    order = stable_argsort(seen * base + tracks)
    distinct = np.sort(order[run_starts((seen * base + tracks)[order])])
    session = session[distinct]
    starts = run_starts(session)
    first = np.flatnonzero(starts)
    count = np.diff(np.append(first, len(session)))
    n = np.repeat(count, count)
    after = n - 1 - run_positions(session)
    reach = np.where(n > settings.whole_session, np.minimum(after, settings.reach_in_long), after)
    left, right = _ahead(reach, include_self=True)
    weight = np.rint(UNIT * n.astype(np.float64) ** -1.5).astype(np.int64)[left]
    return distinct[left], distinct[right], {"together": weight, "sessions": np.ones(len(left), dtype=np.int64)}


def _following(tracks: np.ndarray, session: np.ndarray, reach: int) -> Pairs:
    """Rows (left, right) of plays of different tracks up to `reach` plays apart, with their counts."""
    count = np.diff(np.append(np.flatnonzero(run_starts(session)), len(session)))
    after = np.repeat(count, count) - 1 - run_positions(session)
    left, right = _ahead(np.minimum(after, reach), include_self=False)
    differ = tracks[left] != tracks[right]
    left, right = left[differ], right[differ]
    rising = tracks[left] < tracks[right]
    value = np.rint(UNIT / np.maximum(right - left, 1)).astype(np.int64)
    return left, right, {"next_ab": np.where(rising, value, 0), "next_ba": np.where(rising, 0, value)}


def _ahead(reach: np.ndarray, *, include_self: bool) -> tuple[np.ndarray, np.ndarray]:
    """Index pairs (i, i + k) for k = 0 or 1 .. reach[i]."""
    count = reach + 1 if include_self else reach
    left = np.repeat(np.arange(len(reach)), count)
    step = np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
    return left, left + step + (0 if include_self else 1)


def add(partials: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Sum of partials of different listeners: one row a (date, track_a, track_b), sorted."""
    return total(partials, KEY, COUNTS, _empty())


def sum_window(
    partials: Iterable[tuple[date, Part]], as_of: date, half_life_days: float | None = 60.0, days: int = 90
) -> pl.DataFrame:
    """Table `co_listens` over a window, as of a date: track_a, track_b and the counts as float64, sorted.

    Args:
        partials: (date, rows of that date or a function that reads them), in any order; dates after `as_of`, or
            `days` or more before it, are left out.
        as_of: the last date that counts.
        half_life_days: age at which a date counts half; None = all count alike.
        days: length of the window.
    """
    return weighted_sum(partials, KEY, COUNTS, as_of=as_of, half_life_days=half_life_days, days=days)


def _empty() -> pl.DataFrame:
    return TABLES["co_listens"].empty().select(pl.lit(None, dtype=pl.Date).alias("date"), *KEY, *COUNTS)
