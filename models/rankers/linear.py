"""The linear ranker: weights of standardised features by a listwise loss over each group, pulled towards the blend.

Scores are s = x . beta, w_j = 1/inclusion stands for the candidates that were not stored, P are a group's positives. The
loss of a group is minus the log of a share of its mass, sum over the group of w_j exp(s_j):

    any     log of the share that lies on all of P together: what counts is that something good stands on top
    each    mean over P of the log of each one's share (ListNet's top-one loss, Cao et al. ICML 2007)

`each` spends most of its effort on positives that no weights can bring to the top of a list; `any` leaves those alone,
which is nearer to NDCG of the first places. With one positive a group they are the same. A group counts (its
positives)^group_power: 1 favours heavy listeners, 0 treats all alike. A group without positives says nothing about order
and is left out.

The penalty is l2 / 2 |beta - prior|^2, where the prior is the untrained blend times the one factor that suits the
examples best, found first. So few examples leave the blend nearly as it is, and many may say anything. `each` is convex;
`any` is not, and L-BFGS starts at the prior, so there is one answer whatever the seed.

    >>> fit_linear(examples, RankerSettings(), blend).shape
    (60,)
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from models.rankers.examples import Examples
from models.settings import LinearSettings, RankerSettings


def fit_linear(examples: Examples, settings: RankerSettings, blend: np.ndarray | None = None) -> np.ndarray:
    """Weights float32 [f] from standardised examples; zeros when no group has a positive.

    Args:
        blend: float [f], the weights of the untrained order; None = pull towards zero.
    """
    known = np.isfinite(examples.labels[settings.label])
    telling = examples.sum(examples.positives(settings.label).astype(np.int64)) > 0
    data = examples.take(known & telling[examples.group_of])
    features = examples.features.shape[1]
    if not len(data.starts):
        return np.zeros(features, np.float32)
    prior = np.zeros(features)
    if blend is not None and settings.linear.towards == "blend":
        prior = blend_factor(data, settings, blend) * blend.astype(np.float64)
    return _Loss(data.features, data, settings.label, settings.linear).minimum(prior).astype(np.float32)


def blend_factor(data: Examples, settings: RankerSettings, blend: np.ndarray) -> float:
    """The factor, at least 0, by which the blend of standardised examples suits them best; every group has a positive."""
    if not len(data.starts):
        return 0.0
    summed = (data.features @ blend.astype(np.float32))[:, None]
    alone = _Loss(summed, data, settings.label, settings.linear.model_copy(update={"loss": "each"}))
    return max(float(alone.minimum(np.zeros(1), 1.0)[0]), 0.0)


class _Loss:
    """The loss over groups that all have a positive, and where it is smallest."""

    def __init__(self, x: np.ndarray, data: Examples, label: str, settings: LinearSettings) -> None:
        self.x, self.data, self.settings = np.asfortranarray(x), data, settings
        positive = data.positives(label).astype(np.float64)
        count = data.sum(positive)
        self.log_weight = np.log(data.weight.astype(np.float64))
        self.group_weight = count**settings.group_power * data.sum(positive * data.weight) / count
        self.rows = np.flatnonzero(positive)
        self.group = data.group_of[self.rows]
        self.starts = np.searchsorted(self.group, np.arange(len(data.starts)))
        self.x_positive = np.ascontiguousarray(x[self.rows])
        share = data.weight[self.rows].astype(np.float64)
        self.share = share / np.add.reduceat(share, self.starts)[self.group]

    def minimum(self, prior: np.ndarray, l2: float | None = None) -> np.ndarray:
        """float64 [f], from the prior downhill."""
        settings, total = self.settings, self.group_weight.sum()
        pull = settings.l2 if l2 is None else l2

        def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self._at(beta)
            away = beta - prior
            return (value + 0.5 * pull * float(away @ away)) / total, (gradient + pull * away) / total

        options = {"maxiter": settings.iterations, "ftol": 1e-7, "gtol": 1e-5}
        found = minimize(loss, prior, jac=True, method="L-BFGS-B", options=options)
        return np.asarray(found.x, np.float64)

    def _at(self, beta: np.ndarray) -> tuple[float, np.ndarray]:
        """Summed loss and gradient."""
        data = self.data
        scores = (self.x @ beta.astype(np.float32)).astype(np.float64)
        logits = scores + self.log_weight
        highest = data.max(logits)
        mass = np.exp(logits - highest[data.group_of])
        normaliser = data.sum(mass)
        if self.settings.loss == "any":
            own = logits[self.rows]
            top = np.maximum.reduceat(own, self.starts)
            share = np.exp(own - top[self.group])
            held = np.add.reduceat(share, self.starts)
            share /= held[self.group]
            gain = top + np.log(held)
        else:
            share = self.share
            gain = np.add.reduceat(share * scores[self.rows], self.starts)
        value = float((self.group_weight * (highest + np.log(normaliser) - gain)).sum())
        expected = (mass * (self.group_weight / normaliser)[data.group_of]).astype(np.float32) @ self.x
        observed = (share * self.group_weight[self.group]).astype(np.float32) @ self.x_positive
        return value, expected.astype(np.float64) - observed
