"""Exact top-K by dot product over a whole catalog, blocks of listeners at a time, with each listener's own exclusions.

Sorting 200,000 scores for every listener costs more than computing them. TensorFlow multiplies, and keeps the maximum
of every 32 tracks; only these maxima are searched. With e excluded tracks let t be the (K + e)-th largest maximum: at
least K + e tracks score t or more, so the K best that are not excluded do too, and they all lie in blocks whose
maximum does. A thousand scores are left to look at, sort and filter. Equal scores go to the smaller row, which in a
`Vocabulary` is the order of hash(track_id). The next block of listeners is multiplied while this one is searched.

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
        nothing = np.zeros(0, np.int32)
        excluded = np.zeros(self._blocks * _WIDTH, bool)
        excluded[len(self._kept) :] = True
        for start, table, maxima in self._multiplied(queries):
            for row in range(start, min(start + self.block, len(queries))):
                gone = nothing if exclude is None else self._excluded(exclude, row)
                excluded[gone] = True
                places, best = _search(table[row - start], maxima[row - start], k, excluded, len(gone))
                excluded[gone] = False
                ids[row, : len(places)] = self._kept[places]
                scores[row, : len(places)] = best
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

    def _excluded(self, exclude: csr_matrix, row: int) -> np.ndarray:
        """Places in the score table of what a listener must not get."""
        places = self._place[exclude.indices[exclude.indptr[row] : exclude.indptr[row + 1]]]
        return places[places >= 0]


def _search(
    table: np.ndarray, maxima: np.ndarray, k: int, excluded: np.ndarray, exclusions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places and scores of one listener's best.

    Args:
        table: float32 [blocks * 32], scores.
        maxima: float32 [blocks].
        excluded: bool [blocks * 32].
        exclusions: how many of the listener's own are in it.
    """
    # Padding beyond the catalog scores 0 and is excluded: at most 31 more.
    needed = k + exclusions + _WIDTH - 1
    if needed * 2 < len(maxima):
        threshold = np.partition(maxima, len(maxima) - needed)[len(maxima) - needed]
        blocks = np.flatnonzero(maxima >= threshold)
        inside = np.take(table.reshape(-1, _WIDTH), blocks, axis=0).ravel()
        found = np.flatnonzero(inside >= threshold)
        places, best = blocks[found // _WIDTH] * _WIDTH + found % _WIDTH, inside[found]
        allowed = ~excluded[places]
        places, best = places[allowed], best[allowed]
    else:
        places = np.flatnonzero(~excluded)
        best = table[places]
    # One integer that sorts as (score, best first; then place): a float's bits, turned over where it is negative.
    bits = (best + np.float32(0)).view(np.int32).astype(np.int64)
    keys = ~np.where(bits < 0, bits ^ 0x7FFFFFFF, bits) << 32 | places
    if len(keys) > 2 * k:
        keys = np.partition(keys, k)[:k]
    places = np.sort(keys)[:k] & 0xFFFFFFFF
    return places, table[places]


def top_k(
    queries: np.ndarray,
    items: np.ndarray,
    k: int,
    exclude: csr_matrix | None = None,
    skip: Sequence[int] | np.ndarray = (),
) -> tuple[np.ndarray, np.ndarray]:
    """One call of `TopK`, for items that are used once; arguments and result as there."""
    return TopK(items, skip)(queries, exclude, k)
