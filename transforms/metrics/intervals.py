"""95% intervals of a mean over listeners, and of the paired difference between two models, by bootstrap; and of weighed ratios.

Listeners are what is drawn, since one listener's tracks are not independent of each other. The Poisson bootstrap is
used (Chamandy et al., 2012): in each replicate a listener weighs Poisson(1), drawn from a hash of (seed, listener,
replicate). So the answer depends neither on the order of listeners nor on the shard they came from, and every model,
metric and segment is weighed by the same draws, which is what makes differences paired: listeners that are easy for all
cancel out.

    >>> i = interval(["ann", "bob", "cat"], np.array([0.0, 0.5, 1.0]))
    >>> i.value, 0.0 <= i.low <= 0.5 <= i.high <= 1.0
    (0.5, True)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from transforms.common.hashing import stable_hash

DRAWS = 1000
_BLOCK = 1 << 22  # weights made at a time: 32 MB of uint64

# P(Poisson(1) <= j); beyond 12 the rest is under 1e-10
_CUMULATIVE = np.cumsum(np.exp(-1.0) / np.cumprod(np.concatenate([[1.0], np.arange(1.0, 13.0)])))


@dataclass(frozen=True)
class Interval:
    """A mean over `n` listeners with the ends of its 95% interval."""

    value: float
    low: float
    high: float
    n: int


def poisson_weights(listener_hashes: np.ndarray, replicates: np.ndarray, seed: int) -> np.ndarray:
    """Bootstrap weights.

    Args:
        listener_hashes: uint64[n].
        replicates: numbers of the replicates wanted, int[b].

    Returns:
        float64[n, b], Poisson(1) distributed, a pure function of (seed, listener, replicate).
    """
    columns = stable_hash(replicates.astype(np.int64), seed=seed, purpose="bootstrap")
    x = listener_hashes[:, None] ^ columns[None, :]
    with np.errstate(over="ignore"):  # SplitMix64's finaliser: xor alone would leave rows correlated
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    u = (x >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.searchsorted(_CUMULATIVE, u, side="right").astype(np.float64)


@dataclass(frozen=True)
class Bootstrap:
    """Replicates of some listeners whose weights are drawn once, for whatever is measured of them or of some of them.

    Attributes:
        order: int64[n], the listeners in order of their hash, in which they are summed.
        weights: uint8[n, draws], by place in that order.
    """

    order: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, listener_ids: Sequence[str] | pl.Series, draws: int = DRAWS, seed: int = 0) -> Bootstrap:
        """Of n distinct listeners."""
        ids = pl.Series("listener_id", listener_ids, dtype=pl.String)
        hashes = stable_hash(ids) if len(ids) else np.zeros(0, dtype=np.uint64)
        order = np.argsort(hashes, kind="stable")
        weights = np.empty((len(order), draws), np.uint8)
        step = max(1, _BLOCK // max(1, len(order)))
        for start in range(0, draws, step):
            replicates = np.arange(start, min(start + step, draws))
            weights[:, replicates] = poisson_weights(hashes[order], replicates, seed)
        return cls(order, weights)

    def means(self, values: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
        """Means of every column in every replicate.

        Args:
            values: float[n, m]; NaN = the listener has no value in that column and does not count in it.
            among: places of the listeners that the rows are of, ascending; None = all.

        Returns:
            float64[draws, m]; NaN where a replicate drew no listener.
        """
        row = np.full(len(self.order), -1)
        row[np.arange(len(self.order)) if among is None else among] = np.arange(len(values))
        row = row[self.order]
        here = np.flatnonzero(row >= 0)
        values = np.asarray(values, dtype=np.float64)[row[here]]
        present = ~np.isnan(values)
        filled = np.where(present, values, 0.0)
        # most columns know the same listeners
        patterns, pattern = np.unique(np.packbits(present, axis=0), axis=1, return_index=True, return_inverse=True)[1:]
        there = present[:, patterns].astype(np.float64)
        draws = self.weights.shape[1]
        means = np.empty((draws, values.shape[1]))
        step = max(1, _BLOCK // max(1, len(here)))
        for start in range(0, draws, step):
            weights = self.weights[here, start : start + step].astype(np.float64).T
            with np.errstate(invalid="ignore", divide="ignore"):
                means[start : start + step] = (weights @ filled) / (weights @ there)[:, pattern.ravel()]
        return means

    def intervals(self, values: np.ndarray, among: np.ndarray | None = None) -> list[Interval]:
        """One `Interval` a column of `values`, as `means` takes them; percentile ends; NaN for an empty column."""
        values = np.asarray(values, dtype=np.float64)
        known = ~np.isnan(values)
        means = self.means(values, among)
        whole = ~np.isnan(means).any(axis=0)
        low, high = np.full((2, values.shape[1]), np.nan)
        low[whole], high[whole] = np.quantile(means[:, whole], [0.025, 0.975], axis=0)
        out = []
        for j in range(values.shape[1]):
            column = values[known[:, j], j]
            if not len(column):
                out.append(Interval(float("nan"), float("nan"), float("nan"), 0))
                continue
            if not whole[j]:
                low[j], high[j] = np.nanquantile(means[:, j], [0.025, 0.975])
            out.append(Interval(float(np.sort(column).mean()), float(low[j]), float(high[j]), len(column)))
        return out


def bootstrap_means(
    listener_ids: Sequence[str] | pl.Series, values: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> np.ndarray:
    """`Bootstrap.means` of listeners who are measured once."""
    return Bootstrap.of(listener_ids, draws, seed).means(values)


def intervals(
    listener_ids: Sequence[str] | pl.Series, values: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> list[Interval]:
    """`Bootstrap.intervals` of listeners who are measured once."""
    return Bootstrap.of(listener_ids, draws, seed).intervals(values)


def interval(
    listener_ids: Sequence[str] | pl.Series, values: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Mean and 95% interval of one value a listener."""
    return intervals(listener_ids, np.asarray(values, dtype=np.float64)[:, None], draws, seed)[0]


