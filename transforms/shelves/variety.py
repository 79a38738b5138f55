"""What a shelf's fixed slots give up of relevance for variety, slot by slot.

Each fixed slot takes, of the best `window` tracks that break no rule or cap given everything placed before, the one with the
largest

    value(i) = rel(i) * max(floor, decay^n_i) - mmr * max_j sim(i, j) - calibration * KL(p || q_i) - popularity * excess(i)

    rel        the shelf's score, laid between 0 (worst of the window) and 1 (best)
    n_i        tracks placed by the artist of i who has most of them
    sim        cosine of the tracks' embeddings; j runs over what is placed, negative counts as 0 (maximal marginal
               relevance: Carbonell & Goldstein, SIGIR 1998)
    p, q_i     the listener's mix of groups, and that of the shelf with i on it, smoothed by 1% of p (calibrated
               recommendations: Steck, RecSys 2018); a group is the most frequent tag of a track
    excess     by how much i is more popular than what the listener usually plays, in deviations of log audience

Without any weight the order stays as it is. Draws come after and see only what is placed, so propensities stay exact.

Example: two tracks of one album with scores 1 and .9, another with .8 that is like neither: with mmr .5 the shelf begins with the
first and the third.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from transforms.common.compiled import compiled
from transforms.shelves.shelf import VarietySettings

SMOOTHING = 0.01


class Tastes(NamedTuple):
    """What variety reads of tracks and listeners.

    Attributes:
        vectors: float32 [m, d], unit length; vector_of: int32 by track, row of `vectors`, -1 none.
        group: int32 by track, -1 unknown.
        popularity: float32 by track, standardised log audience; 0 unknown.
        mix: float32 [listeners, groups], shares of the listener's plays, rows of zeros where unknown.
        appetite: float32 by listener, mean popularity of what they play; infinite where unknown.
    """

    vectors: np.ndarray
    vector_of: np.ndarray
    group: np.ndarray
    popularity: np.ndarray
    mix: np.ndarray
    appetite: np.ndarray

    @classmethod
    def unknown(cls, tracks: int, listeners: int) -> Tastes:
        """Of tracks and listeners of whom nothing is known."""
        return cls(
            np.zeros((1, 1), np.float32),
            np.full(tracks, -1, np.int32),
            np.full(tracks, -1, np.int32),
            np.zeros(tracks, np.float32),
            np.zeros((listeners, 1), np.float32),
            np.full(listeners, np.inf, np.float32),
        )


class Weights(NamedTuple):
    """`VarietySettings` for compiled loops."""

    window: int
    mmr: float
    artist_decay: float
    artist_floor: float
    calibration: float
    popularity: float

    @classmethod
    def of(cls, settings: VarietySettings) -> Weights:
        """The same numbers."""
        return cls(**settings.model_dump())


@compiled
def likeness(tastes: Tastes, a: int, b: int) -> float:
    """Cosine of two tracks' embeddings, at least 0; 0 where one has none."""
    i, j = tastes.vector_of[a], tastes.vector_of[b]
    if i < 0 or j < 0:
        return 0.0
    total = np.float32(0.0)
    for k in range(tastes.vectors.shape[1]):
        total += tastes.vectors[i, k] * tastes.vectors[j, k]
    return max(0.0, float(total))


def divergence_of(mix: np.ndarray, shares: np.ndarray) -> float:
    """KL(p || q) of a listener's mix and the shares of a whole list, by group; 0 where the mix is unknown."""
    there = mix > 0
    p, q = mix[there], shares[there]
    return float((p * np.log(p / ((1 - SMOOTHING) * q + SMOOTHING * p))).sum())


@compiled
def divergence(mix: np.ndarray, placed: np.ndarray, size: int) -> np.ndarray:
    """KL(p || q) of a shelf of `size` tracks with one more of each group, and last with one of an unknown group.

    Args:
        mix: p by group; all zeros = unknown, and then every divergence is 0.
        placed: tracks placed by group.
        size: tracks placed and the one more.
    """
    groups = len(mix)
    out = np.zeros(groups + 1)
    before, total = np.zeros(groups), 0.0
    for g in range(groups):
        if mix[g] > 0:
            q = (1 - SMOOTHING) * placed[g] / size + SMOOTHING * mix[g]
            before[g] = mix[g] * np.log(mix[g] / q)
            total += before[g]
    out[groups] = total
    for g in range(groups):
        out[g] = total
        if mix[g] > 0:
            q = (1 - SMOOTHING) * (placed[g] + 1) / size + SMOOTHING * mix[g]
            out[g] += mix[g] * np.log(mix[g] / q) - before[g]
    return out
