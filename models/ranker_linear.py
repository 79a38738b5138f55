"""The linear ranker: weights of standardised features by a listwise softmax over each group.

For a group with positives P the loss is the mean over P of -log(exp(s_p) / sum over the group of w_j exp(s_j)), s = x
. beta, w_j = 1/inclusion standing for the candidates that were not stored (ListNet's top-one loss, Cao et al. ICML
2007). A group counts (its positives)^group_power: 1 favours heavy listeners, 0 treats all alike. A group without
positives says nothing about order and is left out. Convex, so L-BFGS finds the one answer whatever the seed.

    >>> fit_linear(examples, RankerSettings()).shape
    (60,)
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from models.examples import Examples
from models.settings import RankerSettings


def fit_linear(examples: Examples, settings: RankerSettings) -> np.ndarray:
    """Weights float32 [f] from standardised examples; zeros when no group has a positive."""
    known = np.isfinite(examples.labels[settings.label])
    telling = examples.sum(examples.positives(settings.label).astype(np.int64)) > 0
    data = examples.take(known & telling[examples.group_of])
    if not len(data.starts):
        return np.zeros(examples.features.shape[1], np.float32)
    x = np.asfortranarray(data.features)
    positive = data.positives(settings.label).astype(np.float64)
    target = positive * data.weight
    target /= data.sum(target)[data.group_of]
    group_weight = data.sum(positive) ** settings.linear.group_power
    group_weight *= data.sum(positive * data.weight) / data.sum(positive)
    total, l2 = group_weight.sum(), settings.linear.l2
    log_weight = np.log(data.weight.astype(np.float64))
    observed = (target * group_weight[data.group_of]).astype(np.float32) @ x

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        scores = (x @ beta.astype(np.float32)).astype(np.float64)
        logits = scores + log_weight
        highest = data.max(logits)
        mass = np.exp(logits - highest[data.group_of])
        normaliser = data.sum(mass)
        value = (group_weight * (highest + np.log(normaliser) - data.sum(target * scores))).sum()
        expected = (mass * (group_weight / normaliser)[data.group_of]).astype(np.float32) @ x
        gradient = expected.astype(np.float64) - observed + l2 * beta
        return (value + 0.5 * l2 * float(beta @ beta)) / total, gradient / total

    options = {"maxiter": settings.linear.iterations, "ftol": 1e-7, "gtol": 1e-5}
    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options=options)
    return found.x.astype(np.float32)
