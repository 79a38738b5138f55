"""Draws of a shelf's open slots, with the probability of each.

A few slots stay open so that what is shown does not only confirm what the ranker believes, and so that another policy
can be judged from the log of this one. After everything else is placed, each open slot in turn draws one track from its
pool, the best that break no rule or cap given everything placed before it:

    p_i = (1 - epsilon) softmax(score_i / tau) + epsilon / |pool|

p is conditional on what was placed before; it never falls below epsilon / |pool|, so that inverse propensity weights
(Horvitz & Thompson 1952; Dudik et al. 2011 for policies) stay bounded. The draw takes the largest of
log p_i - log(-log u_i) (Gumbel 1954), u_i a hash of seed, date, listener, shelf, slot and track: a pure function, equal
however listeners are split into blocks.

    >>> open_positions(30, 3)
    [8, 15, 23]
    >>> probabilities(np.array([1.0, 1.0, 0.0]), np.array([0, 2]), epsilon=0.1, tau=1.0).tolist()
    [0.5, 0.5, 1.0]
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from transforms.common.hashing import uniform


def open_positions(size: int, open_slots: int) -> list[int]:
    """Positions, from 1, of the open slots of a shelf: spread evenly, neither first nor last."""
    return [-(-j * size // (open_slots + 1)) for j in range(1, open_slots + 1)]


def probabilities(scores: np.ndarray, starts: np.ndarray, epsilon: float, tau: float) -> np.ndarray:
    """Probability of each track of several pools laid end to end.

    Args:
        scores: float[n]; NaN (no score) counts as the lowest score of its pool.
        starts: int[pools], where each pool begins, ascending, none empty.
        epsilon: share of the probability that is uniform.
        tau: temperature, in units of the scores.

    Returns:
        float64[n], summing to 1 over each pool.
    """
    sizes = np.diff(np.append(starts, len(scores)))
    known = np.asarray(scores, dtype=np.float64)
    low = np.minimum.reduceat(np.where(np.isnan(known), np.inf, known), starts)
    known = np.where(np.isnan(known), np.repeat(np.where(np.isinf(low), 0.0, low), sizes), known)
    weight = np.exp((known - np.repeat(np.maximum.reduceat(known, starts), sizes)) / tau)
    softmax = weight / np.repeat(np.add.reduceat(weight, starts), sizes)
    return (1.0 - epsilon) * softmax + epsilon / np.repeat(sizes, sizes)


@dataclass(frozen=True)
class Draw:
    """What a slot of several shelves drew.

    Attributes:
        chosen: int[pools], index into the flat pools of the track drawn.
        p: float64[n], probability of every track of the flat pools.
    """

    chosen: np.ndarray
    p: np.ndarray


def draw(
    scores: np.ndarray,
    starts: np.ndarray,
    *,
    listeners: np.ndarray,
    tracks: np.ndarray,
    epsilon: float,
    tau: float,
    seed: int,
    date: dt.date,
    shelf_id: str,
    slot: int,
) -> Draw:
    """Draw one track from each pool.

    Args:
        scores: float[n], pools laid end to end.
        starts: int[pools], where each begins, none empty.
        listeners: int64[n], a stable hash of each pool's listener, repeated over its tracks.
        tracks: int64[n], a stable hash of each track.
        epsilon: see `probabilities`.
        tau: see `probabilities`.
        seed: the run's seed.
        date: the night.
        shelf_id: shelf.
        slot: the slot's position on the shelf, from 1.
    """
    p = probabilities(scores, starts, epsilon, tau)
    u = uniform(seed, f"draw/{date.isoformat()}/{shelf_id}/{slot}", listeners, tracks)
    with np.errstate(divide="ignore"):
        key = np.log(p) - np.log(-np.log(u))
    # Equal keys (p = 0 twice) fall to the smaller track hash, so that the order of the pool never counts.
    order = np.lexsort((tracks, -key, np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(scores))))))
    return Draw(chosen=order[starts], p=p)
