"""Placing: one listener's shelf filled in order, under caps and without repeats on its surface.

The order of work is what makes propensities true: rules have chosen the pool, the fixed slots are filled (`variety` may
choose among the best), and only then does each open slot draw, given everything placed before it. Afterwards nothing moves or
drops; spares follow from what still fits. A slot whose pool is empty stays out, which happens only when everything that fits is
placed, so the shelf just ends earlier and drawn tracks keep their slot. A slot for new tracks draws among those, and among all
where there is none.

A track that does not fit now never fits later (counts and what is taken only grow), so one walk down the order is exact.
A collaboration counts for each of its artists, and a track for each of its tags.

Example, artist cap 1: [a: Ann], [b: Ann & Bob], [c: Bob] gives a, c: b is refused for Ann and leaves Bob free.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from transforms.common.compiled import compiled
from transforms.shelves.choosing import choose
from transforms.shelves.exploration import THOMPSON, draw, probabilities, thompson
from transforms.shelves.limits import FITS, Limits, Of, count, place, why_not
from transforms.shelves.variety import Weights


class Slots(NamedTuple):
    """The slots that are drawn.

    Attributes:
        positions: int64, from 1, ascending.
        for_new: bool by slot, whether it is for new tracks.
        is_new: bool by row; empty where no slot asks.
        states: uint64 by slot, where its random numbers start.
        pool, epsilon, tau, policy: see `exploration`.
        spread: float32 by row, what of its score is not known yet; empty where no slot asks.
    """

    positions: np.ndarray
    for_new: np.ndarray
    is_new: np.ndarray
    states: np.ndarray
    pool: int
    epsilon: float
    tau: float
    policy: int
    spread: np.ndarray


class Filled(NamedTuple):
    """Shelves filled.

    Attributes:
        items: int64 [n, size], rows in order; -1 after the last.
        propensities: float64 [n, size], NaN where not drawn.
        spares: int64 [n, spares], likewise.
        drawn: int64 [n, slots], the row that each slot drew, -1 where none.
        pools: int64 [n, slots, pool], rows it drew from, -1 after the last; chances: float64, their probabilities.
        refused: int8 by place in the order: 0, or why the walk refused the row.
    """

    items: np.ndarray
    propensities: np.ndarray
    spares: np.ndarray
    drawn: np.ndarray
    pools: np.ndarray
    chances: np.ndarray
    refused: np.ndarray


@compiled
def fill(
    order: np.ndarray,
    bounds: np.ndarray,
    scores: np.ndarray,
    listeners: np.ndarray,
    of: Of,
    limits: Limits,
    slots: Slots,
    weights: Weights,
    size: int,
    n_spares: int,
) -> Filled:
    """Fill a shelf for some listeners.

    Args:
        order, bounds, scores: of the shelf's `Pool`.
        listeners: int64[n], whose shelves.
        of, limits, slots: see there.
        weights: of variety; a window of 0 takes the order as it is.
        size, n_spares: items and spares.
    """
    n, k = len(listeners), len(slots.positions)
    items, spares = np.full((n, size), -1, np.int64), np.full((n, n_spares), -1, np.int64)
    propensities = np.full((n, size), np.nan)
    drawn = np.full((n, k), -1, np.int64)
    pools = np.full((n, k, slots.pool if k else 0), -1, np.int64)
    chances = np.zeros(pools.shape)
    refused = np.zeros(len(order), np.int8)
    fixed = np.empty(size - k, np.int64)
    for i in range(n):
        at, last = bounds[listeners[i]], bounds[listeners[i] + 1]
        fixed[:] = -1
        if weights.window:
            choose(order, at, last, scores, refused, fixed, listeners[i], of, limits, weights)
        else:
            at = _walk(order, at, last, refused, fixed, of, limits)
        for slot in range(k):
            near = _ahead(order, at, last, slots, slots.for_new[slot], of, limits)
            if len(near) == 0:
                break
            if slots.policy == THOMPSON:
                p = thompson(scores[near], slots.spread[order[near]], slots.epsilon)
            else:
                p = probabilities(scores[near], slots.epsilon, slots.tau)
            near = order[near]
            won = draw(p, of.listener_hash[listeners[i]], of.track_hash[of.track[near]], slots.states[slot])
            place(near[won], of, limits)
            drawn[i, slot], pools[i, slot, : len(near)], chances[i, slot, : len(near)] = near[won], near, p
        _lay(items[i], propensities[i], fixed, drawn[i], pools[i], chances[i], slots.positions)
        _walk(order, at, last, refused, spares[i], of, limits)
        for part in (items[i], spares[i]):
            for row in part:
                if row >= 0:
                    count(row, of, limits, -1)
    return Filled(items, propensities, spares, drawn, pools, chances, refused)


@compiled
def _walk(order: np.ndarray, at: int, last: int, refused: np.ndarray, into: np.ndarray, of: Of, limits: Limits) -> int:
    """Place the next rows that fit until `into` is full; returns the place in the order behind them."""
    placed = 0
    while placed < len(into) and at < last:
        row = order[at]
        refused[at] = why_not(row, of, limits)
        if refused[at] == FITS:
            place(row, of, limits)
            into[placed] = row
            placed += 1
        at += 1
    return at


@compiled
def _ahead(order: np.ndarray, at: int, last: int, slots: Slots, only_new: bool, of: Of, limits: Limits) -> np.ndarray:
    """Places in the order of the next rows that would each fit, as many as a slot draws from; nothing is placed."""
    for wanted in range(2 if only_new else 1):
        out, found, here = np.empty(slots.pool, np.int64), 0, at
        while found < slots.pool and here < last:
            row = order[here]
            new = not only_new or wanted == 1 or slots.is_new[row]
            if new and why_not(row, of, limits) == FITS:
                out[found] = here
                found += 1
            here += 1
        if found:
            return out[:found]
    return out[:0]


@compiled
def _lay(
    items: np.ndarray,
    propensities: np.ndarray,
    fixed: np.ndarray,
    drawn: np.ndarray,
    pools: np.ndarray,
    chances: np.ndarray,
    slots: np.ndarray,
) -> None:
    """Lay drawn tracks at their slots and the fixed ones, in order, at the others, without gaps."""
    at = used = 0
    for position in range(1, len(items) + 1):
        slot = np.searchsorted(slots, position)
        if slot < len(slots) and slots[slot] == position:
            if drawn[slot] < 0:
                continue
            items[at] = drawn[slot]
            for where in range(pools.shape[1]):
                if pools[slot, where] == drawn[slot]:
                    propensities[at] = chances[slot, where]
                    break
            at += 1
        elif used < len(fixed) and fixed[used] >= 0:
            items[at] = fixed[used]
            used += 1
            at += 1
