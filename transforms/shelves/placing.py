"""Placing: one listener's shelf filled in order, under caps and without repeats on its surface.

The order of work is what makes propensities true: rules have chosen the pool, the fixed slots are filled, and only then
does each open slot draw, given everything placed before it. Afterwards nothing moves or drops; spares follow from what
still fits. A slot whose pool is empty stays out, which happens only when everything that fits is placed, so the shelf just
ends earlier and drawn tracks keep their slot.

A track that does not fit now never fits later (counts and what is taken only grow), so one walk down the order is exact.
A collaboration counts for each of its artists, and a track for each of its tags.

Example, artist cap 1: [a: Ann], [b: Ann & Bob], [c: Bob] gives a, c: b is refused for Ann and leaves Bob free.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from transforms.common.compiled import compiled
from transforms.shelves.exploration import draw, probabilities
from transforms.shelves.tracks import Tracks

FITS, IS_TAKEN, ARTIST, ALBUM, TAG = 0, 1, 2, 3, 4


class Counted(NamedTuple):
    """What caps count: of every track its artists, its album and its tags, and how many of each are placed.

    Attributes:
        artist_bounds, artists, tag_bounds, tags: bags (see `tracks.Bag`).
        album: int32 by track, -1 unknown.
        by_artist, by_album, by_tag: int32 counts, all 0 between two shelves.
    """

    artist_bounds: np.ndarray
    artists: np.ndarray
    tag_bounds: np.ndarray
    tags: np.ndarray
    album: np.ndarray
    by_artist: np.ndarray
    by_album: np.ndarray
    by_tag: np.ndarray

    @classmethod
    def of(cls, tracks: Tracks) -> Counted:
        """Nothing placed yet."""
        albums = int(tracks.album.max()) + 1 if len(tracks) else 0
        zeros = [np.zeros(max(n, 1), np.int32) for n in (len(tracks.artists.names), albums, len(tracks.tags.names))]
        return cls(
            tracks.artists.bounds, tracks.artists.codes, tracks.tags.bounds, tracks.tags.codes, tracks.album, *zeros
        )


class Caps(NamedTuple):
    """Tracks of one artist, album and tag on a shelf at most; 0 = any number."""

    artist: int
    album: int
    tag: int


class Draws(NamedTuple):
    """How open slots are drawn: see `exploration`."""

    pool: int
    epsilon: float
    tau: float


class Filled(NamedTuple):
    """Shelves filled.

    Attributes:
        items: int64 [n, size], rows in order; -1 after the last.
        propensities: float64 [n, size], NaN where not drawn.
        spares: int64 [n, spares], likewise.
        drawn: int64 [n, slots], the row that each slot drew, -1 where none.
        pools: int64 [n, slots, pool], rows it drew from, -1 after the last; chances: float64, their probabilities.
        walked: int64 [n], rows of the order that were placed or refused.
        refused: int8 by place in the order: 0, or why the walk refused the row.
    """

    items: np.ndarray
    propensities: np.ndarray
    spares: np.ndarray
    drawn: np.ndarray
    pools: np.ndarray
    chances: np.ndarray
    walked: np.ndarray
    refused: np.ndarray


@compiled
def why_not(row: int, track: np.ndarray, piece: np.ndarray, taken: np.ndarray, counted: Counted, caps: Caps) -> int:
    """`FITS`, or what keeps the row off."""
    if taken[piece[row]]:
        return IS_TAKEN
    t = track[row]
    if caps.artist:
        for at in range(counted.artist_bounds[t], counted.artist_bounds[t + 1]):
            if counted.by_artist[counted.artists[at]] >= caps.artist:
                return ARTIST
    if caps.album and counted.album[t] >= 0 and counted.by_album[counted.album[t]] >= caps.album:
        return ALBUM
    if caps.tag:
        for at in range(counted.tag_bounds[t], counted.tag_bounds[t + 1]):
            if counted.by_tag[counted.tags[at]] >= caps.tag:
                return TAG
    return FITS


@compiled
def count(row: int, track: np.ndarray, counted: Counted, by: int) -> None:
    """Count the row's artists, album and tags; `by` is 1, or -1 to take the row back."""
    t = track[row]
    for at in range(counted.artist_bounds[t], counted.artist_bounds[t + 1]):
        counted.by_artist[counted.artists[at]] += by
    if counted.album[t] >= 0:
        counted.by_album[counted.album[t]] += by
    for at in range(counted.tag_bounds[t], counted.tag_bounds[t + 1]):
        counted.by_tag[counted.tags[at]] += by


