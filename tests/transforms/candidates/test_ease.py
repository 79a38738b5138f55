"""EASE within neighbourhoods against the closed form and on the world reckoned by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from tests.transforms.candidates.worlds import (
    NIGHT,
    World,
    blocks_of,
    catalog_of,
    default_sources,
    item,
    learned_from,
    listens,
)
from transforms.candidates import ease
from transforms.candidates.ease import Ease, EaseSettings, fit_ease

PLAYS = listens()
CATALOG = catalog_of(PLAYS)
LEARNED = learned_from(PLAYS, CATALOG)
BLOCK = blocks_of(PLAYS, CATALOG)[0]


def world(tracks: int = 40, sessions: int = 60) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Sums over random sessions: pairs and diagonal; row 0 is nobody's."""
    rng = np.random.default_rng(5)
    rows = (rng.random((sessions, tracks)) < 0.1).astype(float)
    rows[:, 0] = 0
    gram = rows.T @ rows
    own = np.diag(gram).copy()
    np.fill_diagonal(gram, 0)
    return sparse.csr_matrix(gram), own


def ridge(pairs: sparse.csr_matrix, own: np.ndarray, target: int, inside: np.ndarray, penalty: float) -> np.ndarray:
    """The regression of one track on some others, negative weights dropped."""
    gram = pairs.toarray() + np.diag(own)
    solved = np.linalg.solve(gram[np.ix_(inside, inside)] + penalty * np.eye(len(inside)), gram[inside, target])
    return np.maximum(solved, 0)


def test_with_every_neighbour_it_is_the_ridge_regression_on_all_of_them() -> None:
    pairs, own = world()
    found = fit_ease(pairs, own, EaseSettings(neighbours=200, penalty=2.0)).toarray()
    penalty = 2.0 * own[own > 0].mean()
    for target in (1, 7, 39):
        inside = np.flatnonzero(pairs.toarray()[target])
        np.testing.assert_allclose(found[inside, target], ridge(pairs, own, target, inside, penalty), atol=1e-6)
        assert np.count_nonzero(np.delete(found[:, target], inside)) == 0


def test_a_neighbourhood_is_the_nearest_by_scaled_weight() -> None:
    pairs, own = world()
    found = fit_ease(pairs, own, EaseSettings(neighbours=4, penalty=1.0), power=0.5).toarray()
    near = pairs.toarray() * np.where(own > 0, own, 1)[None, :] ** -0.5
    for target in (2, 11):
        order = np.lexsort((np.arange(len(own)), -near[target]))[:4]
        inside = np.sort(order[near[target, order] > 0])
        expected = ridge(pairs, own, target, inside, own[own > 0].mean())
        np.testing.assert_allclose(found[inside, target], expected, atol=1e-6)


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, own = world()
    whole = fit_ease(pairs, own)
    monkeypatch.setattr(ease, "_CELLS", 3 * len(own))
    small = fit_ease(pairs, own)
    assert (whole != small).nnz == 0
    assert whole.diagonal().sum() == 0 and whole.min() >= 0 and whole[0].nnz == 0


def test_a_pair_among_the_nearest_of_one_track_only_is_known_to_both() -> None:
    # 3 keeps 1 and 2; the pair 1-2 stands in the row of 1 alone
    pairs = sparse.csr_matrix(np.float64([[0, 0, 0, 0], [0, 0, 2, 2], [0, 0, 0, 2], [0, 2, 2, 0]]))
    own = np.float64([0, 2, 2, 2])
    weights = fit_ease(pairs, own, EaseSettings(penalty=0.001)).toarray()
    assert weights[1, 3] == pytest.approx(weights[2, 3])


def test_two_copies_of_one_track_share_what_cosines_would_count_twice() -> None:
    # 1 and 2 stand in the very same sessions, each with 3: apart they predict it as much as either would alone
    pairs = sparse.csr_matrix(np.float64([[0, 0, 0, 0], [0, 0, 2, 2], [0, 2, 0, 2], [0, 2, 2, 0]]))
    own = np.float64([0, 2, 2, 2])
    weights = fit_ease(pairs, own, EaseSettings(penalty=0.001)).toarray()
    assert weights[1, 3] == pytest.approx(weights[2, 3]) == pytest.approx(0.5, abs=0.01)


def test_without_any_pair_there_is_no_weight() -> None:
    assert fit_ease(sparse.csr_matrix((3, 3)), np.float64([0, 1, 0])).nnz == 0
    assert fit_ease(sparse.csr_matrix((1, 1)), np.zeros(1)).nnz == 0


def test_the_source_sums_weights_over_the_history_and_names_the_strongest() -> None:
    source = Ease(LEARNED.ease)
    d, a, b = (item(CATALOG, name) for name in "dab")
    expected = 2**0.5 * (LEARNED.ease[a, d] + LEARNED.ease[b, d])
    c = item(CATALOG, "c")
    expected += LEARNED.ease[c, d]
    assert source.score(BLOCK).of(np.array([0]), np.array([d]))[0] == pytest.approx(expected, rel=1e-5)
    assert source.explain(BLOCK, np.array([0]), np.array([d]))[0] in (a, b)


def test_it_is_a_source_only_where_it_was_fitted(tmp_path: Path) -> None:
    without = replace(LEARNED, ease=None)
    without.save(tmp_path)
    assert not (tmp_path / "ease.npz").exists() and World.load(tmp_path).ease is None
    names = [[s.name for s in default_sources(made, CATALOG, NIGHT)] for made in (LEARNED, without)]
    assert [n for n in names[0] if n != "ease"] == names[1]
