"""The compiled loops against the same sums and sorts in plain numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from transforms.candidates import loops
from transforms.candidates.base import (
    ProductScores,
    SparseScores,
    largest,
    pair_dots,
    product_at_pairs,
    products_at_pairs,
    strongest_link,
)

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(2, 25), st.integers(1, 8), st.integers(0, 10**6))


def random(rows: int, columns: int, seed: int, density: float = 0.4) -> sparse.csr_matrix:
    """Few different values, so that scores are often equal."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 4, (rows, columns)) * (rng.random((rows, columns)) < density)
    return sparse.csr_matrix(dense.astype(np.float32))


def sorted_by_hand(dense: np.ndarray, k: int, hidden: np.ndarray) -> list[list[int]]:
    """Items of each row with a positive score that are not hidden nor item 0: the best first, equals by item."""
    out = []
    for scores, gone in zip(dense, hidden, strict=True):
        usable = [i for i in range(1, len(scores)) if scores[i] > 0 and not gone[i]]
        out.append(sorted(usable, key=lambda i: (-scores[i], i))[:k])
    return out


@settings(deadline=None, max_examples=60)
@given(SIZES)
def test_a_product_that_is_never_stored_equals_the_stored_one(sizes: tuple[int, int, int, int, int]) -> None:
    listeners, tracks, n, k, seed = sizes
    weights, matrix, heard = (
        random(listeners, tracks, seed),
        random(tracks, n, seed + 1),
        random(listeners, n, seed + 2),
    )
    stored, walked = SparseScores(sparse.csr_matrix(weights @ matrix)), ProductScores(weights, matrix)
    wanted = sorted_by_hand((weights @ matrix).toarray(), k, heard.toarray() > 0)
    for scores in (stored, walked):
        found = scores.top(k, heard)
        assert [found.items[found.rows == row].tolist() for row in range(listeners)] == wanted
        assert found.scores.tolist() == scores.of(found.rows, found.items).tolist()
    rng = np.random.default_rng(seed)
    rows, items = rng.integers(0, listeners, 40), rng.integers(0, n, 40)  # in no order
    expected = (weights @ matrix).toarray()[rows, items].tolist()
    assert stored.of(rows, items).tolist() == walked.of(rows, items).tolist() == expected


def test_several_weights_in_one_walk_are_each_to_the_last_bit_what_they_are_alone() -> None:
    rng = np.random.default_rng(4)
    weights = sparse.random(20, 200, 0.3, "csr", np.float32, rng)
    matrix = sparse.random(200, 300, 0.2, "csr", np.float32, rng)
    other = sparse.csr_matrix((weights.data * (weights.data > 0.5), weights.indices, weights.indptr), weights.shape)
    rows, items = rng.integers(0, 20, 500), rng.integers(0, 300, 500)
    found = products_at_pairs(weights, [weights.data, other.data], matrix, rows, items, powers=[4, 1])
    assert np.array_equal(found[0], product_at_pairs(weights, matrix, rows, items, power=4))
    assert np.array_equal(found[1], product_at_pairs(other, matrix, rows, items))
    fourth = (weights @ matrix.power(4)).toarray()[rows, items]
    assert found[0] == pytest.approx(fourth, rel=1e-5)


def test_sums_are_those_of_the_product_to_the_last_bit() -> None:
    rng = np.random.default_rng(3)
    weights = sparse.random(20, 200, 0.3, "csr", np.float32, rng)
    matrix = sparse.random(200, 300, 0.2, "csr", np.float32, rng)
    rows, items = np.divmod(np.arange(20 * 300), 300)
    product = sparse.csr_matrix(weights @ matrix).toarray()
    assert np.array_equal(ProductScores(weights, matrix).of(rows, items), product.ravel())


@settings(deadline=None, max_examples=40)
@given(SIZES)
def test_the_largest_entries_of_a_row_are_kept_equals_by_column(sizes: tuple[int, int, int, int, int]) -> None:
    rows, _, n, k, seed = sizes
    matrix = sparse.csr_matrix(random(rows, n, seed).toarray() * (np.arange(n) > 0))
    kept = largest(matrix.copy(), k)
    wanted = sorted_by_hand(matrix.toarray(), k, np.zeros(matrix.shape, bool))
    assert [kept[row].indices.tolist() for row in range(rows)] == [sorted(items) for items in wanted]


@settings(deadline=None, max_examples=40)
@given(SIZES)
def test_the_strongest_link_is_the_largest_term_equals_by_track(sizes: tuple[int, int, int, int, int]) -> None:
    listeners, _, n, _, seed = sizes
    weights, towards = random(listeners, n, seed), random(n, n, seed + 1)
    rng = np.random.default_rng(seed)
    rows, items = rng.integers(0, listeners, 30), rng.integers(0, n, 30)
    terms = weights.toarray()[rows] * towards.toarray()[items]
    wanted = np.where(terms.max(axis=1) > 0, terms.argmax(axis=1), 0)
    assert strongest_link(weights, towards, rows, items).tolist() == wanted.tolist()


@pytest.mark.parametrize("d", [1, 7, 8, 65])
def test_dots_of_pairs(d: int) -> None:
    rng = np.random.default_rng(d)
    queries, vectors = rng.random((5, d), np.float32), rng.random((40, d), np.float32)
    rows, items = rng.integers(0, 5, 100), rng.integers(0, 40, 100)
    assert pair_dots(queries, vectors, rows, items) == pytest.approx((queries @ vectors.T)[rows, items], rel=1e-5)


@settings(deadline=None, max_examples=60)
@given(SIZES)
def test_the_closest_track_of_a_history_is_that_of_the_whole_product(sizes: tuple[int, int, int, int, int]) -> None:
    listeners, features, n, _, seed = sizes
    weights, vectors = random(listeners, n, seed), random(n, features, seed + 1)
    rng = np.random.default_rng(seed)
    rows, items = rng.integers(0, listeners, 40), rng.integers(0, n, 40)
    like = weights.toarray()[rows] * (vectors @ vectors.T).toarray()[items]  # [pairs, tracks of the history]
    expected = np.where(like.max(axis=1) > 0, like.argmax(axis=1), 0)
    found = loops.closest_at(*loops.parts(weights), *loops.parts(vectors), features, rows, items)
    assert found.tolist() == expected.tolist()
