"""What a delayed reward will have been, believed from the part of it that is known already.

A long-term reward is a weighted sum over the days after a discovery (days with a play among the next 59, say), so it is known
only when these days have passed. But early days tell of later ones. Let a listener's trace be z, one value a day, theta_a the
mean trace of an arm (a track on a shelf), and

    theta_a ~ N(m, B)        arms differ around a common mean; B is how days go together between arms
    z | a   ~ N(theta_a, W)  listeners differ around their arm's mean; W is how days go together within an arm

Prior m, B and noise W are fitted on arms whose traces are complete. Of a trace of which the first t days are known, only the
block W_tt speaks, so with n_t such traces that sum to s_t the posterior of theta_a has

    precision  B^-1 + sum_t n_t W_tt^-1          information  B^-1 m + sum_t W_tt^-1 s_t

which are sums over traces: any split of days and shards gives the same belief (progressive feedback: McDonald et al.,
"Impatient Bandits", KDD 2023; Zhang et al., arXiv 2501.07761). The reward's belief is that of weights . theta_a.

Means of days alone cannot tell few who come every day from many who come now and then, and the former stay. So a trace has an
entry more a day from the second on, whether the listener was there on that day and on the one before (`entries`):

    z1, z2, z1 z2, z3, z2 z3, ...        of which the first 2t - 1 are known after t days, and weigh nothing in the reward

    >>> sums = TraceSums.of(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([1, 2]))
    >>> sums.counts.tolist(), sums.sums[2].tolist()
    ([0.0, 1.0, 1.0], [1.0, 1.0])
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


def entries(traces: np.ndarray) -> np.ndarray:
    """[n, 2 days - 1]: days and pairs of days of traces [n, days], in the order in which they become known.

    >>> entries(np.array([[1, 1, 0]])).tolist()
    [[1, 1, 1, 0, 0]]
    """
    days = traces.shape[1]
    out = np.zeros((len(traces), entries_known(days)), dtype=traces.dtype)
    out[:, of_days(days)] = traces
    out[:, 2::2] = traces[:, 1:] * traces[:, :-1]
    return out


def entries_known(days: np.ndarray | int) -> Any:
    """How many entries are known after so many days."""
    return np.maximum(2 * days - 1, 0) if isinstance(days, np.ndarray) else max(2 * days - 1, 0)


def of_days(days: int) -> np.ndarray:
    """Places of the days among the entries."""
    return np.concatenate([[0], np.arange(1, 2 * days - 1, 2)]).astype(np.int64)


def entry_weights(weights: np.ndarray) -> np.ndarray:
    """Weights of the days as weights of the entries: pairs weigh nothing."""
    out = np.zeros(entries_known(len(weights)))
    out[of_days(len(weights))] = weights
    return out


@dataclass(frozen=True)
class TraceSums:
    """Traces of one arm as sums, by how many of their entries are known; `days` below are entries where there are pairs.

    Attributes:
        counts: float64[days + 1], traces of which the first t days are known.
        sums: float64[days + 1, days], their sums day by day; 0 beyond the first t.
        squares: float64[days, days], sum of z z' over complete traces, for fitting a prior.
    """

    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray

    @classmethod
    def none(cls, days: int) -> TraceSums:
        """No trace."""
        return cls(np.zeros(days + 1), np.zeros((days + 1, days)), np.zeros((days, days)))

    @classmethod
    def of(cls, traces: np.ndarray, known: np.ndarray) -> TraceSums:
        """Of some traces.

        Args:
            traces: float[n, days].
            known: int[n], how many of the first days of each are known; what stands beyond is not read.
        """
        days = traces.shape[1]
        masked = np.where(np.arange(days)[None, :] < known[:, None], traces, 0.0).astype(np.float64)
        sums = np.zeros((days + 1, days))
        np.add.at(sums, known, masked)
        whole = masked[known == days]
        return cls(np.bincount(known, minlength=days + 1).astype(np.float64), sums, whole.T @ whole)

    def plus(self, other: TraceSums) -> TraceSums:
        """The sums of both."""
        return TraceSums(self.counts + other.counts, self.sums + other.sums, self.squares + other.squares)


@dataclass(frozen=True)
class Belief:
    """A reward as believed: mean and variance of what an arm's traces will add up to on average, and traces behind it."""

    mean: float
    variance: float
    traces: float


