"""A contextual bandit that orders cards under a cascade, learned in batches, with propensities that are exact.

The chance that whoever looks at card k plays from it is sigmoid(theta_k x), x the listener's context. People look from the top
and stop where they play (the cascade: Craswell et al., WSDM 2008). So a card counts as looked at down to the play, and without
one down to `visible`, as many as are on the screen at once (Bendada, Salha and Bontempelli, "Carousel personalization in music
streaming apps with contextual bandits", RecSys 2020). What was displayed below says nothing.

theta_k has a Gaussian belief. It starts as a prior, whose first mean can carry an order made by hand, and is updated once a batch
by one Newton step from its mean (the Laplace approximation as in Chapelle and Li, NIPS 2011):

    precision' = precision + sum p (1 - p) x x^T        mean' = mean + precision'^-1 sum (y - p) x        p = sigmoid(mean x)

Both sums are over the batch's looks, so a night adds a day, in whatever order its rows come. A single step falls short of large
weights while a belief is young; their order is right before their size is.

Thompson sampling over a finite ensemble (Lu and Van Roy, "Ensemble sampling", NIPS 2017) makes it explore: `draws` samples of all
theta are taken once a batch, a listener is dealt one of them by hash, and with chance `epsilon` a uniformly random order instead.
The chance that a card stands at a place is then counted, not estimated:

    P(k at i) = (1 - epsilon) #{samples that put k at i} / draws + epsilon / cards

What is not there (an empty shelf) comes last and takes no place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Beliefs:
    """Gaussian beliefs on theta of some cards.

    Attributes:
        mean: float64 [cards, d].
        precision: float64 [cards, d, d].
    """

    mean: np.ndarray
    precision: np.ndarray

    @classmethod
    def prior(cls, start: np.ndarray, contexts: int, deviation: float, shared: float) -> Beliefs:
        """Beliefs before anything was seen.

        Args:
            start: float64 [cards], mean of the first component, whose context is always 1.
            contexts: d.
            deviation: prior standard deviation of every component but the first; shared: of the first.
        """
        cards = len(start)
        mean = np.zeros((cards, contexts))
        mean[:, 0] = start
        spread = np.full(contexts, deviation)
        spread[0] = shared
        return cls(mean, np.tile(np.diag(1 / spread**2), (cards, 1, 1)))

    def sums(self, card: np.ndarray, context: np.ndarray, played: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a batch of looks adds: gradient [cards, d] and curvature [cards, d, d]; sums of parts add up.

        Args:
            card: int64 by look; context: float64 [looks, d]; played: bool by look.
        """
        cards, d = self.mean.shape
        p = sigmoid(np.einsum("nd,nd->n", self.mean[card], context))
        gradient, curvature = np.zeros((cards, d)), np.zeros((cards, d, d))
        np.add.at(gradient, card, (played - p)[:, None] * context)
        np.add.at(curvature, card, (p * (1 - p))[:, None, None] * context[:, :, None] * context[:, None, :])
        return gradient, curvature

    def updated(self, gradient: np.ndarray, curvature: np.ndarray) -> Beliefs:
        """Beliefs after a batch."""
        precision = self.precision + curvature
        step = np.linalg.solve(precision, gradient[:, :, None])[:, :, 0]
        return Beliefs(self.mean + step, precision)

    def sampled(self, draws: int, rng: np.random.Generator, share: float = 1.0) -> np.ndarray:
        """float64 [draws, cards, d]: an ensemble of theta, whose distances from the mean are a share of what they would be."""
        noise = rng.standard_normal((draws, *self.mean.shape))
        root = np.linalg.cholesky(self.precision)  # precision = L L^T, so L^-T noise has covariance precision^-1
        return self.mean + share * np.linalg.solve(root.transpose(0, 2, 1)[None], noise[..., None])[..., 0]


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0.0, -x))


def looked_at(played: np.ndarray, visible: int) -> np.ndarray:
    """bool [n, places]: what was surely looked at, by the cascade.

    >>> looked_at(np.array([[False, False, True, False], [False] * 4]), 2).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 0, 0]]
    """
    places = played.shape[1]
    last = np.where(played.any(axis=1), places - np.argmax(played[:, ::-1], axis=1), min(visible, places))
    return np.arange(places) < last[:, None]


def orders(scores: np.ndarray, there: np.ndarray) -> np.ndarray:
    """int64 [..., cards]: the cards from the best score down; those that are not there come last, in their own order.

    Args:
        scores: float64 [..., cards]; there: bool, broadcastable.
    """
    return np.argsort(np.where(there, -scores, np.inf), axis=-1, kind="stable")


def places(order: np.ndarray) -> np.ndarray:
    """int64 [..., cards]: the place of each card, from 0; the inverse of `orders`."""
    return np.argsort(order, axis=-1, kind="stable")


def dealt(order_of: np.ndarray, there: np.ndarray, epsilon: float, luck: np.ndarray) -> np.ndarray:
    """int64 [n, cards]: the order that each listener is shown.

    Args:
        order_of: int64 [draws, n, cards], what each sample would show.
        there: bool [n, cards].
        epsilon: share of uniformly random orders.
        luck: float64 [n, 2 + cards], uniform in [0, 1) by hash: whether at random, which sample, a random order.
    """
    draws, n, _ = order_of.shape
    of_sample = order_of[np.minimum((luck[:, 1] * draws).astype(np.int64), draws - 1), np.arange(n)]
    return np.where((luck[:, 0] < epsilon)[:, None], orders(luck[:, 2:], there), of_sample)


def chances(order_of: np.ndarray, place: np.ndarray, there: np.ndarray, epsilon: float) -> np.ndarray:
    """float64 [n, cards]: the exact chance that each card stands where it stands.

    Args:
        order_of: int64 [draws, n, cards], what each sample would show.
        place: int64 [n, cards], where each card stands, from 0.
        there: bool [n, cards]; the chance of a card that is not there is NaN.
        epsilon: share of uniformly random orders.
    """
    of_samples = (places(order_of) == place[None]).mean(axis=0)
    uniform = 1.0 / np.maximum(there.sum(axis=1, keepdims=True), 1)
    return np.where(there, (1 - epsilon) * of_samples + epsilon * uniform, np.nan)
