"""Exact top-K by dot product over a whole catalog, blocks of listeners at a time, with each listener's own exclusions.

Sorting 200,000 scores for every listener costs more than computing them. TensorFlow multiplies, and keeps the maximum
of every 32 tracks. A compiled walk keeps the best K so far and looks into 32 tracks only where their maximum beats the
worst of these. Equal scores go to the smaller row, which in a `Vocabulary` is the order of hash(track_id). The next block
of listeners is multiplied while this one is searched.

    >>> ids, scores = top_k(np.float32([[1, 0]]), np.float32([[3, 0], [5, 0], [4, 0]]), k=2)
    >>> ids.tolist(), scores.tolist()
    ([[1, 2]], [[5.0, 4.0]])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from scipy.sparse import csr_matrix

from transforms.common.best import best_first, keep
from transforms.common.compiled import compiled

NONE = -1
_WIDTH = 32


class TopK:
    """Items loaded once; call it with listeners' vectors.

    Args:
        items: float32 [n, d].
        skip: rows nobody gets (the unknown track's row 0, tracks that cannot be played).
        block: listeners computed at once; the last block is padded, so one graph serves any number.
    """

    def __init__(self, items: np.ndarray, skip: Sequence[int] | np.ndarray = (), block: int = 256) -> None:
        self.n, self.d = items.shape
        self.block = int(block)
        # Rows that nobody gets are left out of the matrix, so that they cost nothing and need no mask.
        self._kept = np.setdiff1d(np.arange(self.n, dtype=np.int32), np.asarray(skip, np.int64))
        self._place = np.full(self.n, NONE, np.int32)
        self._place[self._kept] = np.arange(len(self._kept), dtype=np.int32)
        self._blocks = max(-(-len(self._kept) // _WIDTH), 1)
        columns = np.zeros((self.d, self._blocks * _WIDTH), np.float32)
        columns[:, : len(self._kept)] = np.asarray(items, np.float32)[self._kept].T
        self._columns = tf.constant(columns)
        self._multiply = tf.function(
            self._scores, input_signature=[tf.TensorSpec([self.block, self.d], tf.float32)], autograph=False
        )

    def _scores(self, queries: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores [block, blocks * 32] and the maxima of each 32, [block, blocks]."""
        scores = tf.linalg.matmul(queries, self._columns)
        return scores, tf.reduce_max(tf.reshape(scores, [self.block, self._blocks, _WIDTH]), axis=2)

    def __call__(
        self, queries: np.ndarray, exclude: csr_matrix | None = None, k: int = 500
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best K items of each listener.

        Args:
            queries: float32 [B, d], any B.
            exclude: sparse [B, n]; the places stored in it (whatever their value) are left out.
            k: how many items a listener gets.

        Returns:
            rows int32 [B, k] and scores float32 [B, k], best first, equal scores by row. A listener with fewer than
            k items left gets -1 and -inf in the places that remain.

        Raises:
            ValueError: shapes do not fit.
        """
        if queries.ndim != 2 or queries.shape[1] != self.d:
            raise ValueError(f"queries have shape {queries.shape}; expected [B, {self.d}]")
        if exclude is not None and exclude.shape != (len(queries), self.n):
            raise ValueError(f"exclusions have shape {exclude.shape}; expected {(len(queries), self.n)}")
        ids = np.full((len(queries), k), NONE, np.int32)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        excluded = np.zeros(self._blocks * _WIDTH, bool)
        excluded[len(self._kept) :] = True
        own = (np.zeros(len(queries) + 1, np.int32), np.zeros(0, np.int32))
        if exclude is not None:
            own = (exclude.indptr, exclude.indices)
        for start, table, maxima in self._multiplied(queries):
            rows = min(self.block, len(queries) - start)
            part = slice(start, start + rows)
            _search(table, maxima, excluded, start, *own, self._place, self._kept, ids[part], scores[part])
        return ids, scores

    def _multiplied(self, queries: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """First row, scores and maxima of each block; a second thread is one block ahead."""

        def multiply(start: int) -> tuple[int, np.ndarray, np.ndarray]:
            part = np.asarray(queries[start : start + self.block], np.float32)
            part = np.pad(part, ((0, self.block - len(part)), (0, 0)))
            table, maxima = self._multiply(tf.constant(part))
            # `numpy()` would copy 200 MB; the buffer is only read, and lives as long as the array does.
            return start, np.asarray(memoryview(table)), np.asarray(memoryview(maxima))

        with ThreadPoolExecutor(1) as ahead:
            coming = None
            for start in range(0, len(queries), self.block):
                done, coming = coming, ahead.submit(multiply, start)
                if done is not None:
                    yield done.result()
            if coming is not None:
                yield coming.result()


@compiled
def _search(
    table: np.ndarray,
    maxima: np.ndarray,
    excluded: np.ndarray,
    first: int,
    indptr: np.ndarray,
    indices: np.ndarray,
    place_of: np.ndarray,
    kept: np.ndarray,
    ids: np.ndarray,
    scores: np.ndarray,
) -> None:
    """Fill in the best of some listeners.

    Args:
        table: float32 [block, blocks * 32], scores by place.
        maxima: float32 [block, blocks].
        excluded: bool [blocks * 32], places that nobody gets; changed and changed back.
        first: the first listener's row in `indptr`, where the rows of the catalog stand that each must not get.
        place_of: int32 [n], place of a row of the catalog, NONE where nobody gets it; kept: the reverse.
        ids, scores: [listeners, k], to fill.
    """
    size, k = ids.shape
    for row in range(size):
        own = indices[indptr[first + row] : indptr[first + row + 1]]
        for item in own:
            if place_of[item] >= 0:
                excluded[place_of[item]] = True
        found = 0
        for block in range(maxima.shape[1]):
            if found == k and maxima[row, block] <= scores[row, 0]:
                continue  # equal scores go to the smaller place, which came before
            for place in range(block * _WIDTH, (block + 1) * _WIDTH):
                if not excluded[place]:
                    found = keep(scores[row], ids[row], found, k, table[row, place], place)
        best_first(scores[row], ids[row], found)
        for at in range(found):
            ids[row, at] = kept[ids[row, at]]
        for item in own:
            if place_of[item] >= 0:
                excluded[place_of[item]] = False


def top_k(
    queries: np.ndarray,
    items: np.ndarray,
    k: int,
    exclude: csr_matrix | None = None,
    skip: Sequence[int] | np.ndarray = (),
) -> tuple[np.ndarray, np.ndarray]:
    """One call of `TopK`, for items that are used once; arguments and result as there."""
    return TopK(items, skip)(queries, exclude, k)


def over_known(vectors: np.ndarray) -> TopK:
    """Search over the rows that have a vector: not the unknown track, nor one that nothing is known of."""
    return TopK(vectors, skip=np.flatnonzero(~np.any(vectors != 0, axis=1)))
