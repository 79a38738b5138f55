"""What keeps a track off a shelf that is being filled: it is taken already, or a cap or a source's quota is full.

A collaboration counts for each of its artists, and a track for each of its tags.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from transforms.common.compiled import compiled
from transforms.shelves.tracks import Tracks
from transforms.shelves.variety import Tastes

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


@compiled
def why_not(row: int, of: Of, limits: Limits) -> int:
    """`FITS`, or what keeps the row off."""
    return IS_TAKEN if of.taken[of.piece[row]] else full(row, of, limits)


@compiled
def full(row: int, of: Of, limits: Limits) -> int:
    """`FITS`, or what the row counts for that has reached its cap."""
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
