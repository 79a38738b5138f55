"""What a candidate source is: something that scores tracks for a block of listeners, and can say why.

A source turns a `Block` into `Scores` once; the best k a listener, the score of any pair and the feature columns all
come from that one object, so nothing is computed twice. Most sources are a sparse product of the listeners' weighted
histories with a track-to-track (or group-to-track) matrix, and share `SparseScores`; sources that score by a dot
product share `DenseScores`. Everything learned from other listeners is in the matrices, everything about the
listener is in the block.

    >>> scores = SparseScores(sparse.csr_matrix(np.float32([[0, .5, .2, .5]])))
    >>> scores.top(2, None).items.tolist()       # equal scores: the smaller row, which is the order of hash(track_id)
    [1, 3]
    >>> scores.of(np.int32([0, 0]), np.int32([2, 0])).tolist()[1]
    0.0
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from transforms.candidates.blocks import Block

TopK = Callable[[np.ndarray, sparse.csr_matrix | None, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Candidates:
    """Pairs of listener and track with a score, sorted by row, then score downwards, then track row.

    Attributes: rows int32[m] (0..B-1), items int32[m] (> 0), scores float32[m].
    """

    rows: np.ndarray
    items: np.ndarray
    scores: np.ndarray

    def ranks(self) -> np.ndarray:
        """int32[m], 1 for each listener's best."""
        if not len(self.rows):
            return np.zeros(0, np.int32)
        first = np.flatnonzero(np.r_[True, self.rows[1:] != self.rows[:-1]])
        start = np.repeat(first, np.diff(np.r_[first, len(self.rows)]))
        return (np.arange(len(self.rows)) - start + 1).astype(np.int32)


class Scores(Protocol):
    """A source's scores over a block; 0 where it has no evidence."""

    def top(self, k: int, exclude: sparse.csr_matrix | None) -> Candidates:
        """The k best of each listener with evidence, without the places stored in `exclude` [B, n_items]."""
        ...

    def of(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """float32 score of each pair."""
        ...


class Source(Protocol):
    """One way to find candidates."""

    @property
    def name(self) -> str:
        """Name in columns and reports."""
        ...

    @property
    def reason(self) -> str:
        """Code of the reason its candidates are shown with."""
        ...

    def score(self, block: Block) -> Scores:
        """Scores over the whole catalog."""
        ...

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """int32: the track of the listener's history that contributed most to each pair, 0 where there is none."""
        ...


@dataclass(frozen=True)
class SparseScores:
    """Scores held as a sparse matrix [B, n_items]; what is not stored is 0 and is never retrieved."""

    matrix: sparse.csr_matrix

    def top(self, k: int, exclude: sparse.csr_matrix | None) -> Candidates:
        """See `Scores.top`. One listener at a time: a partial sort of one row is cheaper than a sort of all."""
        matrix, found_items, found_scores, counts = self.matrix, [], [], []
        hidden = np.zeros(matrix.shape[1], np.bool_)
        for row in range(matrix.shape[0]):
            part = slice(matrix.indptr[row], matrix.indptr[row + 1])
            items, scores = matrix.indices[part], matrix.data[part]
            usable = (scores > 0) & (items > 0)
            if exclude is not None:
                heard = exclude.indices[exclude.indptr[row] : exclude.indptr[row + 1]]
                hidden[heard] = True
                usable &= ~hidden[items]
                hidden[heard] = False
            items, scores = items[usable], scores[usable]
            if len(items) > k:
                least = np.partition(scores, len(scores) - k)[len(scores) - k]
                usable = scores >= least
                items, scores = items[usable], scores[usable]
            order = np.lexsort((items, -scores))[:k]
            found_items.append(items[order])
            found_scores.append(scores[order])
            counts.append(len(order))
        return Candidates(
            np.repeat(np.arange(len(counts), dtype=np.int32), counts),
            np.concatenate([np.zeros(0, np.int32), *found_items]).astype(np.int32),
            np.concatenate([np.zeros(0, np.float32), *found_scores]).astype(np.float32),
        )

    def of(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """See `Scores.of`. Each row is laid out once and read at the wanted items, which beats a search a pair."""
        matrix, row_of_all = self.matrix, np.zeros(self.matrix.shape[1], np.float32)
        order = None if (rows[1:] >= rows[:-1]).all() else np.argsort(rows, kind="stable")
        rows, items = (rows, items) if order is None else (rows[order], items[order])
        bounds = np.searchsorted(rows, np.arange(matrix.shape[0] + 1))
        out = np.empty(len(rows), np.float32)
        for row in range(matrix.shape[0]):
            wanted = slice(bounds[row], bounds[row + 1])
            stored = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
            row_of_all[stored] = matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]]
            out[wanted] = row_of_all[items[wanted]]
            row_of_all[stored] = 0
        if order is None:
            return out
        unsorted = np.empty_like(out)
        unsorted[order] = out
        return unsorted


