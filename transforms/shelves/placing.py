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
from transforms.shelves.exploration import THOMPSON, draw, probabilities, thompson
from transforms.shelves.tracks import Tracks
from transforms.shelves.variety import Tastes, Weights, divergence, likeness

FITS, IS_TAKEN, ARTIST, ALBUM, TAG, QUOTA, SONG = 0, 1, 2, 3, 4, 5, 6


class Counted(NamedTuple):
    """What caps count: of every track its artists, its album and its tags, and how many of each are placed.

    Attributes:
        artist_bounds, artists, tag_bounds, tags: bags (see `tracks.Bag`).
        album, song: int32 by track, -1 unknown.
        by_artist, by_album, by_tag, by_song: int32 counts, all 0 between two shelves.
    """

    artist_bounds: np.ndarray
    artists: np.ndarray
    tag_bounds: np.ndarray
    tags: np.ndarray
    album: np.ndarray
    song: np.ndarray
    by_artist: np.ndarray
    by_album: np.ndarray
    by_tag: np.ndarray
    by_song: np.ndarray

    @classmethod
    def of(cls, tracks: Tracks) -> Counted:
        """Nothing placed yet."""
        albums, songs = (int(codes.max()) + 1 if len(tracks) else 0 for codes in (tracks.album, tracks.song))
        sizes = (len(tracks.artists.names), albums, len(tracks.tags.names), songs)
        zeros = [np.zeros(max(n, 1), np.int32) for n in sizes]
        return cls(
            tracks.artists.bounds,
            tracks.artists.codes,
            tracks.tags.bounds,
            tracks.tags.codes,
            tracks.album,
            tracks.song,
            *zeros,
        )


class Of(NamedTuple):
    """A block's rows, as a walk reads them.

    Attributes:
        track, piece: int32 by row.
        taken: bool by piece, whether the surface holds it; what is placed is added.
        counted: of caps.
        tastes: of variety.
        listener_hash: uint64 by listener; track_hash: uint64 by track.
    """

    track: np.ndarray
    piece: np.ndarray
    taken: np.ndarray
    counted: Counted
    tastes: Tastes
    listener_hash: np.ndarray
    track_hash: np.ndarray


class Caps(NamedTuple):
    """Tracks of one artist, album, tag and song on a shelf at most; 0 = any number."""

    artist: int = 0
    album: int = 0
    tag: int = 0
    song: int = 0


class Limits(NamedTuple):
    """What keeps a row off a shelf that is being filled, beside what is taken.

    Attributes:
        caps: of artists, albums and tags.
        source: int8 by row, place of its source among those the shelf names; most: int32 by source, 0 = any number;
            placed: int32 by source, all 0 between two shelves. Empty arrays: the shelf names no sources.
    """

    caps: Caps
    source: np.ndarray
    most: np.ndarray
    placed: np.ndarray

    @classmethod
    def of(cls, caps: Caps) -> Limits:
        """Caps alone."""
        return cls(caps, np.zeros(0, np.int8), np.zeros(0, np.int32), np.zeros(0, np.int32))


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
def why_not(row: int, of: Of, limits: Limits) -> int:  # noqa: PLR0911 (a compiled loop)
    """`FITS`, or what keeps the row off."""
    if of.taken[of.piece[row]]:
        return IS_TAKEN
    t, counted, caps = of.track[row], of.counted, limits.caps
    if caps.artist:
        for at in range(counted.artist_bounds[t], counted.artist_bounds[t + 1]):
            if counted.by_artist[counted.artists[at]] >= caps.artist:
                return ARTIST
    if caps.album and counted.album[t] >= 0 and counted.by_album[counted.album[t]] >= caps.album:
        return ALBUM
    if caps.song and counted.song[t] >= 0 and counted.by_song[counted.song[t]] >= caps.song:
        return SONG
    if caps.tag:
        for at in range(counted.tag_bounds[t], counted.tag_bounds[t + 1]):
            if counted.by_tag[counted.tags[at]] >= caps.tag:
                return TAG
    if len(limits.source):
        source = limits.source[row]
        if source >= 0 and limits.most[source] and limits.placed[source] >= limits.most[source]:
            return QUOTA
    return FITS


@compiled
def fills_up(row: int, of: Of, limits: Limits) -> bool:
    """Whether something that the placed row counts for has reached its cap, so that others may no longer fit."""
    t, counted, caps = of.track[row], of.counted, limits.caps
    if caps.artist:
        for at in range(counted.artist_bounds[t], counted.artist_bounds[t + 1]):
            if counted.by_artist[counted.artists[at]] >= caps.artist:
                return True
    if caps.album and counted.album[t] >= 0 and counted.by_album[counted.album[t]] >= caps.album:
        return True
    if caps.song and counted.song[t] >= 0 and counted.by_song[counted.song[t]] >= caps.song:
        return True
    if caps.tag:
        for at in range(counted.tag_bounds[t], counted.tag_bounds[t + 1]):
            if counted.by_tag[counted.tags[at]] >= caps.tag:
                return True
    if len(limits.source):
        source = limits.source[row]
        return bool(source >= 0 and limits.most[source] and limits.placed[source] >= limits.most[source])
    return False


@compiled
def count(row: int, of: Of, limits: Limits, by: int) -> None:
    """Count the row's artists, album, song, tags and source; `by` is 1, or -1 to take the row back."""
    t, counted = of.track[row], of.counted
    for at in range(counted.artist_bounds[t], counted.artist_bounds[t + 1]):
        counted.by_artist[counted.artists[at]] += by
    if counted.album[t] >= 0:
        counted.by_album[counted.album[t]] += by
    if counted.song[t] >= 0:
        counted.by_song[counted.song[t]] += by
    for at in range(counted.tag_bounds[t], counted.tag_bounds[t + 1]):
        counted.by_tag[counted.tags[at]] += by
    if len(limits.source) and limits.source[row] >= 0:
        limits.placed[limits.source[row]] += by


@compiled
def place(row: int, of: Of, limits: Limits) -> None:
    """Take the row's recording and count it."""
    of.taken[of.piece[row]] = True
    count(row, of, limits, 1)


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
    gone, full = np.int64(-1), False
    while placed < len(into):
        # What no longer fits leaves the window, and the next of the order come in. While nothing is full, it is what was taken.
        kept = 0
        for k in range(found):
            if full or piece[order[near[k]]] == gone:
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
        gone, full = piece[row], fills_up(row, of, limits)
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
