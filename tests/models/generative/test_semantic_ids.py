"""Semantic ids: near tracks begin alike, every id is one track's, errors fall by level, and the trie holds what is playable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from models.generative.semantic_ids import SemanticIds, assign, codes_of_a_level, fit, kmeans, measured
from models.generative.trie import Trie
from models.generative.vectors import View, combined, content_vectors, filled
from models.settings import SemanticIdSettings

SMALL = SemanticIdSettings(dims=4, levels=2, codes=4, iterations=5)


def clustered(n: int = 240, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points around four far centres, each of four near ones; row 0 is zero, as the unknown track's is."""
    rng = np.random.default_rng(seed)
    far, near = 10 * np.eye(4), np.eye(4)
    coarse, fine = rng.integers(0, 4, n), rng.integers(0, 4, n)
    points = (far[coarse] + near[fine] + 0.01 * rng.standard_normal((n, 4))).astype(np.float32)
    points[0] = 0
    return points, coarse


def test_the_first_code_is_the_coarse_cluster_and_the_rest_tells_the_fine_one() -> None:
    points, coarse = clustered()
    ids = fit(points, SMALL, seed=1)
    assert ids.codes[0].tolist() == [-1, -1, -1]
    for cluster in range(4):
        assert len(np.unique(ids.codes[1:, 0][coarse[1:] == cluster])) == 1
    assert ids.errors[1:].mean() < 1e-3, "sixteen clusters are two levels of four codes"
    one_level = fit(points, SMALL.model_copy(update={"levels": 1}), seed=1)
    assert one_level.errors.mean() > 3 * ids.errors.mean()


def test_equal_tracks_share_all_codes_but_the_last() -> None:
    points = np.repeat(np.float32([[0, 0], [1, 0], [0, 1]]), [1, 3, 2], axis=0)
    codes = fit(points, SemanticIdSettings(dims=2, levels=1, codes=2), seed=0).codes
    assert codes[1:, 1].tolist() == [0, 1, 2, 0, 1]
    assert len({tuple(row) for row in codes[1:].tolist()}) == 5


@given(st.integers(1, 60), st.integers(0, 99))
def test_no_two_tracks_have_one_id_and_a_track_is_what_its_codes_say(n: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 3, (n, 3)).astype(np.float32)
    ids = fit(points, SemanticIdSettings(dims=3, levels=2, codes=4), seed=seed)
    known = np.any(points != 0, axis=1)
    assert np.array_equal(ids.known, known)
    codes = ids.codes[known]
    assert len(np.unique(codes, axis=0)) == len(codes)
    left = points[known].copy()
    for level in range(2):
        assert np.array_equal(assign(left, ids.codebooks[level]), codes[:, level])
        left -= ids.codebooks[level][codes[:, level]]


def test_equal_inputs_give_equal_ids_and_a_file_gives_them_back(tmp_path: Path) -> None:
    points, _ = clustered(seed=3)
    first, second = fit(points, SMALL, seed=7), fit(points, SMALL, seed=7)
    first.save(tmp_path / "a.npz")
    second.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert np.array_equal(SemanticIds.load(tmp_path / "a.npz").codes, first.codes)


def test_what_is_measured_by_hand() -> None:
    points, _ = clustered()
    ids = fit(points, SMALL, seed=1)
    found = measured(ids, points)
    assert found["semantic_id_neighbours_1"] == 1.0, "whoever is near stands in the same far cluster"
    assert found["semantic_id_by_chance_1"] == pytest.approx(0.25, abs=0.03)
    assert found["semantic_id_balance_1"] == pytest.approx(1.0, abs=0.02)
    assert found["semantic_id_alone"] < 0.1


def test_an_empty_cluster_becomes_the_farthest_point() -> None:
    points = np.float32([[0, 0]] * 50 + [[5, 5]])
    centroids = kmeans(points, 3, 5, np.random.default_rng(0))
    assert {tuple(c) for c in centroids.tolist()} >= {(0, 0), (5, 5)}


def test_codes_of_a_level_follow_the_catalog() -> None:
    assert [codes_of_a_level(n, 256) for n in (1, 100, 3_000, 12_000, 20_000, 10**6)] == [2, 8, 64, 128, 128, 256]


def test_a_track_without_plays_stands_among_tracks_of_its_content() -> None:
    """Two artists whose tracks are heard by different people; the last track is the second artist's and unplayed."""
    heard = np.float32([[0, 0], [1, 0], [1, 0.1], [0, 1], [0.1, 1], [0, 0]])
    bag = sparse.csr_matrix(np.float32([[0, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1]]))
    content = content_vectors(bag, 2, seed=0)
    assert np.allclose(np.linalg.norm(content[1:], axis=1), 1, atol=1e-5) and not content[0].any()
    guessed = filled(heard, content, ridge=0.01)
    assert guessed[5] @ guessed[3] > 0.9 > guessed[5] @ guessed[1]
    assert not guessed[0].any()
    x = combined([View(heard, 1.0), View(content, 1.0)], content, SemanticIdSettings(dims=3, ridge=0.01))
    assert np.linalg.norm(x[5] - x[4]) < np.linalg.norm(x[5] - x[1])
    with pytest.raises(ValueError, match="no view"):
        combined([View(heard, 0.0)], None, SemanticIdSettings())


ids_and_playable = st.integers(1, 3).flatmap(
    lambda levels: st.lists(
        st.tuples(*[st.integers(0, 3)] * levels, st.booleans(), st.booleans()), min_size=0, max_size=40
    )
)


@given(ids_and_playable)
def test_the_trie_holds_the_playable_tracks_and_no_other_prefix(rows: list[tuple[int, ...]]) -> None:
    levels = len(rows[0]) - 2 if rows else 1
    codes = np.full((len(rows) + 1, levels + 1), -1, np.int32)
    playable = np.zeros(len(rows) + 1, bool)
    for at, row in enumerate(rows, start=1):
        if row[-2]:
            codes[at] = [*row[:levels], at]
        playable[at] = row[-1]
    trie = Trie.build(codes, playable)
    expected = set(np.flatnonzero(playable & (codes[:, 0] >= 0)).tolist())
    assert set(trie.tracks.tolist()) == expected and len(trie) == len(expected)
    for level in range(levels):
        prefixes = {tuple(codes[t, : level + 1].tolist()) for t in expected}
        assert len(trie.codes[level]) == len(prefixes)
        for node in range(len(trie.codes[level])):
            behind = trie.tracks[trie.starts[level][node] : trie.starts[level][node + 1]]
            (prefix,) = {tuple(codes[t, : level + 1].tolist()) for t in behind}
            assert prefix[-1] == trie.codes[level][node]
            parent = trie.parents[level][node]
            assert trie.children[level][parent] <= node < trie.children[level][parent + 1]
