"""Top-K: equal to sorting everything, with ties by row and with each listener's exclusions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from models.topk import NONE, TopK, top_k


def by_sorting(queries: np.ndarray, items: np.ndarray, k: int, gone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What everything sorted by score, then row, begins with."""
    scores = queries @ items.T
    scores[gone] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    order = np.where(np.isneginf(best), NONE, order)
    pad = ((0, 0), (0, k - order.shape[1]))
    return np.pad(order, pad, constant_values=NONE), np.pad(best, pad, constant_values=-np.inf)


def test_by_hand() -> None:
    items = np.float32([[9, 9], [1, 0], [3, 0], [3, 0], [0, 1]])
    exclude = csr_matrix(([1.0], ([0], [2])), shape=(2, 5))
    ids, scores = top_k(np.float32([[1, 0], [0, 1]]), items, k=2, exclude=exclude, skip=[0])
    assert ids.tolist() == [[3, 1], [4, 1]], "track 2 is heard by the first; equal zeros go to the smaller row"
    assert scores.tolist() == [[3, 1], [1, 0]]


@settings(max_examples=15)
@given(
    st.integers(1, 700),
    st.integers(1, 12),
    st.integers(0, 6),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.05, 0.9]),
    st.integers(0, 999),
)
def test_equals_sorting(n: int, k: int, listeners: int, levels: int, heard: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Whole numbers: scores are exact, and with few levels nearly everything is a tie.
    items = rng.integers(-levels, levels + 1, (n, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (listeners, 3)).astype(np.float32)
    gone = rng.random((listeners, n)) < heard
    ids, scores = TopK(items, block=4)(queries, csr_matrix(gone), k)
    expected = by_sorting(queries, items, k, gone)
    assert np.array_equal(ids, expected[0])
    assert np.array_equal(scores, expected[1])


def test_blocks_are_used_and_exact_when_k_is_small_beside_the_catalog() -> None:
    rng = np.random.default_rng(0)
    items, queries = rng.standard_normal((20_000, 8), np.float32), rng.standard_normal((300, 8), np.float32)
    gone = csr_matrix(rng.random((300, 20_000)) < 0.01)
    ids, scores = TopK(items)(queries, gone, 20)
    expected = by_sorting(queries, items, 20, gone.toarray())
    assert np.allclose(scores, expected[1], atol=1e-5)
    assert (ids == expected[0]).mean() > 0.999
    assert not any(gone[i, t] for i, row in enumerate(ids[:50]) for t in row)


def test_wrong_shapes_are_named() -> None:
    find = TopK(np.zeros((5, 2), np.float32))
    with pytest.raises(ValueError, match=r"expected \[B, 2\]"):
        find(np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match="exclusions"):
        find(np.zeros((1, 2), np.float32), csr_matrix((2, 5)))
