"""Exact top-K by dot product over a whole catalog, blocks of listeners at a time, with each listener's own exclusions.

Sorting 200,000 scores for every listener costs more than computing them. Items are therefore cut into blocks of 32
and only each block's maximum is ranked: the K best items lie in the K blocks with the largest maxima, for were one
in another block, K blocks would each hold something better. Excluded items are set to -inf before the maxima are
taken, so the answer stays exact however much a listener has heard. Equal scores go to the smaller row, which in a
`Vocabulary` is the order of hash(track_id).

    >>> ids, scores = top_k(np.float32([[1, 0]]), np.float32([[3, 0], [5, 0], [4, 0]]), k=2)
    >>> ids.tolist(), scores.tolist()
    ([[1, 2]], [[5.0, 4.0]])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
        self._padded = max(-(-self.n // _WIDTH), 1) * _WIDTH
        columns = np.zeros((self.d, self._padded), np.float32)
        columns[:, : self.n] = np.asarray(items, np.float32).T
        self._columns = tf.constant(columns)
        self._skip = np.concatenate([np.unique(np.asarray(skip, np.int64)), np.arange(self.n, self._padded)])
        self._skip_everywhere = (np.arange(self.block)[:, None] * self._padded + self._skip).ravel()
        self._graphs: dict[int, Any] = {}

    def _graph(self, k: int) -> Any:
        """The compiled search for one k."""
        if k not in self._graphs:
            self._graphs[k] = self._compile(k)
        return self._graphs[k]

    def _compile(self, k: int) -> Any:
        blocks = self._padded // _WIDTH

        def best(queries: tf.Tensor, excluded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            flat = tf.reshape(tf.linalg.matmul(queries, self._columns), [-1])
            flat = tf.tensor_scatter_nd_update(flat, excluded[:, None], tf.fill(tf.shape(excluded), -np.inf))
            if k * 3 >= blocks * 2:
                scores, rows = tf.math.top_k(tf.reshape(flat, [self.block, -1]), k)
                return rows, scores
            table = tf.reshape(flat, [self.block, blocks, _WIDTH])
            kept = tf.math.top_k(tf.reduce_max(table, axis=2), k, sorted=False).indices
            # In row order, so that top_k's preference for the first of equals is preference for the smaller row.
            kept = tf.sort(kept, axis=1)
            scores, place = tf.math.top_k(tf.reshape(tf.gather(table, kept, batch_dims=1), [self.block, -1]), k)
            return tf.gather(kept, place // _WIDTH, batch_dims=1) * _WIDTH + place % _WIDTH, scores

        return tf.function(
            best,
            input_signature=[
                tf.TensorSpec([self.block, self.d], tf.float32),
                tf.TensorSpec([None], tf.int64),
            ],
            autograph=False,
        )

    def __call__(
        self, queries: np.ndarray, exclude: csr_matrix | None = None, k: int = 500
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best K items of each listener.

        Args:
            queries: float32 [B, d], any B.
            exclude: sparse [B, n]; the places stored in it (whatever their value) are left out.
            k: how many items a listener gets; each k that is asked for is compiled once.

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
        graph, found_k = self._graph(min(k, self._padded)), min(k, self._padded)
        for start in range(0, len(queries), self.block):
            part = np.asarray(queries[start : start + self.block], np.float32)
            rows = len(part)
            if rows < self.block:
                part = np.concatenate([part, np.zeros((self.block - rows, self.d), np.float32)])
            found, value = graph(tf.constant(part), tf.constant(self._excluded(exclude, start, rows)))
            ids[start : start + rows, :found_k] = found.numpy()[:rows]
            scores[start : start + rows, :found_k] = value.numpy()[:rows]
        ids[np.isneginf(scores)] = NONE
        return ids, scores

    def _excluded(self, exclude: csr_matrix | None, start: int, rows: int) -> np.ndarray:
        """Flat places of a block's score table that must not be chosen."""
        if exclude is None:
            return self._skip_everywhere
        ptr = exclude.indptr[start : start + rows + 1].astype(np.int64)
        row = np.repeat(np.arange(rows), np.diff(ptr))
        own = row * self._padded + exclude.indices[ptr[0] : ptr[-1]]
        return np.concatenate([own, self._skip_everywhere])


def top_k(
    queries: np.ndarray,
    items: np.ndarray,
    k: int,
    exclude: csr_matrix | None = None,
    skip: Sequence[int] | np.ndarray = (),
) -> tuple[np.ndarray, np.ndarray]:
    """One call of `TopK`, for items that are used once; arguments and result as there."""
    return TopK(items, skip)(queries, exclude, k)
