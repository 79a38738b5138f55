"""The first places of many orders over the same candidates: one compiled walk an order instead of a sort of all of them.

rows, heard = [0, 0, 1], [False, True, False]
first_places(bounds, heard, np.array([.5, .9, .1]), known, 50)["all"]     positions [1, 0, 2], ranks [1, 2, 1]
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from transforms.common.best import best_first, keep
from transforms.common.compiled import compiled

KINDS = ("unheard", "repeat", "all")
Places = tuple[np.ndarray, np.ndarray]


def first_places(
    bounds: np.ndarray, heard: np.ndarray, order: np.ndarray, known: np.ndarray, top: int
) -> dict[str, Places]:
    """The best candidates of each listener: among those never heard, those heard before, and all.

    Args:
        bounds: int [B + 1], where each listener's candidates begin and end.
        heard: bool [m].
        order: float64 [m], more is better; NaN is worse than any number, and the earlier candidate wins among equals.
        known: bool [m], candidates that the order speaks of; the others are in no list.
        top: places a listener has at most.

    Returns:
        by kind, positions of candidates (int64) and their ranks from 1 (int64), listener by listener.
    """
    rows = len(bounds) - 1
    found = np.zeros((len(KINDS), rows, top), np.int64)
    counts = np.zeros((len(KINDS), rows), np.int64)
    _walk(bounds, heard, np.where(np.isnan(order), -np.inf, order), known, found, counts)
    place = np.arange(top)
    out = {}
    for number, kind in enumerate(KINDS):
        there = place[None, :] < counts[number][:, None]
        out[kind] = found[number][there], np.broadcast_to(place + 1, there.shape)[there]
    return out


def lister(candidates: pl.DataFrame, top: int) -> Callable[[pl.Expr], dict[str, pl.DataFrame]]:
    """What makes lists of candidates that are sorted by listener and, within one, by what breaks ties.

    Args:
        candidates: listener_id, track_id or item, heard_before, and whatever orders are made of.

    Returns:
        a function of an expression, less is better and null = in no list: by kind, listener_id, track_id or item, rank.
    """
    runs = candidates["listener_id"].rle().struct.field("len").to_numpy()
    bounds = np.concatenate([[0], np.cumsum(runs, dtype=np.int64)])
    heard = candidates["heard_before"].to_numpy()
    names = candidates.select("listener_id", "item" if "item" in candidates.columns else "track_id")

    def listed(order: pl.Expr) -> dict[str, pl.DataFrame]:
        values = candidates.select(order.cast(pl.Float64)).to_series()
        known = values.is_not_null().to_numpy()
        scores = -values.fill_null(0.0).to_numpy()
        made = first_places(bounds, heard, scores, known, top)
        return {kind: names[at].with_columns(rank=pl.Series(rank)) for kind, (at, rank) in made.items()}

    return listed


@compiled
def _walk(
    bounds: np.ndarray, heard: np.ndarray, order: np.ndarray, known: np.ndarray, found: np.ndarray, counts: np.ndarray
) -> None:
    top = found.shape[2]
    scores, items = np.zeros((3, top), np.float64), np.zeros((3, top), np.int64)
    for row in range(len(bounds) - 1):
        size = np.zeros(3, np.int64)
        for at in range(bounds[row], bounds[row + 1]):
            if known[at]:
                kind = 1 if heard[at] else 0
                size[kind] = keep(scores[kind], items[kind], size[kind], top, order[at], at)
                size[2] = keep(scores[2], items[2], size[2], top, order[at], at)
        for kind in range(3):
            best_first(scores[kind], items[kind], size[kind])
            counts[kind, row] = size[kind]
            for place in range(size[kind]):
                found[kind, row, place] = items[kind, place]
