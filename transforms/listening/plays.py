"""What a play is worth, and the integer codes that let millions of them be sorted and counted quickly.

A play counts as *heard* when it was completed, or lasted 30 seconds (the length after which services pay for a stream),
or when the log cannot say how long it was and nothing says it was skipped. Anything shorter was only *sampled*:
evidence against a track rather than for it. A play lasts `ms_played`, else the track's length, else 210 seconds.

Strings are compared once: `codes` replaces ids by their rank among the distinct ids, so that order and equality of ids
become order and equality of small integers.

    >>> codes(pl.Series(["b", "a", "b"]))[0].tolist()
    [1, 0, 1]
    >>> run_positions(np.array([4, 4, 4, 7])).tolist()
    [0, 1, 2, 0]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

HEARD_MS = 30_000
UNKNOWN_LENGTH_MS = 210_000


def is_heard() -> pl.Expr:
    """Boolean, never null: the play (columns `ms_played`, `skipped`, `completed`) counts as heard."""
    unknown = pl.col("ms_played").is_null() & ~pl.col("skipped").fill_null(False)
    return (pl.col("completed").fill_null(False) | (pl.col("ms_played") >= HEARD_MS).fill_null(False) | unknown).alias(
        "heard"
    )


def with_length(plays: pl.DataFrame, durations: pl.DataFrame | None) -> pl.DataFrame:
    """Add `length_ms` (int64): ms_played, else the track's duration_ms, else 210 s; never negative.

    Args:
        plays: columns track_id, ms_played.
        durations: columns track_id (unique), duration_ms; None = no length is known. It is looked up only for plays
            that need it.
    """
    length = pl.col("ms_played").cast(pl.Int64)
    if durations is not None and durations.height and plays["ms_played"].null_count():
        key = pl.col("track_id").cast(plays.schema["track_id"], strict=False)
        known = durations.select(key, pl.col("duration_ms").cast(pl.Int64).alias("_duration")).drop_nulls()
        plays = plays.join(known, on="track_id", how="left", maintain_order="left")
        length = pl.coalesce(length, pl.col("_duration"))
    return plays.with_columns(length_ms=length.fill_null(UNKNOWN_LENGTH_MS).clip(lower_bound=0)).drop(
        "_duration", strict=False
    )


def codes(ids: pl.Series) -> tuple[np.ndarray, pl.Series]:
    """Rank of each id among the distinct ids (int64), and those ids in order.

    A column that went through `coded` already carries its ranks (then among the ids known to it, present or not).
    """
    (ranks,), distinct = codes_like([ids])
    return ranks, distinct


def codes_like(columns: Sequence[pl.Series]) -> tuple[list[np.ndarray], pl.Series]:
    """Codes of several columns over one shared set of ids, so that codes of different columns compare."""
    first = columns[0].dtype
    if not isinstance(first, pl.Enum) or any(c.dtype != first for c in columns):
        plain = [c.cast(pl.String) for c in columns]
        first = pl.Enum(pl.concat([c.unique().alias("id") for c in plain]).unique().sort())
        columns = [c.cast(first) for c in plain]
    return [c.to_physical().cast(pl.Int64).to_numpy() for c in columns], first.categories


def coded(frames: Sequence[pl.DataFrame], *names: str) -> list[pl.DataFrame]:
    """The frames with these string columns encoded over ids shared between them, in order of the ids.

    Equality, order and grouping then work on integers; a cast to String gives the ids back.
    """
    for name in names:
        holders = [f[name] for f in frames if name in f.columns]
        if holders:
            kind = pl.Enum(pl.concat([c.cast(pl.String).unique().alias("id") for c in holders]).unique().sort())
            frames = [f.with_columns(pl.col(name).cast(kind)) if name in f.columns else f for f in frames]
    return list(frames)


def run_starts(keys: np.ndarray) -> np.ndarray:
    """Boolean: the first row of each run of equal keys."""
    starts = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=starts[1:])
    return starts


def run_positions(keys: np.ndarray) -> np.ndarray:
    """Position of each row within its run of equal keys, from 0."""
    return positions(run_starts(keys))


def positions(starts: np.ndarray) -> np.ndarray:
    """Position of each row within its run, given the runs' first rows."""
    rows = np.arange(len(starts))
    return rows - np.maximum.accumulate(np.where(starts, rows, 0))


def stable_argsort(keys: np.ndarray) -> np.ndarray:
    """Indices that sort non-negative int64 keys, equal keys in their given order."""
    if not len(keys) or bool((keys[1:] >= keys[:-1]).all()):
        return np.arange(len(keys))
    bits = int(len(keys) - 1).bit_length()
    if int(keys.max()).bit_length() + bits > 63:
        return np.argsort(keys, kind="stable")
    # sorting values is several times quicker than sorting indices, so the index rides in the low bits
    return np.sort((keys << bits) | np.arange(len(keys))) & ((1 << bits) - 1)


def ordered(major: np.ndarray, minor: np.ndarray, tie: np.ndarray | None = None) -> np.ndarray:
    """Indices that sort by (major, minor, tie), int64 each; quick where `minor` already rises within `major`.

    Args:
        major: non-negative.
        minor: anything, e.g. microseconds.
        tie: decides among rows equal in both, and is looked at for those only; None = their given order.
    """
    order = stable_argsort(major)
    key, value = major[order], minor[order]
    same = key[1:] == key[:-1]
    if bool((same & (value[1:] < value[:-1])).any()):
        by_minor = stable_argsort(minor - minor.min())
        order = by_minor[stable_argsort(major[by_minor])]
        key, value = major[order], minor[order]
    tied = np.zeros(len(key), dtype=bool)
    equal = same & (value[1:] == value[:-1])
    tied[1:] |= equal
    tied[:-1] |= equal
    if tie is not None and tied.any():
        among = order[tied]
        order[tied] = among[np.lexsort((tie[among], value[tied], key[tied]))]
    return order
