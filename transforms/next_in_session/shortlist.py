"""The best of every source for each prefix, and what a ranker is told about them.

Of each source: is it there, its score as logarithm, its share of the prefix's best, the inverse of its rank, steep and
gentle, and that share again where the track has been played in this session. Of the track: how often it is played. Of
the pair: was it played in this session, how long ago, how often, and how much this session repeats itself at all.
Nothing names a listener.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from transforms.common.arrays import positions
from transforms.next_in_session.sessions import LONGEST, Prefixes
from transforms.next_in_session.sources import Sources

_FLOOR = 1e-4
_OF_SOURCE = ("there", "log", "share", "rank", "close", "share_again")
_OF_PAIR = ("plays", "again", "ago", "times", "again_x_habit", "new_x_habit", "sources")


@dataclass(frozen=True)
class Shortlist:
    """Candidates of a block of prefixes.

    Attributes:
        rows: int64 [E], the prefix; ascending.
        items: int64 [E], ascending in each row.
        features: float32 [E, f], not standardised.
        names: names of the features.
    """

    rows: np.ndarray
    items: np.ndarray
    features: np.ndarray
    names: tuple[str, ...]


def ranks(scores: sparse.csr_matrix) -> np.ndarray:
    """Rank from 1 of every entry in its row, int64 [nnz]; ties go to the smaller column.

    Column indices must be sorted. Two stable sorts, the second of small numbers, take half the time of one by three keys.
    """
    sizes = np.diff(scores.indptr)
    rows = np.repeat(np.arange(scores.shape[0]), sizes)
    order = np.argsort(-scores.data, kind="stable")
    order = order[np.argsort(rows[order].astype(np.int16 if scores.shape[0] < 1 << 15 else np.int64), kind="stable")]
    out = np.empty(len(order), np.int64)
    out[order] = np.arange(len(order)) - np.repeat(scores.indptr[:-1], sizes) + 1
    return out


def shortlist(sources: Sources, prefixes: Prefixes) -> Shortlist:
    """Candidates with their features; a track of the prefix is none where repeats are not allowed."""
    scores = sources.scores(prefixes)
    width = sources.index.n_items
    placed = {name: ranks(matrix) for name, matrix in scores.items()}
    keys = {name: _keys(matrix) for name, matrix in scores.items()}
    best = [keys[name][placed[name] <= sources.settings.per_source] for name in scores]
    chosen = np.unique(np.concatenate(best))
    rows, items, ago = prefixes.tracks(sources.settings.rules.plays)
    heard = rows * width + items
    if not sources.settings.repeats.allowed:
        every_row, every_item, _ = prefixes.tracks(LONGEST)
        chosen = np.setdiff1d(chosen, every_row * width + every_item, assume_unique=True)
    at_row = chosen // width
    order = np.argsort(heard)
    since = _look_up(chosen, heard[order], ago[order].astype(np.float64))
    columns: list[np.ndarray] = []
    present = np.zeros(len(chosen))
    for name, matrix in scores.items():
        value = _look_up(chosen, keys[name], matrix.data)
        rank = _look_up(chosen, keys[name], placed[name].astype(np.float64))
        top = np.asarray(matrix.max(axis=1).todense()).ravel()[at_row]
        share = value / np.maximum(top, 1e-12)
        there = value > 0
        present += there
        inverse = np.where(there, 1 / np.maximum(rank, 1), 0)
        near = np.where(there, 1 / (1 + rank / 10), 0)
        columns += [there, np.log(value + _FLOOR) - np.log(_FLOOR), share, inverse, near, share * (since > 0)]
    habit = _habit(prefixes)[at_row]
    times = _times(prefixes, chosen, width)
    popular = np.log1p(sources.rules.plays[chosen % width])
    again = since > 0
    columns += [popular, again, np.where(again, 1 / np.maximum(since, 1), 0), np.log1p(times), again * habit]
    columns += [~again * habit, present]
    names = (*(f"{name}_{part}" for name in scores for part in _OF_SOURCE), *_OF_PAIR)
    features = np.stack([column.astype(np.float32) for column in columns], axis=1)
    return Shortlist(at_row, chosen % width, features, names)


@dataclass(frozen=True)
class Order:
    """A linear ranker's weights of standardised features.

    Without any, since too few sessions were there to learn from, the sources' shares are added up.

    Attributes:
        weights: by feature name: (mean, deviation, weight); a feature that is not there weighs nothing.
    """

    weights: Mapping[str, tuple[float, float, float]]

    def score(self, candidates: Shortlist) -> np.ndarray:
        """float64 [E]: higher comes first in a row."""
        if not self.weights:
            shares = [at for at, name in enumerate(candidates.names) if name.endswith("_share")]
            return candidates.features[:, shares].sum(axis=1, dtype=np.float64)
        nothing = (0.0, 1.0, 0.0)
        mean, deviation, weight = np.array([self.weights.get(name, nothing) for name in candidates.names]).T
        return candidates.features @ (weight / deviation) - float(mean @ (weight / deviation))


def continuation(sources: Sources, order: Order, prefixes: Prefixes, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The next tracks of each prefix: items int64 [B, n] (0 where there are no more) and their scores."""
    candidates = shortlist(sources, prefixes)
    scores = order.score(candidates)
    best = np.lexsort((candidates.items, -scores, candidates.rows))
    sizes = np.bincount(candidates.rows, minlength=len(prefixes))
    rank = np.arange(len(best)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    keep = rank < n
    items, values = np.zeros((len(prefixes), n), np.int64), np.full((len(prefixes), n), -np.inf)
    items[candidates.rows[best[keep]], rank[keep]] = candidates.items[best[keep]]
    values[candidates.rows[best[keep]], rank[keep]] = scores[best[keep]]
    return items, values


def _keys(matrix: sparse.csr_matrix) -> np.ndarray:
    """row * width + column of every entry, ascending."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return rows * matrix.shape[1] + matrix.indices


def _look_up(asked: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of keys (ascending), 0 where there is none."""
    return np.append(values, 0.0)[positions(keys, asked)]


def _habit(prefixes: Prefixes) -> np.ndarray:
    """float64 [B]: share of the plays of a prefix, the last 50 at most, whose track comes again in it."""
    rows, plays = prefixes.plays(50)
    again = prefixes.log.next_same[plays] < prefixes.end[rows]
    return np.bincount(rows, again, minlength=len(prefixes)) / np.maximum(np.bincount(rows, minlength=len(prefixes)), 1)


def _times(prefixes: Prefixes, chosen: np.ndarray, width: int) -> np.ndarray:
    """How often each chosen track stands among the last 50 plays of its prefix."""
    rows, plays = prefixes.plays(50)
    keys, times = np.unique(rows * width + prefixes.log.items[plays], return_counts=True)
    return _look_up(chosen, keys, times.astype(np.float64))
