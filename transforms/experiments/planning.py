"""How many listeners an experiment needs before it can say anything, and how many days that takes.

For a difference D of a metric with variance v, tested two-sided at alpha and to be found with a chance of `power`, each of
two arms needs n = 2 v (z_{1-alpha/2} + z_power)^2 / D^2 listeners. A guardrail with margin M is tested one-sided, and takes M
for D. CUPED leaves 1 - rho^2 of the variance. Where several things are decided, the errors are shared out: alpha by the number
of comparisons on success metrics, and the chance of a miss (1 - power) by the number of guardrails plus one, since a single
guardrail that fails to be cleared stops the launch (Schultzberg et al., 2024).

    >>> needed(mean=10.0, variance=100.0, change=0.05)
    6280
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Needs:
    """What one metric asks for: listeners an arm, and the smallest change that so many of what there is would show."""

    metric: str
    per_arm: int
    change: float
    found_with_all: float


def needed(
    mean: float,
    variance: float,
    change: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    correlation: float = 0.0,
    one_sided: bool = False,
) -> int:
    """Listeners an arm that find a relative change of a metric; see the module.

    Args:
        change: a share of the mean, > 0.
        correlation: of the metric with itself before the experiment (CUPED).

    Raises:
        ValueError: the mean or the change is 0: there is nothing to be a share of.
    """
    if not change or not mean:
        raise ValueError("expected a change and a mean other than 0")
    sides = alpha if one_sided else alpha / 2
    z = float(stats.norm.isf(sides) + stats.norm.ppf(power))
    return math.ceil(2 * variance * (1 - correlation**2) * (z / (change * abs(mean))) ** 2)


def detectable(
    mean: float,
    variance: float,
    per_arm: int,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    correlation: float = 0.0,
    one_sided: bool = False,
) -> float:
    """The smallest relative change that so many listeners an arm find with that power; inf where nobody is there."""
    if not per_arm or not mean:
        return math.inf
    sides = alpha if one_sided else alpha / 2
    z = float(stats.norm.isf(sides) + stats.norm.ppf(power))
    return z * math.sqrt(2 * variance * (1 - correlation**2) / per_arm) / abs(mean)


def shared_alpha(alpha: float, success: int, treatments: int) -> float:
    """The level of one comparison on a success metric: alpha by their number."""
    return alpha / max(1, success * treatments)


def shared_power(power: float, guardrails: int) -> float:
    """The power that each metric must have, so that a good arm passes all of them with a chance of `power`."""
    return 1 - (1 - power) / (guardrails + 1)