@compiled
def fill(
    order: np.ndarray,
    bounds: np.ndarray,
    scores: np.ndarray,
    listeners: np.ndarray,
    track: np.ndarray,
    piece: np.ndarray,
    taken: np.ndarray,
    counted: Counted,
    caps: Caps,
    size: int,
    n_spares: int,
    slots: np.ndarray,
    draws: Draws,
    states: np.ndarray,
    listener_hash: np.ndarray,
    track_hash: np.ndarray,
) -> Filled:
    """Fill a shelf for some listeners.

    Args:
        order, bounds, scores: of the shelf's `Pool`.
        listeners: int64[n], whose shelves.
        track, piece: by row.
        taken: bool by piece, whether the surface holds it; what is placed is added.
        counted, caps: of caps.
        size, n_spares: items and spares.
        slots: int64, the open positions, from 1, ascending.
        draws, states: how each slot draws, and where its random numbers start.
        listener_hash: uint64 by listener; track_hash: uint64 by track.
    """
    n, k = len(listeners), len(slots)
    items, spares = np.full((n, size), -1, np.int64), np.full((n, n_spares), -1, np.int64)
    propensities = np.full((n, size), np.nan)
    drawn = np.full((n, k), -1, np.int64)
    pools = np.full((n, k, draws.pool if k else 0), -1, np.int64)
    chances = np.zeros(pools.shape)
    walked, refused = np.zeros(n, np.int64), np.zeros(len(order), np.int8)
    fixed = np.empty(size - k, np.int64)
    for i in range(n):
        at, last = bounds[listeners[i]], bounds[listeners[i] + 1]
        fixed[:] = -1
        at = _walk(order, at, last, refused, fixed, track, piece, taken, counted, caps)
        for slot in range(k):
            near = _ahead(order, at, last, draws.pool, track, piece, taken, counted, caps)
            if len(near) == 0:
                break
            p = probabilities(scores[near], draws.epsilon, draws.tau)
            near = order[near]
            row = near[draw(p, listener_hash[listeners[i]], track_hash[track[near]], states[slot])]
            taken[piece[row]] = True
            count(row, track, counted, 1)
            drawn[i, slot], pools[i, slot, : len(near)], chances[i, slot, : len(near)] = row, near, p
        _lay(items[i], propensities[i], fixed, drawn[i], pools[i], chances[i], slots)
        at = _walk(order, at, last, refused, spares[i], track, piece, taken, counted, caps)
        walked[i] = at - bounds[listeners[i]]
        for part in (items[i], spares[i]):
            for row in part:
                if row >= 0:
                    count(row, track, counted, -1)
    return Filled(items, propensities, spares, drawn, pools, chances, walked, refused)


@compiled
def _walk(
    order: np.ndarray,
    at: int,
    last: int,
    refused: np.ndarray,
    into: np.ndarray,
    track: np.ndarray,
    piece: np.ndarray,
    taken: np.ndarray,
    counted: Counted,
    caps: Caps,
) -> int:
    """Place the next rows that fit until `into` is full; returns the place in the order behind them."""
    placed = 0
    while placed < len(into) and at < last:
        row = order[at]
        refused[at] = why_not(row, track, piece, taken, counted, caps)
        if refused[at] == FITS:
            taken[piece[row]] = True
            count(row, track, counted, 1)
            into[placed] = row
            placed += 1
        at += 1
    return at


@compiled
def _ahead(
    order: np.ndarray,
    at: int,
    last: int,
    most: int,
    track: np.ndarray,
    piece: np.ndarray,
    taken: np.ndarray,
    counted: Counted,
    caps: Caps,
) -> np.ndarray:
    """Places in the order of the next rows that would each fit, at most so many; nothing is placed."""
    out, found = np.empty(most, np.int64), 0
    while found < most and at < last:
        if why_not(order[at], track, piece, taken, counted, caps) == FITS:
            out[found] = at
            found += 1
        at += 1
    return out[:found]


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
            for place in range(pools.shape[1]):
                if pools[slot, place] == drawn[slot]:
                    propensities[at] = chances[slot, place]
                    break
            at += 1
        elif used < len(fixed) and fixed[used] >= 0:
            items[at] = fixed[used]
            used += 1
            at += 1
