"""The catalog of a simulated world, as arrays: genres, artists, albums and tracks in one latent space of taste.

A genre is a unit vector; an artist lies near their genre (15% between two); a track lies near its artist.
Popularity of artists falls as a power of rank (Zipf), tracks of an artist are ranked by appeal. Albums are runs of
consecutive track numbers. About 7% of the tracks are further versions of an earlier one: a remaster, mono or clean
edit is the same recording, a live or acoustic take is another. Some tracks credit guests from among the artist's
relatives. Albums come out over decades and go on coming out during the simulated days.

    >>> offsets, members = csr(np.array([1, 0, 1]), 2)
    >>> offsets.tolist(), members.tolist()
    ([0, 1, 3], [1, 0, 2])
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transforms.simulation.draws import uniform, zipf_rank

DIMENSIONS = 12
RELATED = 12
MARKETS = ("US", "GB", "DE", "FR", "BR", "JP", "SE", "IN")
VERSIONS = ("Remastered", "Mono", "Clean", "Live", "Acoustic")
SAME_RECORDING = (True, True, True, False, False)


@dataclass(frozen=True)
class SimulatedCatalog:
    """Arrays a track (length tracks), an artist, an album or a genre. Days are counted from 1970-01-01."""

    track_id: np.ndarray
    artist_of: np.ndarray
    guests: np.ndarray  # int32[tracks, 2], -1 = none
    album_of: np.ndarray
    track_no: np.ndarray
    track_vector: np.ndarray
    appeal: np.ndarray
    released: np.ndarray
    duration_ms: np.ndarray
    explicit: np.ndarray
    markets: np.ndarray  # uint16 bit mask over MARKETS
    original: np.ndarray  # the track this one is a version of, or itself
    version: np.ndarray  # index into VERSIONS, -1 = original
    artist_id: np.ndarray
    artist_vector: np.ndarray
    artist_genre: np.ndarray
    second_genre: np.ndarray
    popularity: np.ndarray
    related: np.ndarray  # int32[artists, RELATED]
    artist_start: np.ndarray  # CSR of an artist's own original tracks, most appealing first
    artist_tracks: np.ndarray
    release_key: np.ndarray  # albums sorted by artist and release, artist * 2**20 + day
    release_album: np.ndarray
    album_start: np.ndarray
    album_size: np.ndarray
    genre_vector: np.ndarray
    genre_weight: np.ndarray
    genre_start: np.ndarray  # CSR of a genre's artists
    genre_artists: np.ndarray
    genre_mass: np.ndarray  # cumulative weight along genre_artists, with a leading 0

    @property
    def tracks(self) -> int:
        """Number of tracks."""
        return len(self.track_id)

    def artist_in_genre(self, keys: np.ndarray, purpose: str, genre: np.ndarray) -> np.ndarray:
        """An artist of each genre, drawn by (flattened) popularity."""
        low, high = self.genre_mass[self.genre_start[genre]], self.genre_mass[self.genre_start[genre + 1]]
        at = np.searchsorted(self.genre_mass, low + uniform(keys, purpose) * (high - low), side="right") - 1
        return self.genre_artists[np.clip(at, self.genre_start[genre], self.genre_start[genre + 1] - 1)]

    def track_of_artist(self, keys: np.ndarray, purpose: str, artist: np.ndarray) -> np.ndarray:
        """A track of each artist, their most appealing ones most often."""
        start = self.artist_start[artist]
        return self.artist_tracks[start + zipf_rank(keys, purpose, self.artist_start[artist + 1] - start)]

    def newest_album(self, artist: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The artist's newest album out by the day, and its age in days (large when there is none)."""
        at = np.searchsorted(self.release_key, artist.astype(np.int64) * 2**20 + day, side="right") - 1
        found = self.release_key[np.maximum(at, 0)]
        mine = (at >= 0) & (found // 2**20 == artist)
        return self.release_album[np.maximum(at, 0)], np.where(mine, day - found % 2**20, 2**20)

    def playable(self, track: np.ndarray, day: np.ndarray, market: np.ndarray, explicit_ok: np.ndarray) -> np.ndarray:
        """Whether each track is out, licensed in the market and fit for the listener."""
        licensed = (self.markets[track] >> market.astype(np.uint16)) & np.uint16(1) == 1
        return (self.released[track] <= day) & licensed & (explicit_ok | ~self.explicit[track])


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors scaled to length one, float32."""
    return (vectors / np.sqrt(np.square(vectors).sum(axis=-1, keepdims=True))).astype(np.float32)


def csr(groups: np.ndarray, size: int, *order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start offsets [size + 1] and members of each group, in the given order inside a group."""
    members = np.lexsort((*order[::-1], groups))
    return np.searchsorted(groups[members], np.arange(size + 1)), members.astype(np.int32)
