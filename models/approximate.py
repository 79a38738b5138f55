"""Approximate top-K by dot product over a large catalog: a graph of near neighbours (HNSW, Malkov and Yashunin 2018, by voyager).

Exact search reads every vector for every listener, which from millions of tracks on costs more than everything else. The largest
dot product becomes the nearest vector once every track's has one more entry that brings it to the length of the longest, and
every listener's a zero (Bachrach et al. 2014). What the graph finds is scored and ordered exactly, so only what it overlooks is
lost; a listener whom it gives too little beside what is excluded is searched exactly.

How much a graph overlooks depends on the vectors. So an index is kept only where it finds enough of what exact search finds for
some listeners of the fit (`recall`), and the night is searched exactly otherwise.

voyager is an optional dependency (`pip install nightshelf[approximate]`), needed where an index is made and where it is searched.

    >>> index = Approximate.build(items, ApproximateSettings(tracks=1_000_000), seed=1)
    >>> rows, scores = index(queries, exclude=None, k=300)        # as `models.topk.TopK`
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from models.settings import ApproximateSettings
from models.topk import over_known
from transforms.candidates.base import TopK, pair_dots
from transforms.common.errors import UserError

if TYPE_CHECKING:
    import voyager

NONE = -1


class Approximate:
    """An index over a matrix of vectors, called like `models.topk.TopK`.

    Args:
        index: ids are rows of `items`.
        items: float32 [n, d].
        breadth: entries of the graph that a search keeps, at least as many as it shall find.
    """

    def __init__(self, index: voyager.Index, items: np.ndarray, breadth: int) -> None:
        self.index, self.items, self.breadth = index, items, breadth

    @classmethod
    def build(cls, items: np.ndarray, settings: ApproximateSettings, seed: int) -> Approximate:
        """Enter every vector but those of zeros, one after the other: equal vectors and seed give an equal graph.

        Raises:
            UserError: voyager is not installed.
        """
        voyager = _voyager()
        known = np.flatnonzero(np.any(items != 0, axis=1))
        lengths = np.linalg.norm(items[known], axis=1)
        more = np.sqrt(np.maximum(lengths.max(initial=0.0) ** 2 - lengths**2, 0))
        index = voyager.Index(
            voyager.Space.Euclidean,
            num_dimensions=items.shape[1] + 1,
            M=settings.links,
            ef_construction=settings.build_breadth,
            random_seed=seed % (1 << 31) or 1,
        )
        if len(known):
            index.add_items(np.column_stack([items[known], more]).astype(np.float32), ids=known, num_threads=1)
        return cls(index, items, settings.breadth)

    def __call__(
        self, queries: np.ndarray, exclude: csr_matrix | None = None, k: int = 500
    ) -> tuple[np.ndarray, np.ndarray]:
        """About the best K items of each listener, best first, equal scores by row; arguments and result as `TopK`."""
        ids = np.full((len(queries), k), NONE, np.int32)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        if not len(queries):
            return ids, scores
        found = self._near(np.asarray(queries, np.float32), k, exclude)
        there = found >= 0
        rows = np.repeat(np.arange(len(queries), dtype=np.int32), there.sum(axis=1))
        table = np.full(found.shape, -np.inf, np.float32)
        table[there] = pair_dots(queries, self.items, rows, found[there])
        if exclude is not None:
            for row in range(len(queries)):
                own = exclude.indices[exclude.indptr[row] : exclude.indptr[row + 1]]
                table[row, np.isin(found[row], own)] = -np.inf
        best = np.lexsort((found, -table), axis=1)[:, :k]
        width = best.shape[1]
        scores[:, :width] = np.take_along_axis(table, best, axis=1)
        ids[:, :width] = np.where(np.isfinite(scores[:, :width]), np.take_along_axis(found, best, axis=1), NONE)
        few = np.flatnonzero((ids == NONE).any(axis=1) & (np.abs(queries).sum(axis=1) > 0))
        if len(few):
            ids[few], scores[few] = self._exact(queries[few], None if exclude is None else exclude[few], k)
        return ids, scores

    @cached_property
    def _exact(self) -> TopK:
        """What searches for those whom the graph gives too little."""
        return over_known(self.items)

    def _near(self, queries: np.ndarray, k: int, exclude: csr_matrix | None) -> np.ndarray:
        """int64 [B, width]: rows near to each listener, NONE where the graph gives none."""
        voyager, size = _voyager(), len(self.index)
        most = 0 if exclude is None else int(np.diff(exclude.indptr).max(initial=0))
        width = min(k + min(most, k), size)
        if not width:
            return np.full((len(queries), 1), NONE, np.int64)
        ends = np.column_stack([queries, np.zeros(len(queries), np.float32)])
        breadth = max(self.breadth, width)
        try:
            near, _ = self.index.query(ends, k=width, num_threads=1, query_ef=breadth)
        except voyager.RecallError:  # parts of the graph cannot be reached from each other
            return np.full((len(queries), 1), NONE, np.int64)
        return near.astype(np.int64)

    def save(self, path: Path) -> None:
        """Write the graph as voyager does; the vectors stand with their model."""
        path.write_bytes(self.index.as_bytes())

    @classmethod
    def load(cls, path: Path, items: np.ndarray, breadth: int) -> Approximate:
        """Read what `save` wrote.

        Raises:
            UserError: voyager is not installed.
        """
        return cls(_voyager().Index.load(str(path)), items, breadth)


def recall(exact: TopK, index: TopK, queries: np.ndarray, k: int) -> float:
    """Mean share of the exact best k that an index finds; 1 where there is no query."""
    queries = queries[np.abs(queries).sum(axis=1) > 0]
    if not len(queries):
        return 1.0
    wanted, found = exact(queries, None, k)[0], index(queries, None, k)[0]
    shares = [
        np.isin(own[own >= 0], other).mean() for own, other in zip(wanted, found, strict=True) if (own >= 0).any()
    ]
    return float(np.mean(shares)) if shares else 1.0


def _voyager() -> Any:
    try:
        import voyager
    except ModuleNotFoundError as error:
        raise UserError(
            "models.approximate.tracks is set, and voyager is not installed; install nightshelf[approximate], or set it to null"
        ) from error
    return voyager
