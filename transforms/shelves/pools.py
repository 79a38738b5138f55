"""What a shelf chooses from for each listener, best first, each recording once.

A shelf ordered by one column takes it as it is: Discover stands in the ranker's order. Several columns have different units,
so each is standardised within the listener's pool and their weighted sum orders it (counts are logged first: a hundred plays
are not fifty times two). Rows that are `preferred` stand before the others, by that column alone. Among equals the hash of
the track decides. A track of which the order knows nothing is left out: what followed artists released is a row of every
shelf, and where a small catalog is used up it would else end up on shelves that it was never ranked for.

Example, order {plays: 1, ranker_score: 1}: plays 1, 1, 7 and scores .3, .9, .6 give 0 - 1.2, 0 - .7 + 1.2, 1.4 + 0
in standard deviations, so the third track comes first, then the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transforms.common.compiled import compiled
from transforms.shelves.gathering import CANDIDATE, POPULAR, Rows
from transforms.shelves.shelf import ShelfSettings

BY_POPULARITY = {"score_popular": 1.0}
COUNTS = ("plays", "decayed_plays")
_LATER = 100.0  # from what is preferred down to the best of the others: far enough that hardly a draw crosses it


@dataclass(frozen=True)
class Pool:
    """Rows in a shelf's order.

    Attributes:
        rows: int64, by listener, then best first.
        bounds: int64[listeners + 1], where each listener's begin.
        scores: float32 by place in `rows`, NaN where there is none.
        versions: rows left out because another version of the recording stands higher.
    """

    rows: np.ndarray
    bounds: np.ndarray
    scores: np.ndarray
    versions: np.ndarray


def pool(rows: Rows, shelf: ShelfSettings, fates: np.ndarray, listeners: np.ndarray | None = None) -> Pool:
    """The rows that a shelf may take: those of its section that no rule removed.

    Args:
        rows: the block.
        shelf: the shelf.
        fates: by row, 0 where no rule removed it.
        listeners: int64, whose rows alone; None = everybody's.
    """
    origin = POPULAR if shelf.pool == "popular" else CANDIDATE
    return in_order_of(rows, _passing(rows, origin, fates, listeners), shelf)


def fallback_pool(rows: Rows, fates: np.ndarray, listeners: np.ndarray | None = None) -> Pool:
    """The popular tracks of the market that no rule removed."""
    return in_order_of(rows, _passing(rows, POPULAR, fates, listeners), None)


def _passing(rows: Rows, origin: int, fates: np.ndarray, listeners: np.ndarray | None) -> np.ndarray:
    here = rows.within(origin)
    passes = fates[here] == 0
    if listeners is not None:
        asked = np.zeros(len(rows.listener_ids), np.bool_)
        asked[listeners] = True
        passes &= asked[rows.listener[here]]
    return np.flatnonzero(passes) + here.start


def in_order_of(rows: Rows, chosen: np.ndarray, shelf: ShelfSettings | None) -> Pool:
    """Score and sort rows within each listener; keep the best row of each recording.

    Args:
        chosen: int64, ascending rows of one section.
        shelf: whose order; None = by popularity.
    """
    names = BY_POPULARITY if shelf is None else shelf.order
    chosen = chosen[_known(rows, chosen, names, None if shelf is None else shelf.preferred)]
    listener = rows.listener[chosen]
    bounds = np.searchsorted(listener, np.arange(len(rows.listener_ids) + 1))
    score = scores(rows, chosen, bounds, names)
    if shelf is not None and shelf.preferred is not None:
        score = _preferred(score, rows.column(shelf.preferred)[chosen], bounds)
    score = score.astype(np.float32)
    order, count = _best_first(score, bounds, rows.piece[chosen], rows.pieces)
    kept = np.repeat(bounds[:-1], count) + _within(count)
    versions = np.setdiff1d(np.arange(len(chosen)), kept, assume_unique=True)
    return Pool(
        chosen[order[kept]],
        np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
        score[order[kept]],
        chosen[order[versions]],
    )


def _known(rows: Rows, chosen: np.ndarray, order: dict[str, float], preferred: str | None) -> np.ndarray:
    """bool by place in `chosen`: rows of which an order knows anything, or that stand before it; or all, if none is given."""
    given = [name for name in order if name in rows.columns]
    if not given:
        return np.ones(len(chosen), np.bool_)
    known = np.zeros(len(chosen), np.bool_) if preferred is None else rows.column(preferred)[chosen] > 0
    for name in given:
        known |= ~np.isnan(rows.column(name)[chosen])
    return known


def scores(rows: Rows, chosen: np.ndarray, bounds: np.ndarray, order: dict[str, float]) -> np.ndarray:
    """One column times its weight, or the weighted sum of several standardised within each listener."""
    if len(order) == 1:
        ((name, weight),) = order.items()
        return rows.column(name)[chosen] * np.float32(weight)
    total = np.zeros(len(chosen))
    for name, weight in order.items():
        value = rows.column(name)[chosen].astype(np.float64)
        total += weight * _standardised(np.log(value + 1) if name in COUNTS else value, bounds)
    return total


@compiled
def _standardised(value: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Deviations from the listener's mean, 0 where unknown or where all are equal."""
    out = np.zeros(len(value))
    for n in range(len(bounds) - 1):
        count, total = 0, 0.0
        for at in range(bounds[n], bounds[n + 1]):
            if not np.isnan(value[at]):
                count += 1
                total += value[at]
        if count == 0:
            continue
        mean, squares = total / count, 0.0
        for at in range(bounds[n], bounds[n + 1]):
            if not np.isnan(value[at]):
                squares += (value[at] - mean) ** 2
        spread = np.sqrt(squares / count)
        if spread > 0:
            for at in range(bounds[n], bounds[n + 1]):
                if not np.isnan(value[at]):
                    out[at] = (value[at] - mean) / spread
    return out


@compiled
def _preferred(score: np.ndarray, wanted: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """What is preferred by its own column; where a listener has some, the others a long way below."""
    out = score.astype(np.float64)
    for n in range(len(bounds) - 1):
        some, best = False, -np.inf
        for at in range(bounds[n], bounds[n + 1]):
            some = some or wanted[at] > 0
            if not np.isnan(out[at]):
                best = max(best, out[at])
        if some:
            for at in range(bounds[n], bounds[n + 1]):
                out[at] = wanted[at] if wanted[at] > 0 else out[at] - best - _LATER
    return out


@compiled
def _best_first(score: np.ndarray, bounds: np.ndarray, piece: np.ndarray, pieces: int) -> tuple[np.ndarray, np.ndarray]:
    """Places by listener, first the best of each recording in order, then the others; and how many of the first kind."""
    order, count = np.empty(len(score), np.int64), np.zeros(len(bounds) - 1, np.int64)
    seen = np.zeros(pieces, np.bool_)
    for n in range(len(bounds) - 1):
        first, last = bounds[n], bounds[n + 1]
        key = -score[first:last]
        for at in range(last - first):
            if np.isnan(key[at]):
                key[at] = np.inf
        kept, others = 0, last
        for at in np.argsort(key, kind="mergesort"):
            if not seen[piece[first + at]]:
                seen[piece[first + at]] = True
                order[first + kept] = first + at
                kept += 1
            else:
                others -= 1
                order[others] = first + at
        count[n] = kept
    return order, count


def _within(count: np.ndarray) -> np.ndarray:
    """0..count[n]-1 for each n, end to end."""
    return np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
