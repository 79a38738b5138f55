"""Tests and intervals of a difference between two arms, from their means and variances.

    t        Welch's test: arms' variances may differ
    always   valid whenever one looks, as often as one likes: an asymptotic confidence sequence (Waudby-Smith et al., 2021)
             that is tightest at `tuned_for` listeners; daily peeking keeps the error that was promised
    margin   non-inferiority: the difference is better than minus the margin, one-sided

The always-valid half-width of a difference with standard error e among n listeners is

    e sqrt((n r + 1) / (n r) log((n r + 1) / alpha^2)),    r = (-2 log alpha + log(1 - 2 log alpha)) / tuned_for

and its p is the smallest alpha whose interval leaves zero out, r held fixed (1 over the mixture's evidence).

    >>> round(welch(Arm(0.0, 1.0, 100), Arm(0.5, 1.0, 100)).p, 4)
    0.0005
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

TUNED_FOR = 5000


@dataclass(frozen=True)
class Arm:
    """An arm's mean, the variance of one listener's value, and its listeners."""

    mean: float
    variance: float
    n: int

    @property
    def square_error(self) -> float:
        """Variance of the mean."""
        return self.variance / self.n


@dataclass(frozen=True)
class Difference:
    """A treatment's value minus the control's: estimate, standard error, ends of the interval, p."""

    value: float
    error: float
    low: float
    high: float
    p: float


def freedom(one: Arm, other: Arm) -> float:
    """Degrees of freedom after Welch and Satterthwaite; inf where nothing varies."""
    below = sum(a.square_error**2 / (a.n - 1) for a in (one, other) if a.n > 1)
    return (one.square_error + other.square_error) ** 2 / below if below > 0 else float("inf")


def welch(control: Arm, treatment: Arm, alpha: float = 0.05) -> Difference:
    """Welch's two-sided t test, with a 1 - alpha interval."""
    value, error = treatment.mean - control.mean, _error(control, treatment)
    if error == 0:
        return Difference(value, 0.0, value, value, float(value == 0))
    df = freedom(control, treatment)
    half = float(stats.t.ppf(1 - alpha / 2, df)) * error
    return Difference(value, error, value - half, value + half, float(2 * stats.t.sf(abs(value) / error, df)))


def always_valid(control: Arm, treatment: Arm, alpha: float = 0.05, tuned_for: float = TUNED_FOR) -> Difference:
    """The same difference with an interval and a p that hold however often one looks."""
    value, error, n = treatment.mean - control.mean, _error(control, treatment), control.n + treatment.n
    if error == 0:
        return Difference(value, 0.0, value, value, float(value == 0))
    rate = (-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / tuned_for * n + 1
    half = error * np.sqrt(rate / (rate - 1) * np.log(rate / alpha**2))
    evidence = (value / error) ** 2 * (rate - 1) / (2 * rate) - 0.5 * np.log(rate)
    return Difference(value, error, value - float(half), value + float(half), float(min(1.0, np.exp(-evidence))))


def non_inferior(control: Arm, treatment: Arm, margin: float, alpha: float = 0.05) -> Difference:
    """One-sided test that the treatment is not worse than the control by more than `margin` (of the value, >= 0).

    Returns:
        The difference with the lower end of a one-sided 1 - alpha interval (`high` is inf), and p of "worse than that".
    """
    value, error = treatment.mean - control.mean, _error(control, treatment)
    if error == 0:
        return Difference(value, 0.0, value, float("inf"), float(value <= -margin))
    df = freedom(control, treatment)
    low = value - float(stats.t.ppf(1 - alpha, df)) * error
    return Difference(value, error, low, float("inf"), float(stats.t.sf((value + margin) / error, df)))


def sample_ratio(counts: list[int], weights: list[float]) -> float:
    """p of the chi-square test that listeners were dealt to arms by these weights (sample ratio mismatch)."""
    n, share = np.asarray(counts, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    n, share = n[share > 0], share[share > 0]
    if len(n) < 2 or not n.sum():
        return 1.0
    expected = n.sum() * share / share.sum()
    return float(stats.chi2.sf(((n - expected) ** 2 / expected).sum(), len(n) - 1))


def _error(control: Arm, treatment: Arm) -> float:
    return float(np.sqrt(control.square_error + treatment.square_error))
