"""Tests of arms: the digits of two packages of the field, and the errors that were promised, under daily peeking too.

The golden values were computed with gbstats 0.8.0 and spotify-confidence 4.1.0 (numpy 1.26) from the sums of these arms.
"""

from __future__ import annotations

import numpy as np
import pytest

from transforms.experiments.differences import Arm, always_valid, non_inferior, sample_ratio, welch
from transforms.experiments.moments import Moments, theta


def arm(n: int, shift: float, phase: int, more: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, covariate and denominator of n listeners, by arithmetic."""
    i = np.arange(1, n + 1)
    before = (i * 7 + phase) % 11
    values = before + (i * 5 + phase) % 7 + shift * ((i + phase) % 3) + more
    return values.astype(float), before.astype(float), (1 + (i * 3 + phase) % 5).astype(float)


CONTROL, TREATMENT, BETTER = arm(200, 1.0, 0), arm(230, 1.4, 1), arm(230, 1.4, 1, more=3.0)


def sums(of: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Moments:
    return Moments.of(of[0], x=of[1], d=of[2])


def plain(of: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Arm:
    m = sums(of)
    return Arm(m.mean, m.variance, m.n)


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def test_the_t_test_has_the_digits_of_gbstats_and_of_spotify_confidence() -> None:
    got = welch(plain(CONTROL), plain(TREATMENT))
    assert (got.value, got.low, got.high) == (
        close(0.406086956521742),
        close(-0.3233002859799321),
        close(1.135474199023416),
    )
    assert got.p == close(0.2744279802405578)


def test_the_sequential_interval_has_the_digits_of_gbstats() -> None:
    got = always_valid(plain(CONTROL), plain(TREATMENT), tuned_for=400)
    assert (got.low, got.high, got.p) == (close(-0.7202229810720562), close(1.5323968941155401), 1.0)
    got = always_valid(plain(CONTROL), plain(BETTER), tuned_for=5000)
    assert (got.low, got.high) == (close(1.9193302095011728), close(4.892843703542312))
    assert got.p == pytest.approx(4.916035405207585e-08, rel=1e-6)


def test_cuped_has_the_digits_of_gbstats() -> None:
    by = theta([sums(CONTROL), sums(TREATMENT)])
    control, treatment = (Arm(*m.adjusted(by), m.n) for m in (sums(CONTROL), sums(TREATMENT)))
    got = welch(control, treatment)
    assert by == close(0.9861484952564672)
    assert (got.value, got.low, got.high) == (
        close(0.3889365479085862),
        close(-0.03760769537432329),
        close(0.8154807911914957),
    )
    assert got.p == close(0.07380227210346213)


def test_a_ratio_metric_has_the_digits_of_gbstats() -> None:
    control, treatment = (Arm(m.ratio, m.ratio_variance, m.n) for m in (sums(CONTROL), sums(TREATMENT)))
    got = welch(control, treatment)
    assert (got.value, got.low, got.high) == (
        close(0.13536231884058036),
        close(-0.22883022392212438),
        close(0.4995548616032851),
    )
    assert got.p == close(0.4654475764905528)


def test_the_sample_ratio_and_non_inferiority_have_the_digits_of_the_peers() -> None:
    assert sample_ratio([200, 230], [0.5, 0.5]) == close(0.14797298840460235)
    assert sample_ratio([100, 140, 220], [0.2, 0.3, 0.5]) == close(0.5600606794694881)
    got = non_inferior(plain(CONTROL), plain(TREATMENT), margin=0.02 * plain(CONTROL).mean)
    assert (got.low, got.p) == (close(-0.20562267286136326), close(0.057370778744130754))


def test_sums_add_up_however_listeners_are_split() -> None:
    whole = sums(CONTROL)
    parts = [
        Moments.of(CONTROL[0][a:b], x=CONTROL[1][a:b], d=CONTROL[2][a:b]) for a, b in ((0, 3), (3, 120), (120, 200))
    ]
    assert parts[2].plus(parts[0]).plus(parts[1]) == whole


def arms_of(rng: np.random.Generator, n: int, effect: float = 0.0) -> tuple[Arm, Arm]:
    """Two arms of skewed values, the second with an effect."""
    x, y = rng.gamma(1.5, 2.0, n), rng.gamma(1.5, 2.0, n) + effect
    return Arm(x.mean(), x.var(ddof=1), n), Arm(y.mean(), y.var(ddof=1), n)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    found = [welch(*arms_of(rng, 300, 0.4)) for _ in range(1000)]
    assert 0.93 <= np.mean([d.low <= 0.4 <= d.high for d in found]) <= 0.97
    null = [welch(*arms_of(rng, 300)).p for _ in range(1000)]
    assert 0.03 <= np.mean(np.array(null) < 0.05) <= 0.07, "A/A tests reject at their level"
    margin = [non_inferior(*arms_of(rng, 300, -0.3), margin=0.3).p for _ in range(1000)]
    assert 0.03 <= np.mean(np.array(margin) < 0.05) <= 0.07, "at the margin itself, one in twenty is cleared"


def test_peeking_every_day_keeps_the_error_of_the_always_valid_test_and_not_of_the_t_test() -> None:
    """500 A/A tests to which 50 listeners an arm come each of 28 days, looked at every day: how many are ever significant."""
    rng = np.random.default_rng(5)
    ever = {"t": 0, "always": 0}
    for _ in range(500):
        x, y = rng.gamma(1.5, 2.0, (2, 28 * 50))
        seen = np.arange(50, 28 * 50 + 1, 50)
        means = np.stack([np.cumsum(v)[seen - 1] / seen for v in (x, y)])
        squares = np.stack([np.cumsum(v * v)[seen - 1] / seen for v in (x, y)])
        variances = (squares - means**2) * seen / (seen - 1)
        pairs = [
            (Arm(means[0, d], variances[0, d], n), Arm(means[1, d], variances[1, d], n))
            for d, n in enumerate(seen.tolist())
        ]
        ever["t"] += any(welch(*pair).p < 0.05 for pair in pairs)
        ever["always"] += any(always_valid(*pair).p < 0.05 for pair in pairs)
    assert ever["always"] / 500 <= 0.05
    assert ever["t"] / 500 > 0.15
