"""What a readout needs of an arm's listeners, as sums: any split of listeners into shards or days adds up to the same.

Of a metric y, a denominator d (a ratio metric: y / d, as skips a play) and a covariate x (what the listener did before the
experiment, for CUPED) the sums of first and second order are enough for means, variances and covariances.

    >>> Moments.of(np.array([1.0, 3.0])).plus(Moments.of(np.array([5.0]))).mean
    3.0
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import reduce

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Sums over n listeners of y, d, x and their products."""

    n: int
    y: float
    yy: float
    x: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    d: float = 0.0
    dd: float = 0.0
    yd: float = 0.0

    @classmethod
    def of(cls, y: np.ndarray, *, x: np.ndarray | None = None, d: np.ndarray | None = None) -> Moments:
        """Of one value a listener each; what is not given counts as 0."""
        y = np.asarray(y, dtype=np.float64)
        x = np.zeros_like(y) if x is None else np.asarray(x, dtype=np.float64)
        d = np.zeros_like(y) if d is None else np.asarray(d, dtype=np.float64)
        pairs = {"y": y, "yy": y * y, "x": x, "xx": x * x, "xy": x * y, "d": d, "dd": d * d, "yd": y * d}
        return cls(len(y), **{name: float(np.sort(values).sum()) for name, values in pairs.items()})

    def plus(self, other: Moments) -> Moments:
        """The sums of both."""
        return Moments(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def mean(self) -> float:
        """Mean of y."""
        return self.y / self.n

    @property
    def variance(self) -> float:
        """Sample variance of y (divided by n - 1)."""
        return self._co(self.yy, self.y, self.y)

    @property
    def ratio(self) -> float:
        """Sum of y over sum of d."""
        return self.y / self.d

    @property
    def ratio_variance(self) -> float:
        """Variance of the ratio times n, by the delta method (Deng, Knoblich & Lu, 2018)."""
        mean_y, mean_d = self.y / self.n, self.d / self.n
        r = mean_y / mean_d
        spread = self.variance - 2 * r * self._co(self.yd, self.y, self.d) + r * r * self._co(self.dd, self.d, self.d)
        return spread / mean_d**2

    @property
    def covariance(self) -> float:
        """Sample covariance of y and x."""
        return self._co(self.xy, self.x, self.y)

    @property
    def variance_before(self) -> float:
        """Sample variance of x."""
        return self._co(self.xx, self.x, self.x)

    def adjusted(self, theta: float) -> tuple[float, float]:
        """Mean and variance of y - theta x."""
        spread = self.variance + theta**2 * self.variance_before - 2 * theta * self.covariance
        return self.mean - theta * self.x / self.n, max(spread, 0.0)

    def _co(self, product: float, one: float, two: float) -> float:
        return (product - one * two / self.n) / (self.n - 1) if self.n > 1 else 0.0


def theta(arms: list[Moments]) -> float:
    """CUPED's coefficient of all arms together: cov(y, x) / var(x); 0 where nobody did anything before."""
    every = reduce(Moments.plus, arms)
    return every.covariance / every.variance_before if every.variance_before > 0 else 0.0


def added(parts: Iterable[Moments]) -> Moments:
    """The sums of all, for a combine; of none: of nobody."""
    return reduce(Moments.plus, parts, Moments(0, 0.0, 0.0))
