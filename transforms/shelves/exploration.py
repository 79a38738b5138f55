"""Draws of a shelf's open slots, with the probability of each.

A few slots stay open so that what is shown does not only confirm what the ranker believes, and so that another policy
can be judged from the log of this one. After everything else is placed, each open slot in turn draws one track from its
pool, the best that break no rule or cap given everything placed before it:

    p_i = (1 - epsilon) softmax(score_i / tau) + epsilon / |pool|

or, by policy `thompson`, in proportion to the chance that it is the best of the pool, given what is not known yet of its
long-term reward (Thompson 1933; as music services explore podcasts, arXiv 2307.09943): with score_i + spread_i times a standard
normal deviate for every track at once,

    p_i = (1 - epsilon) P(track i has the largest) + epsilon / |pool|

P is computed, not sampled, by Gauss-Hermite quadrature and made to sum to 1; the draw follows exactly the p that is stored.

p is conditional on what was placed before; it never falls below epsilon / |pool|, so that inverse propensity weights
(Horvitz & Thompson 1952; Dudik et al. 2011 for policies) stay bounded. The draw takes the largest of
log p_i - log(-log u_i) (Gumbel 1954), u_i a hash of seed, date, listener, shelf, slot and track: a pure function, equal
however listeners are split into blocks.

    >>> open_positions(30, 3)
    [8, 15, 23]
    >>> probabilities(np.float32([1.0, 1.0]), 0.1, 1.0).tolist()
    [0.5, 0.5]
"""

from __future__ import annotations

import datetime as dt
import math

import numpy as np

from transforms.common.compiled import compiled
from transforms.common.compiled_hashing import uniform_of
from transforms.common.hashing import hash_text

SOFTMAX, THOMPSON = 0, 1
_SQRT2 = math.sqrt(2.0)
_HERMITE = np.polynomial.hermite_e.hermegauss(48)
_NODES, _WEIGHTS = _HERMITE[0], _HERMITE[1] / _HERMITE[1].sum()  # of a standard normal deviate


def open_positions(size: int, open_slots: int) -> list[int]:
    """Positions, from 1, of the open slots of a shelf: spread evenly, neither first nor last."""
    return [-(-j * size // (open_slots + 1)) for j in range(1, open_slots + 1)]


def draw_state(seed: int, date: dt.date, shelf_id: str, slot: int) -> np.uint64:
    """Where the random numbers of a slot's draws start: see `hashing.uniform`."""
    return np.uint64(hash_text(f"{seed}/draw/{date.isoformat()}/{shelf_id}/{slot}"))


@compiled
def probabilities(scores: np.ndarray, epsilon: float, tau: float) -> np.ndarray:
    """Probability of each track of a pool.

    Args:
        scores: float32[n], n > 0; NaN (no score) counts as the lowest score of the pool.
        epsilon: share of the probability that is uniform.
        tau: temperature, in units of the scores.

    Returns:
        float64[n], summing to 1.
    """
    n = len(scores)
    low, high = np.inf, -np.inf
    for score in scores:
        if not np.isnan(score):
            low, high = min(low, float(score)), max(high, float(score))
    if np.isinf(low):
        low = high = 0.0
    weight, total = np.empty(n), 0.0
    for i in range(n):
        weight[i] = np.exp(((low if np.isnan(scores[i]) else float(scores[i])) - high) / tau)
        total += weight[i]
    return (1.0 - epsilon) * weight / total + epsilon / n


@compiled
def thompson(scores: np.ndarray, spreads: np.ndarray, epsilon: float) -> np.ndarray:
    """Probability of each track of a pool to be drawn as the best of deviates around their scores.

    Args:
        scores: float32[n], n > 0; NaN counts as the lowest score of the pool.
        spreads: float32[n], deviations in units of the scores; NaN counts as none. Deviations below a millionth of the widest
            are taken for that.
        epsilon: share of the probability that is uniform.

    Returns:
        float64[n], summing to 1.
    """
    n = len(scores)
    low, widest = np.inf, 0.0
    for i in range(n):
        if not np.isnan(scores[i]):
            low = min(low, float(scores[i]))
        if not np.isnan(spreads[i]):
            widest = max(widest, float(spreads[i]))
    mean, deviation, best = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        mean[i] = float(scores[i]) if not np.isnan(scores[i]) else (0.0 if np.isinf(low) else low)
        own = 0.0 if np.isnan(spreads[i]) else float(spreads[i])
        deviation[i] = max(own, 1e-6 * widest, 1e-12)
    total = 0.0
    for i in range(n):
        best[i] = 0.0
        for k in range(len(_NODES)):
            x, chance = mean[i] + deviation[i] * _NODES[k], _WEIGHTS[k]
            for j in range(n):
                if j != i:
                    chance *= 0.5 * math.erfc((mean[j] - x) / (deviation[j] * _SQRT2))
                    if chance < 1e-12:
                        break
            best[i] += chance
        total += best[i]
    out = np.empty(n)
    for i in range(n):
        out[i] = (1.0 - epsilon) * (best[i] / total if total > 0 else 1.0 / n) + epsilon / n
    return out


@compiled
def draw(p: np.ndarray, listener: np.uint64, tracks: np.ndarray, state: np.uint64) -> int:
    """The place in a pool that is drawn.

    Args:
        p: probability of each track.
        listener: stable hash of the listener.
        tracks: uint64, stable hash of each track.
        state: of `draw_state`.
    """
    best, chosen = -np.inf, 0
    for i in range(len(p)):
        u = uniform_of(state, listener, tracks[i])
        with_luck = (np.log(p[i]) if p[i] > 0 else -np.inf) - np.log(-np.log(u))
        # Equal keys (p = 0 twice) fall to the smaller track hash, so that the order of the pool never counts.
        if with_luck > best or i == 0 or (with_luck == best and tracks[i] < tracks[chosen]):
            best, chosen = with_luck, i
    return chosen