@dataclass(frozen=True)
class DenseScores:
    """Scores that are dot products of a listener's vector with a track's.

    Attributes:
        queries: float32 [B, d]; a zero vector has no evidence and retrieves nothing.
        vectors: float32 [n_items, d].
        top_k: (queries, exclude, k) -> rows int32 [B, k] (-1 = none) and scores float32 [B, k], best first.
    """

    queries: np.ndarray
    vectors: np.ndarray
    top_k: TopK

    def top(self, k: int, exclude: sparse.csr_matrix | None) -> Candidates:
        """See `Scores.top`."""
        items, scores = self.top_k(self.queries, exclude, k)
        found = (items > 0) & np.isfinite(scores) & (np.abs(self.queries).sum(axis=1, keepdims=True) > 0)
        rows = np.broadcast_to(np.arange(len(items), dtype=np.int32)[:, None], items.shape)
        return Candidates(rows[found], items[found].astype(np.int32), scores[found].astype(np.float32))

    def of(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """See `Scores.of`."""
        return pair_dots(self.queries, self.vectors, rows, items)


@dataclass(frozen=True)
class Limited:
    """Scores of which at most so many a listener are retrieved; any pair is scored as before."""

    scores: Scores
    most: int

    def top(self, k: int, exclude: sparse.csr_matrix | None) -> Candidates:
        """See `Scores.top`."""
        return self.scores.top(min(k, self.most), exclude)

    def of(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """See `Scores.of`."""
        return self.scores.of(rows, items)


def numpy_top_k(vectors: np.ndarray) -> TopK:
    """Exact top-k in plain numpy, for tests and small catalogs; the jobs hand in the TensorFlow one."""

    def top_k(queries: np.ndarray, exclude: sparse.csr_matrix | None, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores = queries @ vectors.T
        scores[:, 0] = -np.inf
        if exclude is not None:
            scores[row_numbers(exclude), exclude.indices] = -np.inf
        found = np.full((len(queries), k), -1, np.int32)
        best = np.full((len(queries), k), -np.inf, np.float32)
        for row, own in enumerate(scores):
            least = np.partition(own, len(own) - k)[len(own) - k] if len(own) > k else -np.inf
            usable = np.flatnonzero((own >= least) & np.isfinite(own))
            order = usable[np.lexsort((usable, -own[usable]))][:k]
            found[row, : len(order)], best[row, : len(order)] = order, own[order]
        return found, best

    return top_k


def pair_dots(queries: np.ndarray, vectors: np.ndarray, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """float32 [m]: queries[rows] . vectors[items], pair by pair; in slices, so that what is gathered stays in cache."""
    out = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), 1 << 14):
        part = slice(start, start + (1 << 14))
        out[part] = np.einsum("ij,ij->i", queries[rows[part]], vectors[items[part]])
    return out


def row_numbers(matrix: sparse.csr_matrix) -> np.ndarray:
    """int32 row of every stored entry of a CSR matrix."""
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))


def pair_keys(rows: np.ndarray, items: np.ndarray, n_items: int) -> np.ndarray:
    """One int64 a pair of listener row and track row; ascending when pairs are sorted by (row, item)."""
    return rows.astype(np.int64) * n_items + items


def look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray, missing: float = 0.0) -> np.ndarray:
    """Values at `wanted` keys, `keys` being ascending; `missing` where a key is not there."""
    return np.append(values, missing)[positions(keys, wanted)].astype(np.float32)


def positions(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int64: where each wanted key stands among ascending `keys`, the first of equal ones; -1 where it does not."""
    if not len(keys):
        return np.full(len(wanted), -1)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def largest(matrix: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """Each row's k largest entries; equals go to the smaller column. Column 0 must be empty: it means none."""
    matrix.sort_indices()
    if not matrix.shape[0] or np.diff(matrix.indptr).max() <= k:
        return matrix
    best = SparseScores(matrix).top(k, None)
    out = sparse.csr_matrix((best.scores, (best.rows, best.items)), shape=matrix.shape)
    out.sort_indices()
    return out


def strongest_link(
    weights: sparse.csr_matrix, towards: sparse.csr_matrix, rows: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """The history track j with the largest weights[row, j] * towards[item, j], for every pair.

    Args:
        weights: [B, n_items], listeners' histories.
        towards: [n_items, n_items], row = candidate, column = track of the history.

    Returns:
        int32 item j of each pair, the smaller of equals; 0 where no link exists.
    """
    out = np.zeros(len(items), np.int32)
    weight_of_all = np.zeros(weights.shape[1], np.float32)
    order = np.argsort(rows, kind="stable")
    bounds = np.searchsorted(rows[order], np.arange(weights.shape[0] + 1))
    for row in np.unique(rows).tolist():
        pairs = order[bounds[row] : bounds[row + 1]]
        own = slice(weights.indptr[row], weights.indptr[row + 1])
        weight_of_all[weights.indices[own]] = weights.data[own]
        counts = np.diff(towards.indptr)[items[pairs]]
        first = towards.indptr[items[pairs]] - (np.cumsum(counts) - counts)
        place = np.repeat(first, counts) + np.arange(int(counts.sum()))
        share = weight_of_all[towards.indices[place]] * towards.data[place]
        weight_of_all[weights.indices[own]] = 0
        linked = np.flatnonzero(share > 0)
        pair, link, share = np.repeat(pairs, counts)[linked], towards.indices[place[linked]], share[linked]
        # the last written wins: the largest share, the smaller row among equals
        best = np.lexsort((-link, share))
        out[pair[best]] = link[best]
    return out
