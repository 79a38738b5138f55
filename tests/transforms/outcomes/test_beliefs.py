"""Beliefs about delayed rewards: against the textbook's formula, in any order, and as sure of themselves as they may be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.outcomes.beliefs import Posterior, Prior, TraceSums, entries, entries_known, entry_weights, of_days

DAYS = 4


def prior(rng: np.random.Generator) -> Prior:
    a, b = rng.normal(size=(2, DAYS, DAYS))
    return Prior(rng.normal(size=DAYS), a @ a.T + np.eye(DAYS), b @ b.T + np.eye(DAYS), np.arange(1.0, DAYS + 1))


def test_the_posterior_is_that_of_the_joint_gaussian() -> None:
    """One arm, three traces of which 1, 3 and 4 days are known, conditioned on in one go."""
    rng = np.random.default_rng(0)
    p, traces, known = prior(rng), rng.normal(size=(3, DAYS)), np.array([1, 3, 4])
    rows = np.concatenate([np.eye(DAYS)[:t] for t in known])
    seen = np.concatenate([z[:t] for z, t in zip(traces, known, strict=True)])
    noise, at = np.zeros((len(seen), len(seen))), 0
    for t in known:
        noise[at : at + t, at : at + t] = p.within[:t, :t]
        at += t
    gain = p.between @ rows.T @ np.linalg.inv(rows @ p.between @ rows.T + noise)
    mean, covariance = p.mean + gain @ (seen - rows @ p.mean), p.between - gain @ rows @ p.between
    got = p.posterior(TraceSums.of(traces, known))
    assert got.mean == pytest.approx(p.weights @ mean) and got.variance == pytest.approx(
        p.weights @ covariance @ p.weights
    )
    assert got.traces == 3


def test_with_nothing_known_the_belief_is_the_prior() -> None:
    p = prior(np.random.default_rng(1))
    got = p.posterior(TraceSums.none(DAYS))
    assert got.mean == pytest.approx(p.weights @ p.mean) and got.variance == pytest.approx(
        p.weights @ p.between @ p.weights
    )
    hidden = TraceSums.of(np.full((5, DAYS), 9.0), np.zeros(5, dtype=int))
    assert p.posterior(hidden) == got, "what is not known yet is not read"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, DAYS)), min_size=1, max_size=12), st.integers(0, 12)
)
def test_any_split_of_days_and_shards_gives_the_same_belief(made: list[tuple[int, int]], cut: int) -> None:
    traces = np.array([[(seed >> d) & 1 for d in range(DAYS)] for seed, _ in made], dtype=float)
    known = np.array([t for _, t in made])
    whole = TraceSums.of(traces, known)
    parts = TraceSums.of(traces[cut:], known[cut:]).plus(TraceSums.of(traces[:cut], known[:cut]))
    for name in ("counts", "sums", "squares"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))


def test_a_prior_is_fitted_on_complete_traces_and_its_belief_is_as_sure_as_it_may_be() -> None:
    rng = np.random.default_rng(3)
    truth = prior(rng)
    chol_b, chol_w = np.linalg.cholesky(truth.between), np.linalg.cholesky(truth.within)

    def arm(n: int) -> tuple[np.ndarray, np.ndarray]:
        theta = truth.mean + chol_b @ rng.normal(size=DAYS)
        return theta, theta + rng.normal(size=(n, DAYS)) @ chol_w.T

    arms = [TraceSums.of(arm(200)[1], np.full(200, DAYS)) for _ in range(400)]
    fitted = Prior.fit([*arms, TraceSums.none(DAYS)], truth.weights)
    assert np.abs(fitted.within - truth.within).max() < 0.1 * np.abs(truth.within).max()
    believe, inside = Posterior(fitted), 0
    for _ in range(600):
        theta, traces = arm(20)
        got = believe.of(TraceSums.of(traces, rng.integers(1, DAYS + 1, 20)))
        inside += abs(got.mean - truth.weights @ theta) <= 1.96 * np.sqrt(got.variance)
    assert 0.93 <= inside / 600 <= 0.97
    with pytest.raises(ValueError, match="at least two arms"):
        Prior.fit(arms[:1], truth.weights)


def test_entries_of_a_trace_by_hand_and_those_known_after_some_days() -> None:
    z = np.array([[1, 1, 0, 1], [0, 1, 1, 1]])
    assert entries(z).tolist() == [[1, 1, 1, 0, 0, 1, 0], [0, 1, 0, 1, 1, 1, 1]]
    assert [entries_known(t) for t in range(5)] == [0, 1, 3, 5, 7]
    assert entries_known(np.array([0, 1, 4])).tolist() == [0, 1, 7]
    assert (entries(z)[:, of_days(4)] == z).all()
    for t in range(1, 5):  # what stands among the first entries does not hang on later days
        later = z.copy()
        later[:, t:] = 1 - later[:, t:]
        assert (entries(z)[:, : entries_known(t)] == entries(later)[:, : entries_known(t)]).all()
    assert (entries(z) @ entry_weights(np.array([1.0, 2.0, 3.0, 4.0]))).tolist() == [7.0, 9.0]


def test_early_days_tell_of_later_ones_on_the_setting_of_the_paper_in_small() -> None:
    from tests.benchmarks.beliefs import Setting, measure

    setting = Setting.draw(240, 2000)
    error = {day: (ours, days_alone) for day, (ours, days_alone) in measure(setting, known=800).items()}
    assert error[10][0] < 0.6 * error[0][0], "a sixth of the days takes away most of what was not known"
    assert error[60][0] < error[10][0]
    assert error[10][0] < 0.97 * error[10][1], "pairs of days tell who stays, which means of days do not"
