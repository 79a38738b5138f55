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

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import polars as pl
from scipy import sparse

from transforms.candidates import loops
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.settings import ContinueSettings, SourceSettings
from transforms.common.arrays import positions

TopK = Callable[[np.ndarray, sparse.csr_matrix | None, int], tuple[np.ndarray, np.ndarray]]
Retrieves = Literal["unheard", "heard", "both"]


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


def plain_search(name: str, vectors: np.ndarray) -> TopK:
    """The exact top-k in plain numpy, whatever the name."""
    return numpy_top_k(vectors)


@dataclass(frozen=True)
class SourceInputs:
    """What the sources of one night are made of.

    Attributes:
        catalog: aligned to the vocabulary of what was fitted.
        as_of: the night.
        fitted: by name of the part (`neighbours`, `als`, ...), what its fit made; a part that was not fitted is not there.
        settings: of the sources that read the catalog or the listener's own past.
        continuation: which session goes on, and how.
        sample: table `session_sample` of the fit date.
        search: (name, vectors) -> exact search over vectors; the jobs hand in TensorFlow's.
    """

    catalog: Catalog
    as_of: date
    fitted: Mapping[str, Any]
    settings: SourceSettings = field(default_factory=SourceSettings)
    continuation: ContinueSettings = field(default_factory=ContinueSettings)
    sample: pl.DataFrame | None = None
    search: Callable[[str, np.ndarray], TopK] = plain_search


