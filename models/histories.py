"""Histories as a model reads them: a listener's distinct tracks, latest first, with weights that fade by rank.

    weight of the r-th latest distinct track = 2^(-r / half_life), r = 0, 1, ..., at most `length` tracks

Rank and not time, so that logs without trustworthy times work, and so that a listener who paused a year is still
described by what they last played. `matrix` serves scoring (from a library); `examples` makes training rows the same
way: before each of a listener's later sessions, their history so far, and as targets what that session brought that
was new.

    >>> m = matrix(rows=[0, 0, 0], items=[5, 7, 5], when=[1, 2, 3], shape=(1, 9), settings=HistorySettings(half_life=1))
    >>> m.indices.tolist(), m.data.tolist()                # 5 was played last
    ([5, 7], [1.0, 0.5])
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from models.settings import HistorySettings, by_audience
from transforms.common.hashing import stable_hash

DEFAULTS = HistorySettings()


def matrix(
    rows: Sequence[int] | np.ndarray,
    items: Sequence[int] | np.ndarray,
    when: Sequence[int] | np.ndarray,
    shape: tuple[int, int],
    settings: HistorySettings = DEFAULTS,
) -> csr_matrix:
    """Sparse [B, n_items] of weights.

    Args:
        rows, items: int [m]; item 0 (unknown) is left out, an item given twice counts once, at its latest.
        when: int [m], anything that grows with time; equal times are ordered by item row.
    """
    frame = (
        pl.DataFrame(
            {"row": rows, "item": items, "when": when}, schema={"row": pl.Int32, "item": pl.Int32, "when": pl.Int64}
        )
        .filter(pl.col("item") > 0)
        .group_by("row", "item")
        .agg(pl.col("when").max())
        .sort("row", pl.col("when"), "item", descending=[False, True, False])
        .with_columns(rank=pl.int_range(pl.len()).over("row"))
        .filter(pl.col("rank") < settings.length)
        .sort("row", "item")
    )
    weight = np.exp2(-frame["rank"].to_numpy() / settings.half_life).astype(np.float32)
    pointer = np.searchsorted(frame["row"].to_numpy(), np.arange(shape[0] + 1))
    return csr_matrix((weight, frame["item"].to_numpy(), pointer), shape=shape)


def examples(
    plays: pl.DataFrame, n_items: int, settings: HistorySettings = DEFAULTS, seed: int = 0
) -> tuple[csr_matrix, csr_matrix]:
    """Training examples of a log.

    Args:
        plays: one row a play: `listener` (int or string), `session` (int, grows with time in a listener), `item` (int32
            vocabulary row), in time order within a session.
        n_items: size of the vocabulary.

    Returns:
        histories and targets, both sparse [m, n_items], a row an example. A target is a track of the session that the
        listener had never played before; sessions without one are no example, nor are first sessions. Row order is by
        hash of (listener, session), so it means nothing.
    """
    plays = plays.sort("listener", "session", maintain_order=True).with_columns(when=pl.int_range(pl.len()))
    firsts = plays.filter((pl.col("item") > 0) & pl.struct("listener", "item").is_first_distinct())
    sessions = (
        plays.group_by("listener", "session", maintain_order=True)
        .agg(begin=pl.col("when").first())
        .with_columns(listener_begin=pl.col("begin").first().over("listener"))
        .filter(pl.col("begin") > pl.col("listener_begin"))
        .join(firsts.select("listener", "session").unique(), on=["listener", "session"], how="semi")
        .with_columns(age=pl.int_range(pl.len()).reverse().over("listener"))
        .filter(pl.col("age") < settings.cuts)
    )
    order = stable_hash(sessions["listener"], sessions["session"], seed=seed, purpose="history examples")
    most = by_audience(settings.examples, settings.examples_each, plays["listener"].n_unique(), settings.examples_most)
    sessions = (
        sessions.with_columns(hash=pl.Series(order, dtype=pl.UInt64))
        .sort("hash", "listener", "session")
        .head(most)
        .with_columns(example=pl.int_range(pl.len(), dtype=pl.Int32))
    )
    begin, earliest = sessions["begin"].to_numpy(), sessions["listener_begin"].to_numpy()
    # Repeats are frequent: a window of twice the length nearly always holds as many distinct tracks as are kept.
    start = np.maximum(earliest, begin - 2 * settings.length)
    length = begin - start
    place = np.repeat(start - np.cumsum(length) + length, length) + np.arange(length.sum())
    rows = np.repeat(np.arange(len(sessions)), length)
    items = plays["item"].to_numpy()
    shape = (len(sessions), n_items)
    histories = matrix(rows, items[place], place, shape, settings)
    wanted = firsts.join(sessions, on=["listener", "session"], how="inner")
    targets = csr_matrix(
        (np.ones(len(wanted), np.float32), (wanted["example"].to_numpy(), wanted["item"].to_numpy())), shape=shape
    )
    targets.sort_indices()
    return histories, targets
