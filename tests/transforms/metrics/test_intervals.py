"""Bootstrap intervals: they cover, they do not depend on order, and pairing narrows them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from transforms.common.hashing import stable_hash
from transforms.metrics.intervals import (
    Bootstrap,
    interval,
    intervals,
    paired_difference,
    paired_ratio,
    poisson_weights,
    weighed,
)


def names(n: int, prefix: str = "l") -> list[str]:
    return [f"{prefix}{i}" for i in range(n)]


def test_weights_are_poisson_one() -> None:
    w = poisson_weights(stable_hash(names(400)), np.arange(500), seed=3)
    assert w.mean() == pytest.approx(1.0, abs=0.01)
    assert w.var() == pytest.approx(1.0, abs=0.02)
    assert (w == 0).mean() == pytest.approx(np.exp(-1), abs=0.01)
    between = np.corrcoef(w[:50])
    assert np.abs(between[~np.eye(50, dtype=bool)]).max() < 0.25


def test_the_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(200):
        values = rng.exponential(1.0, size=150)
        got = interval(names(150, f"t{trial}-"), values, draws=400)
        covered += got.low <= 1.0 <= got.high
    assert 0.88 <= covered / 200 <= 0.99


def test_order_of_listeners_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    values, order = rng.random(60), rng.permutation(60)
    ids = names(60)
    assert interval(ids, values) == interval([ids[i] for i in order], values[order])
    assert interval(ids, values, seed=1) != interval(ids, values, seed=2)


def test_pairing_cancels_what_listeners_have_in_common() -> None:
    rng = np.random.default_rng(2)
    ease = rng.random(300)
    ours, theirs = ease + 0.02 + rng.normal(0, 0.01, 300), ease
    difference = paired_difference(names(300), ours, theirs)
    assert difference.low > 0.0
    ours_alone = interval(names(300), ours)
    assert ours_alone.low < theirs.mean() + 0.02 < ours_alone.high
    assert difference.high - difference.low < 0.1 * (ours_alone.high - ours_alone.low)


def test_a_missing_value_does_not_count() -> None:
    values = np.array([[1.0, np.nan], [0.0, 4.0], [0.5, np.nan]])
    first, second = intervals(names(3), values)
    assert (first.value, first.n) == (0.5, 3)
    assert (second.value, second.low, second.high, second.n) == (4.0, 4.0, 4.0, 1)
    assert intervals([], np.zeros((0, 1)))[0].n == 0


def test_a_ratio_of_means_is_paired_and_survives_a_listener_for_whom_the_other_finds_nothing() -> None:
    rng = np.random.default_rng(4)
    ids = [f"l{n}" for n in range(400)]
    theirs = rng.random(400) * (rng.random(400) < 0.5)
    ours = 1.2 * theirs + rng.normal(0, 0.01, 400)
    found = paired_ratio(ids, ours, theirs)
    assert found.value == pytest.approx(ours.mean() / theirs.mean()) and found.n == 400
    assert 1.17 < found.low < found.value < found.high < 1.23, "what is easy for both cancels out"
    alone = interval(ids, ours)
    assert (found.high - found.low) / found.value < (alone.high - alone.low) / alone.value
    exact = paired_ratio(ids, 1.5 * theirs, theirs)
    assert (exact.value, exact.low, exact.high) == pytest.approx((1.5, 1.5, 1.5))


def test_a_ratio_reads_only_listeners_with_both_and_says_when_there_is_none() -> None:
    ids = ["ann", "bob", "cat"]
    found = paired_ratio(ids, np.array([1.0, 3.0, np.nan]), np.array([1.0, 1.0, 9.0]))
    assert (found.value, found.n) == (2.0, 2)
    nothing = paired_ratio(ids, np.ones(3), np.zeros(3))
    assert np.isnan(nothing.value) and np.isnan(nothing.low)


def test_few_who_decide_widen_an_interval_and_it_leans_towards_more() -> None:
    even = np.array([0.1, -0.1] * 50) / 10
    few = np.array([0.1, -0.1] + [0.0] * 98) * np.sqrt(50) / 10  # the same error, from two listeners alone
    one, two = weighed(1.0, even, 100), weighed(1.0, few, 100)
    error = np.sqrt((even**2).sum() * 100 / 99)
    assert np.sqrt((few**2).sum() * 100 / 99) == pytest.approx(error)
    assert np.log(one.high) == pytest.approx(stats.t.ppf(0.975, 99) * error)
    assert np.log(two.high) == pytest.approx(stats.t.ppf(0.975, 2 / (1 / 2 - 1 / 100)) * error) and two.high > one.high
    assert one.high - 1.0 > 1.0 - one.low > 0, "an estimate above 0 is taken on the log scale"
    below = weighed(-1.0, even, 100)
    assert below.high + 1.0 == pytest.approx(-1.0 - below.low) and np.isnan(weighed(1.0, even[:1], 1).low)


def test_some_of_the_listeners_are_weighed_as_if_they_stood_alone_and_as_by_the_definition() -> None:
    rng = np.random.default_rng(4)
    ids, values = names(50), rng.random((50, 4))
    values[rng.random((50, 4)) < 0.3] = np.nan
    values[:, 3] = values[:, 2] * 2
    among = np.flatnonzero(rng.random(50) < 0.5)
    some = Bootstrap.of(ids, 300, 2).intervals(values[among], among)
    assert some == intervals([ids[i] for i in among], values[among], 300, 2)
    hashes = stable_hash([ids[i] for i in among])
    order = np.argsort(hashes)
    weights = poisson_weights(hashes[order], np.arange(300), 2).T
    mine = values[among][order]
    means = (weights @ np.where(np.isnan(mine), 0, mine)) / (weights @ ~np.isnan(mine))
    assert [(i.low, i.high) for i in some] == [tuple(np.nanquantile(m, [0.025, 0.975])) for m in means.T]