class Source(ABC):
    """One way to find candidates, with its traits: union, features, reasons and evaluation read these, never the name.

    Attributes:
        name: in columns (`rank_<name>`, `score_<name>`) and reports.
        reason: code of the reason its candidates are shown with; a code that `transforms.shelves.reasons` has no
            sentence for is shown as it is, with spaces for underscores.
        precedence: of the sources that rank a candidate equally high, the smallest gives the reason.
        retrieves: what its best k may be: tracks unheard by the listener, heard before, or both.
        ranked: the ranker weighs its scores. A source that is not ranked orders a shelf of its own, and is no evidence.
        blended: the untrained blend (`f_blend`) sums its score and rank, `blend_weight` times.
        knows_unplayed: it can find a track that nobody has played. The others learn from plays, so their silence about
            such a track says nothing.
        personal: what it finds depends on the listener's history.
        rests: its reason is that a track was not heard for a while: given only on shelves of tracks that rest, and for
            what no other source found.
        embeds: it has a vector of each listener (`embed`), which table `listener_embeddings` keeps.
    """

    name: ClassVar[str]
    reason: ClassVar[str]
    precedence: ClassVar[int] = 50
    retrieves: ClassVar[Retrieves] = "unheard"
    ranked: ClassVar[bool] = True
    blended: ClassVar[bool] = False
    blend_weight: ClassVar[float] = 1.0
    knows_unplayed: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    rests: ClassVar[bool] = False
    embeds: ClassVar[bool] = False

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """The source of a night; None where a setting, its fitted part or the catalog's columns are missing."""
        return cls()

    @abstractmethod
    def score(self, block: Block) -> Scores:
        """Scores over the whole catalog."""

    @abstractmethod
    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """int32: the track of the listener's history that contributed most to each pair, 0 where there is none."""

    def holds(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """bool[m]: whether the reason is true of each pair; a source whose reason says more than that it found it looks."""
        return np.ones(len(rows), bool)


Traits = Source | type[Source]  # either tells the traits


def made_of(kinds: Iterable[type[Source]], inputs: SourceInputs) -> list[Source]:
    """Those of the kinds of source that can be made of what is known, in order of precedence, then as they are given."""
    found = (kind.of(inputs) for kind in sorted(kinds, key=lambda kind: kind.precedence))
    return [source for source in found if source is not None]


@dataclass(frozen=True)
class SparseScores:
    """Scores held as a sparse matrix [B, n_items]; what is not stored is 0 and is never retrieved."""

    matrix: sparse.csr_matrix

    def top(self, k: int, exclude: sparse.csr_matrix | None) -> Candidates:
        """See `Scores.top`."""
        found = loops.stored_top(*loops.parts(self.matrix), self.matrix.shape[1], *_places(exclude, self.matrix), k)
        items, scores, counts = found
        return Candidates(np.repeat(np.arange(len(counts), dtype=np.int32), counts), items, scores)

    def of(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """See `Scores.of`."""
        size, n = self.matrix.shape
        return _by_row(rows, items, size, partial(loops.stored_at, *loops.parts(self.matrix), n))


@dataclass(frozen=True)
class ProductScores:
    """Scores that are a sparse product of no negative terms, summed where they are read and never stored.

    Attributes:
        weights: [B, m], the listeners.
        matrix: [m, n_items], row = what a listener has, column = candidate.
    """

    weights: sparse.csr_matrix
    matrix: sparse.csr_matrix

    def top(self, k: int, exclude: sparse.csr_matrix | None) -> Candidates:
        """See `Scores.top`."""
        n = self.matrix.shape[1]
        items, scores, counts = loops.product_top(
            *loops.parts(self.weights), *loops.parts(self.matrix), n, *_places(exclude, self.weights), k
        )
        there = np.arange(k) < counts[:, None]
        rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        return Candidates(rows, items[there], scores[there])

    def of(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """See `Scores.of`."""
        return product_at_pairs(self.weights, self.matrix, rows, items)


def product_at_pairs(
    weights: sparse.csr_matrix, matrix: sparse.csr_matrix, rows: np.ndarray, items: np.ndarray, power: int = 1
) -> np.ndarray:
    """float32 [m]: (weights @ matrix^power)[rows, items], `power` (1 or 4) entry by entry."""
    n = matrix.shape[1]
    bounds, wanted, back = _distinct(rows, items, weights.shape[0], n)
    found: np.ndarray = loops.product_at(*loops.parts(weights), *loops.parts(matrix), n, bounds, wanted, power)
    return found if back is None else found[back]


def products_at_pairs(
    weights: sparse.csr_matrix,
    columns: Sequence[np.ndarray],
    matrix: sparse.csr_matrix,
    rows: np.ndarray,
    items: np.ndarray,
    powers: Sequence[int],
) -> list[np.ndarray]:
    """`product_at_pairs` of several weights in one walk, which reads the matrix once.

    Args:
        weights: whose entries they all have.
        columns: float32 [entries] each, the weights; powers: 1 or 4 each.
    """
    n = matrix.shape[1]
    bounds, wanted, back = _distinct(rows, items, weights.shape[0], n)
    wide = np.ascontiguousarray(np.stack(columns, axis=1), np.float32)
    found: np.ndarray = loops.products_at(
        weights.indptr, weights.indices, wide, *loops.parts(matrix), n, bounds, wanted, np.array(powers, np.int64)
    )
    return list((found if back is None else found[back]).T)


def _distinct(
    rows: np.ndarray, items: np.ndarray, size: int, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Pairs as the loops take them: bounds of each row, distinct items, and which of these each pair is (None = itself)."""
    keys, back = pair_keys(rows, items, n), None
    if not (keys[1:] > keys[:-1]).all():
        keys, back = np.unique(keys, return_inverse=True)
        rows, items = keys // n, keys % n
    return np.searchsorted(rows, np.arange(size + 1)), np.ascontiguousarray(items, np.int32), back


def _places(exclude: sparse.csr_matrix | None, like: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """indptr and indices of what is excluded."""
    if exclude is None:
        return np.zeros(like.shape[0] + 1, np.int64), np.zeros(0, np.int32)
    return loops.parts(exclude)[:2]


def _by_row(
    rows: np.ndarray, items: np.ndarray, size: int, read: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Values of pairs in any order, by a loop that takes them row by row."""
    order = None if (rows[1:] >= rows[:-1]).all() else np.argsort(rows, kind="stable")
    rows, items = (rows, items) if order is None else (rows[order], items[order])
    found = read(np.searchsorted(rows, np.arange(size + 1)), np.ascontiguousarray(items, np.int32))
    if order is None:
        return found
    out = np.empty_like(found)
    out[order] = found
    return out


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
    """float32 [m]: queries[rows] . vectors[items], pair by pair."""
    return loops.dots_at(np.ascontiguousarray(queries, np.float32), np.asarray(vectors), rows, items)


def row_numbers(matrix: sparse.csr_matrix) -> np.ndarray:
    """int32 row of every stored entry of a CSR matrix."""
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))


def pair_keys(rows: np.ndarray, items: np.ndarray, n_items: int) -> np.ndarray:
    """One int64 a pair of listener row and track row; ascending when pairs are sorted by (row, item)."""
    return rows.astype(np.int64) * n_items + items


def look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray, missing: float = 0.0) -> np.ndarray:
    """Values at `wanted` keys, `keys` being ascending; `missing` where a key is not there."""
    return np.append(values, missing)[positions(keys, wanted)].astype(np.float32)


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
    order = np.argsort(rows, kind="stable")
    bounds = np.searchsorted(rows[order], np.arange(weights.shape[0] + 1))
    n = max(weights.shape[1], towards.shape[1])
    return loops.links_at(*loops.parts(weights), *loops.parts(towards), n, order, bounds, items)