@dataclass(frozen=True)
class Prior:
    """What is believed of an arm before anything of it is known; m, B, W and the days' weights of the module."""

    mean: np.ndarray
    between: np.ndarray
    within: np.ndarray
    weights: np.ndarray

    @classmethod
    def fit(cls, arms: Iterable[TraceSums], weights: np.ndarray, least: int = 2) -> Prior:
        """From the complete traces of arms with at least `least` of them.

        B is the covariance of arms' means less what sampling adds to it, and both are kept positive definite.

        Raises:
            ValueError: fewer than two arms have complete traces: how arms differ cannot be told.
        """
        days = len(weights)
        full = [(a.counts[days], a.sums[days], a.squares) for a in arms if a.counts[days] >= least]
        if len(full) < 2:
            raise ValueError(f"expected at least two arms with {least} complete traces, found {len(full)}")
        squares = np.sum([ss for _, _, ss in full], axis=0)
        return cls.of_sums(np.array([n for n, _, _ in full]), np.stack([s for _, s, _ in full]), squares, weights)

    @classmethod
    def of_sums(cls, count: np.ndarray, sums: np.ndarray, squares: np.ndarray, weights: np.ndarray) -> Prior:
        """From sums over the complete traces of at least two arms.

        Args:
            count: float[arms], complete traces.
            sums: float[arms, days], their sums.
            squares: float[days, days], sum of z z' over all of these traces.
            weights: float[days], of the reward.
        """
        means = sums / count[:, None]
        inside = squares - means.T @ sums
        within = _positive(inside / max(count.sum() - len(count), 1.0), 1e-6)
        away = means - means.mean(axis=0)
        between = away.T @ away / (len(count) - 1) - within * np.mean(1.0 / count)
        return cls(means.mean(axis=0), _positive(between, 1e-8), within, np.asarray(weights, dtype=np.float64))

    def posterior(self, sums: TraceSums) -> Belief:
        """The belief about an arm's reward, given its traces so far."""
        return Posterior(self).of(sums)


class Posterior:
    """Beliefs about many arms under one prior: what does not depend on the arm is computed once."""

    def __init__(self, prior: Prior) -> None:
        self.prior = prior
        self._precision = np.linalg.inv(prior.between)
        self._start = self._precision @ prior.mean
        self._blocks: dict[int, np.ndarray] = {}

    def _block(self, t: int) -> np.ndarray:
        """W_tt^-1."""
        if t not in self._blocks:
            self._blocks[t] = np.linalg.inv(self.prior.within[:t, :t])
        return self._blocks[t]

    def of(self, sums: TraceSums) -> Belief:
        """The belief about one arm."""
        precision, information = self._precision.copy(), self._start.copy()
        for t in (np.flatnonzero(sums.counts[1:]) + 1).tolist():
            precision[:t, :t] += sums.counts[t] * self._block(t)
            information[:t] += self._block(t) @ sums.sums[t, :t]
        covariance = np.linalg.inv((precision + precision.T) / 2)
        w = self.prior.weights
        return Belief(float(w @ covariance @ information), float(w @ covariance @ w), float(sums.counts[1:].sum()))


def _positive(matrix: np.ndarray, least: float) -> np.ndarray:
    """The matrix with eigenvalues of at least `least` times its mean variance."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    floor = least + least * max(float(np.trace(matrix)) / len(matrix), 0.0)
    return (vectors * np.maximum(values, floor)) @ vectors.T
