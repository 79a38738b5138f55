"""Choosing by variety: slot by slot what has the largest value among the best that fit; see `variety`."""

from __future__ import annotations

import numpy as np

from transforms.common.compiled import compiled
from transforms.shelves.limits import FITS, Counted, Limits, Of, full, place, why_not
from transforms.shelves.variety import Weights, divergence, likeness


@compiled
def choose(  # noqa: PLR0912, PLR0915 (a compiled loop: calls would copy its window)
    order: np.ndarray,
    first: int,
    last: int,
    scores: np.ndarray,
    refused: np.ndarray,
    into: np.ndarray,
    listener: int,
    of: Of,
    limits: Limits,
    weights: Weights,
) -> None:
    """Place, slot by slot, what has the largest value of the best that fit: see `variety`.

    What does not change while a track waits in the window is worked out once, as it comes in.
    """
    tastes, track, piece, window = of.tastes, of.track, of.piece, weights.window
    group, popularity, mix = tastes.group, tastes.popularity, tastes.mix[listener]
    near, like, relevance = np.empty(window, np.int64), np.zeros(window), np.zeros(window)
    in_group, over = np.zeros(window, np.int64), np.zeros(window)
    by_group = np.zeros(len(mix), np.int64)
    apart = np.zeros(len(mix) + 1)
    low, high, found, at, placed = np.inf, -np.inf, 0, first, 0
    gone, tight = np.int64(-1), False
    while placed < len(into):
        # What no longer fits leaves the window, and the next of the order come in. While nothing is full, it is what was taken.
        kept = 0
        for k in range(found):
            if tight or piece[order[near[k]]] == gone:
                refused[near[k]] = why_not(order[near[k]], of, limits)
            if refused[near[k]] == FITS:
                if kept < k:
                    near[kept], like[kept], relevance[kept] = near[k], like[k], relevance[k]
                    in_group[kept], over[kept] = in_group[k], over[k]
                kept += 1
        known = found = kept
        while found < window and at < last:
            refused[at] = why_not(order[at], of, limits)
            if refused[at] == FITS:
                t = track[order[at]]
                near[found], like[found], in_group[found] = at, 0.0, group[t]
                if weights.popularity:
                    over[found] = max(0.0, float(popularity[t] - tastes.appetite[listener]))
                if weights.mmr:
                    for p in range(placed):
                        like[found] = max(like[found], likeness(tastes, t, track[into[p]]))
                if placed == 0 and not np.isnan(scores[at]):
                    low, high = min(low, float(scores[at])), max(high, float(scores[at]))
                found += 1
            at += 1
        if found == 0:
            return
        for k in range(known, found):
            relevance[k] = _relevance(scores[near[k]], low, high)
        if weights.calibration:
            apart = divergence(mix, by_group, placed + 1)
        best, chosen = -np.inf, 0
        for k in range(found):
            value = relevance[k]
            if weights.artist_decay < 1:
                value *= _decayed(track[order[near[k]]], of.counted, weights)
            value -= weights.mmr * like[k] + weights.calibration * apart[in_group[k]]
            value -= weights.popularity * over[k]
            if value > best:
                best, chosen = value, k
        row = order[near[chosen]]
        place(row, of, limits)
        into[placed] = row
        placed += 1
        gone, tight = piece[row], full(row, of, limits) != FITS
        if in_group[chosen] >= 0:
            by_group[in_group[chosen]] += 1
        if weights.mmr:
            for k in range(found):
                like[k] = max(like[k], likeness(tastes, track[order[near[k]]], track[row]))


@compiled
def _relevance(score: float, low: float, high: float) -> float:
    """The score between 0 and 1 of its window; 0 without one."""
    if np.isnan(score) or not high > low:
        return 0.0 if np.isnan(score) else 1.0
    return max(0.0, (score - low) / (high - low))


@compiled
def _decayed(track: int, counted: Counted, weights: Weights) -> float:
    """What the artist's earlier tracks leave of relevance."""
    most = 0
    for at in range(counted.artist_bounds[track], counted.artist_bounds[track + 1]):
        most = max(most, counted.by_artist[counted.artists[at]])
    return max(weights.artist_floor, weights.artist_decay**most) if weights.artist_decay < 1 else 1.0
