"""The sessions that neighbours are looked up in: table `session_sample`, data and not a model.

A neighbour is somebody's session, so it may not stand in a model: it is kept in a listener's own rows, which `forget`
rewrites like those of every other table, and read whole where listeners are scored. It is bounded: of the newest dates
that hold enough sessions, a share by hash of the session, so neither shards nor chunks decide who is in it.

    >>> newest([(date(2026, 1, 2), 60), (date(2026, 1, 1), 60), (date(2025, 12, 31), 60)], 90)
    (datetime.date(2026, 1, 1), 0.75)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import polars as pl

from transforms.common.hashing import stable_hash, uniform
from transforms.next_in_session.sessions import SessionLog
from transforms.tables.schema import TABLES


def newest(counts: Sequence[tuple[date, int]], size: int) -> tuple[date, float]:
    """The first date whose sessions are wanted, and the share of them that makes about `size`.

    Args:
        counts: dates and their numbers of sessions, in any order; at least one.
        size: sessions wanted, above 0.
    """
    total, first = 0, max(day for day, _ in counts)
    for day, number in sorted(counts, reverse=True):
        first, total = day, total + number
        if total >= size:
            break
    return first, min(1.0, size / max(total, 1))


def sampled(sessions: pl.DataFrame, first: date, share: float, seed: int) -> pl.DataFrame:
    """Rows of table `session_sample`.

    Args:
        sessions: one row a session (`transforms.listening.sessions.last_known`); sessions without a play are left out.
        first, share: from `newest`; a session belongs to the date it starts on.
        seed: the run's seed.
    """
    kept = sessions.filter((pl.col("started_at").dt.date() >= first) & (pl.col("tracks").list.len() > 0))
    kept = kept.filter(pl.Series(uniform(seed, "session-sample", kept["session_id"]) < share, dtype=pl.Boolean))
    tracks = pl.col("tracks").list.eval(pl.element().struct.field("track_id"))
    named = kept.with_columns(tracks=tracks)
    return named.select(pl.col(name).cast(kind) for name, kind in TABLES["session_sample"].polars.items())


def in_time(sample: pl.DataFrame) -> pl.DataFrame:
    """The sample in order of time, as neighbours are numbered; equal times by hash of the session, then its id."""
    tie = pl.Series("_tie", stable_hash(sample["session_id"]) if sample.height else [], dtype=pl.UInt64)
    return sample.with_columns(tie).sort("started_at", "_tie", "session_id").drop("_tie")


def as_log(sample: pl.DataFrame, rows: Callable[[pl.Series], np.ndarray]) -> SessionLog:
    """Sessions of the sample, in its order, in rows of a vocabulary.

    Args:
        rows: track ids -> int32 row, 0 = unknown (`Vocabulary.rows`).
    """
    starts = np.concatenate([[0], np.cumsum(sample["tracks"].list.len().to_numpy())]).astype(np.int64)
    return SessionLog(rows(sample["tracks"].explode(empty_as_null=False)), starts)
