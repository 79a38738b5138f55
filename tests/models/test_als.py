"""iALS: its fixed point satisfies the normal equations, both ways of solving agree, and a seed decides its bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.als import Als, AlsSettings


def small_log(users: int = 30, items: int = 40, seed: int = 0) -> csr_matrix:
    """Two groups of listeners, each with half of the tracks as its taste."""
    rng = np.random.default_rng(seed)
    liked = (np.arange(users)[:, None] % 2) == (np.arange(items)[None, :] % 2)
    plays = rng.poisson(np.where(liked, 0.8, 0.03)).astype(np.float32)
    plays[:, 0] = 0
    return csr_matrix(plays)


def fit(log: csr_matrix, settings: AlsSettings, seed: int = 1) -> Als:
    coo = log.tocoo()
    return Als.fit(coo.row, coo.col, coo.data, *log.shape, settings, seed)


@pytest.mark.parametrize("factors", [3, 64], ids=["in dimensions", "in entries"])
@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_folded_in_listener_satisfies_the_normal_equations(factors: int, power: float) -> None:
    settings = AlsSettings(factors=factors, iterations=2, alpha=3, unobserved=0.5, reg=0.7, reg_power=power)
    log = small_log()
    model = fit(log, settings)
    got = model.fold_in(log)

    y = model.item_factors.astype(np.float64)
    frequency = (np.diff(log.indptr) + settings.unobserved * log.shape[1]) ** power
    for u in range(log.shape[0]):
        c = settings.alpha * np.log1p(log[u].toarray()[0].astype(np.float64))
        reg = settings.reg * frequency[u] / frequency.mean()
        normal = settings.unobserved * y.T @ y + (y.T * c) @ y + reg * np.eye(factors)
        assert np.allclose(got[u], np.linalg.solve(normal, y.T @ c), atol=2e-4)


def test_it_learns_tastes_and_scores_by_them() -> None:
    log = small_log(60, 60)
    scores = (model := fit(log, AlsSettings(factors=4))).fold_in(log) @ model.item_factors.T
    unheard = (log.toarray() == 0) & (np.arange(60)[None, :] > 0)
    liked = (np.arange(60)[:, None] % 2) == (np.arange(60)[None, :] % 2)
    assert scores[unheard & liked].mean() > 5 * abs(scores[unheard & ~liked].mean())


def test_unheard_items_and_empty_histories_are_zero() -> None:
    log = small_log()
    model = fit(log, AlsSettings(factors=8, iterations=2))
    assert not model.item_factors[0].any()
    assert not model.fold_in(csr_matrix((3, 40), dtype=np.float32)).any()


def test_one_seed_one_answer_and_row_order_does_not_matter() -> None:
    log, settings = small_log(), AlsSettings(factors=8, iterations=3)
    coo = log.tocoo()
    turned = np.arange(coo.nnz)[::-1]
    again = Als.fit(coo.row[turned], coo.col[turned], coo.data[turned], *log.shape, settings, 1)
    assert np.array_equal(fit(log, settings).item_factors, again.item_factors)
    assert not np.array_equal(fit(log, settings, seed=2).item_factors, again.item_factors)


def test_values_must_be_finite_and_not_negative() -> None:
    with pytest.raises(ValueError, match="finite"):
        Als.fit(np.array([0]), np.array([1]), np.array([-1.0]), 1, 2)


def test_saved_and_loaded_it_folds_in_the_same(tmp_path: Path) -> None:
    log = small_log()
    model = fit(log, AlsSettings(factors=8, iterations=2, reg_power=1.0))
    model.save(tmp_path)
    assert np.array_equal(Als.load(tmp_path).fold_in(log), model.fold_in(log))