def paired_ratio(
    listener_ids: Sequence[str] | pl.Series, ours: np.ndarray, theirs: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Mean of `ours` over mean of `theirs` and its interval, over listeners with both; wholly above 1 = better, not by luck.

    A ratio of means, not a mean of ratios: a listener for whom theirs finds nothing does not make it infinite. Both means
    are of the same draws. NaN where theirs finds nothing for anyone.
    """
    both = np.column_stack([np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)])
    both[np.isnan(both).any(axis=1)] = np.nan
    n = int((~np.isnan(both[:, 0])).sum())
    value = intervals(listener_ids, both, draws=1, seed=seed)
    if not n or not value[1].value:
        return Interval(float("nan"), float("nan"), float("nan"), n)
    means = bootstrap_means(listener_ids, both, draws, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = np.nanquantile(means[:, 0] / means[:, 1], [0.025, 0.975])
    return Interval(value[0].value / value[1].value, float(low), float(high), n)


def paired_difference(
    listener_ids: Sequence[str] | pl.Series, ours: np.ndarray, theirs: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Mean of `ours - theirs` and its interval over listeners with both; wholly above 0 = better, not by luck."""
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    return interval(listener_ids, difference, draws, seed)


def weighed(value: float, moves: np.ndarray, n: int) -> Interval:
    """Of an estimate whose weights are far apart, as those of counterfactual estimates are.

    A bootstrap of such weights undercovers: the few large ones are drawn or not, and its quantiles lean the wrong way. So the
    error is that of the linearised estimate, and its quantile that of a t distribution with the degrees of freedom that the
    error itself is known with, 2 (sum d^2)^2 / (sum d^4 - (sum d^2)^2 / listeners) after Satterthwaite (1946): few where few
    listeners decide it. An estimate above 0 is taken on the log scale, since its error grows with it.

    Args:
        value: the estimate.
        moves: float[listeners], what each listener moves it by, d (its gradient by the listeners' sums, times the listener's).
        n: what the interval says it is of.

    Returns:
        NaN ends where fewer than two listeners are there.

    >>> even = weighed(0.5, np.array([-0.1, 0.1] * 10) / 2, 20)
    >>> round(even.low, 2), round(even.high, 2)
    (0.19, 1.31)
    """
    if len(moves) < 2:
        return Interval(value, float("nan"), float("nan"), n)
    square, fourth = (float(np.sort(moves**power).sum()) for power in (2, 4))
    error = np.sqrt(square * len(moves) / (len(moves) - 1))
    spread = fourth - square**2 / len(moves)
    freedom = 2 * square**2 / spread if spread > 0 else len(moves)
    half = float(stats.t.ppf(0.975, max(min(freedom, len(moves) - 1), 1)) * error)
    if value > 0:
        factor = float(np.exp(min(half / value, 700.0)))
        return Interval(value, value / factor, value * factor, n)
    return Interval(value, value - half, value + half, n)
