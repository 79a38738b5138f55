"""Approximate search finds nearly what exact search finds, orders it the same, and says where it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from models.approximate import Approximate, recall
from models.settings import ApproximateSettings
from transforms.candidates.base import numpy_top_k
from transforms.common.errors import UserError

SETTINGS = ApproximateSettings(tracks=1, breadth=400)


def crowds(n: int, seed: int = 1, width: int = 8) -> np.ndarray:
    """Vectors [n, width] in crowds, of lengths that differ, row 0 unknown."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, width))
    vectors = centres[rng.integers(0, 12, n)] + 0.5 * rng.normal(size=(n, width))
    vectors *= rng.gamma(3, 1, size=(n, 1))
    vectors[0] = 0
    return vectors.astype(np.float32)


def test_the_largest_dot_product_wins_and_not_the_nearest_vector() -> None:
    items = np.float32([[0, 0], [1, 0], [9, 3], [0.9, 0.1]])
    ids, scores = Approximate.build(items, SETTINGS, seed=1)(np.float32([[1, 0]]), k=3)
    assert ids.tolist() == [[2, 1, 3]] and scores.tolist() == [pytest.approx([9, 1, 0.9])]


def test_it_finds_nearly_all_of_two_thousand_and_orders_them_as_exact_search_does() -> None:
    items, queries = crowds(2000), crowds(60, seed=2)[1:]
    index, exact = Approximate.build(items, SETTINGS, seed=1), numpy_top_k(items)
    assert recall(exact, index, queries, 100) > 0.97
    ids, scores = index(queries, k=100)
    assert np.allclose(scores, np.take_along_axis(queries @ items.T, ids, axis=1), atol=1e-4)
    assert (np.diff(scores, axis=1) <= 0).all() and (ids > 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(1, 30), st.integers(0, 2**31 - 1))
def test_nobody_gets_what_is_excluded_or_twice_and_everybody_gets_what_there_is(n: int, k: int, seed: int) -> None:
    rng, items = np.random.default_rng(seed), crowds(n, seed)
    queries = rng.normal(size=(5, items.shape[1])).astype(np.float32)
    queries[0] = 0
    out = sparse.csr_matrix((rng.random((5, n)) < 0.6).astype(np.float32))
    ids, _ = Approximate.build(items, SETTINGS, seed=1)(queries, out, k)
    assert (ids[0] == -1).all() or set(ids[0]) - {-1} <= set(range(1, n))
    for row in range(1, 5):
        mine = ids[row][ids[row] >= 0]
        left = set(range(1, n)) - set(out[row].indices.tolist())
        assert len(mine) == len(set(mine.tolist())) == min(k, len(left)) and set(mine.tolist()) <= left


def test_a_track_that_nothing_is_known_of_is_given_to_nobody() -> None:
    """Its product is 0, so it would stand before every track that a listener dislikes."""
    items = np.float32([[0, 0], [-1, 0], [0, 0], [-2, 0]])
    ids, scores = Approximate.build(items, SETTINGS, seed=1)(np.float32([[1, 0]]), k=3)
    assert ids.tolist() == [[1, 3, -1]] and scores[0, :2].tolist() == [-1, -2]


def test_recall_counts_the_exact_best_that_are_found() -> None:
    def says(*rows: list[int]) -> object:
        return lambda queries, exclude, k: (np.array(rows), np.zeros((len(rows), k)))

    exact, index = says([1, 2, 3, 4], [5, -1, -1, -1]), says([4, 1, 9, -1], [5, -1, -1, -1])
    assert recall(exact, index, np.ones((2, 3), np.float32), 4) == pytest.approx((0.5 + 1) / 2)
    assert recall(exact, index, np.zeros((2, 3), np.float32), 4) == 1.0, "nobody can be asked"


def test_equal_vectors_give_equal_files_and_a_file_gives_the_index_back(tmp_path: Path) -> None:
    items, queries = crowds(300), crowds(9, seed=3)
    for name in "ab":
        Approximate.build(items, SETTINGS, seed=7).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = Approximate.load(tmp_path / "a", items, SETTINGS.breadth)
    for mine, other in zip(
        again(queries, k=20), Approximate.build(items, SETTINGS, seed=7)(queries, k=20), strict=True
    ):
        assert np.array_equal(mine, other)


def test_without_voyager_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "voyager", None)
    with pytest.raises(UserError, match=r"install nightshelf\[approximate\], or set it to null"):
        Approximate.build(crowds(10), SETTINGS, seed=1)
