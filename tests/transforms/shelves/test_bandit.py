"""The bandit that orders cards: what it learns, what it shows, and that the propensities it tells are those it draws with."""

from __future__ import annotations

import numpy as np
import pytest

from transforms.shelves.bandit import Beliefs, chances, dealt, looked_at, orders, places, sigmoid

CARDS, D = 4, 3


def ensemble(seed: int, n: int, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Orders [draws, n, cards] of some listeners, one card of whom is not there, and which are."""
    rng = np.random.default_rng(seed)
    beliefs = Beliefs.prior(np.array([0.3, 0.2, 0.1, 0.0]), D, 1.0, 0.5)
    theta = beliefs.sampled(draws, rng)
    context = np.hstack([np.ones((n, 1)), rng.standard_normal((n, D - 1))])
    there = np.ones((n, CARDS), np.bool_)
    there[::2, 1] = False
    return orders(np.einsum("mkd,nd->mnk", theta, context), there[None]), there


def test_told_propensities_are_the_frequencies_of_many_deals() -> None:
    order_of, there = ensemble(1, 3, 16)
    trials, epsilon = 40_000, 0.2
    rng = np.random.default_rng(2)
    count = np.zeros((3, CARDS, CARDS))
    told = np.full((3, CARDS, CARDS), np.nan)
    for _ in range(trials // 400):
        many = np.repeat(order_of, 400, axis=1)
        place = places(dealt(many, np.repeat(there, 400, axis=0), epsilon, rng.random((1200, 2 + CARDS)))).reshape(
            3, 400, CARDS
        )
        for k in range(CARDS):
            for i in range(CARDS):
                count[:, k, i] += (place[:, :, k] == i).sum(axis=1)
    for i in range(CARDS):
        told[:, :, i] = chances(order_of, np.full((3, CARDS), i), there, epsilon)
    for n in range(3):
        last = int(there[n].sum())
        for k in np.flatnonzero(there[n]):
            assert told[n, k, :last].sum() == pytest.approx(1.0)
            for i in range(last):
                p = told[n, k, i]
                assert count[n, k, i] / trials == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / trials) + 1e-9)


def test_what_is_not_there_leaves_no_hole_and_has_no_propensity() -> None:
    order_of, there = ensemble(3, 4, 8)
    shown = dealt(order_of, there, 0.5, np.random.default_rng(4).random((4, 2 + CARDS)))
    for n in range(4):
        assert sorted(shown[n].tolist()) == list(range(CARDS))
        assert there[n][shown[n]].tolist() == sorted(there[n].tolist(), reverse=True)
    assert np.isnan(chances(order_of, places(shown), there, 0.5)[~there]).all()


def test_a_batch_in_parts_is_a_batch() -> None:
    rng = np.random.default_rng(5)
    beliefs = Beliefs.prior(np.zeros(CARDS), D, 1.0, 1.0)
    card, context, played = rng.integers(0, CARDS, 300), rng.standard_normal((300, D)), rng.random(300) < 0.3
    whole = beliefs.sums(card, context, played)
    parts = [beliefs.sums(card[s], context[s], played[s]) for s in (slice(0, 111), slice(111, 300))]
    for n in range(2):
        assert np.allclose(whole[n], parts[0][n] + parts[1][n])


def test_it_finds_what_is_true_and_is_sure_where_it_looked() -> None:
    rng = np.random.default_rng(6)
    theta = 0.5 * rng.standard_normal((CARDS, D))
    beliefs = Beliefs.prior(np.zeros(CARDS), D, 2.0, 2.0)
    for _ in range(20):
        card, context = rng.integers(0, CARDS - 1, 2000), rng.standard_normal((2000, D))
        played = rng.random(2000) < sigmoid(np.einsum("nd,nd->n", theta[card], context))
        beliefs = beliefs.updated(*beliefs.sums(card, context, played))
    assert np.abs(beliefs.mean[:-1] - theta[:-1]).max() < 0.15
    assert np.allclose(beliefs.mean[-1], 0) and np.allclose(beliefs.precision[-1], np.eye(D) / 4), "nobody looked at it"
    spread = beliefs.sampled(500, rng).std(axis=0)
    assert spread[:-1].max() < 0.1 and spread[-1].min() > 1.7
    half = beliefs.sampled(500, np.random.default_rng(1), 0.5) - beliefs.mean
    assert np.allclose(2 * half, beliefs.sampled(500, np.random.default_rng(1)) - beliefs.mean)
    assert np.array_equal(beliefs.sampled(2, rng, 0.0), np.stack([beliefs.mean] * 2)), "the best guess alone"


def test_looks_end_at_the_last_play_or_with_the_screen() -> None:
    played = np.array([[False, True, False, False], [False] * 4, [True, False, False, True]])
    assert looked_at(played, 3).astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
