"""How the simulated catalog comes to be; what it is stands in `catalog.py`.

Genres first, then artists near them, albums of artists, original tracks of albums, and last the further versions of
some tracks, in albums of their own. Each thing is drawn by its own key, so the catalog is the same wherever it is
built.

    >>> catalog = build_catalog(SimulationSettings(listeners=1, tracks=100, days=7))
    >>> catalog.tracks, int(catalog.track_no.min())
    (100, 1)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from transforms.simulation.catalog import DIMENSIONS, MARKETS, RELATED, VERSIONS, SimulatedCatalog, csr, unit
from transforms.simulation.draws import child, geometric, ids, normal, normals, pick, root, uniform
from transforms.simulation.settings import SimulationSettings

VERSION_SHARE = 0.07
_CLEAN, _LIVE = VERSIONS.index("Clean"), VERSIONS.index("Live")
_TRACKS_AN_ARTIST = 14


@dataclass(frozen=True)
class _Artists:
    key: np.ndarray
    genre: np.ndarray
    second: np.ndarray
    vector: np.ndarray
    popularity: np.ndarray
    related: np.ndarray
    genre_vector: np.ndarray
    genre_weight: np.ndarray
    genre_start: np.ndarray
    genre_members: np.ndarray
    genre_key: np.ndarray


@dataclass(frozen=True)
class _Albums:
    key: np.ndarray
    size: np.ndarray
    artist: np.ndarray
    released: np.ndarray
    markets: np.ndarray


@dataclass(frozen=True)
class _Originals:
    """Arrays over the original tracks; `by_artist` is a CSR of each artist's, most appealing first."""

    key: np.ndarray
    album: np.ndarray
    artist: np.ndarray
    vector: np.ndarray
    appeal: np.ndarray
    duration_ms: np.ndarray
    explicit: np.ndarray
    guests: np.ndarray
    by_artist: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Versions:
    """Further versions: of which track, which kind, and their albums (numbered from 0)."""

    original: np.ndarray
    kind: np.ndarray
    album: np.ndarray
    album_size: np.ndarray
    released: np.ndarray
    longer: np.ndarray


@lru_cache(maxsize=2)
def build_catalog(settings: SimulationSettings) -> SimulatedCatalog:
    """The catalog of a world: a function of seed, number of tracks, days and end date."""
    later = int(settings.tracks * VERSION_SHARE)
    sizes = _album_sizes(settings.seed, settings.tracks - later)
    artists = _artists(settings, int(np.clip((settings.tracks - later) // _TRACKS_AN_ARTIST, 1, len(sizes))))
    albums = _albums(settings, sizes, artists)
    own = _originals(settings, artists, albums)
    more = _versions(settings, later, artists, albums, own)

    album_of = np.concatenate([own.album, len(sizes) + more.album]).astype(np.int32)
    album_size = np.concatenate([sizes, more.album_size]).astype(np.int32)
    album_start = np.cumsum(album_size, dtype=np.int64) - album_size
    key = child(root(settings.seed, "track"), np.arange(settings.tracks))
    longer = (own.duration_ms[more.original] * more.longer).astype(np.int64)
    release_key = albums.artist.astype(np.int64) * 2**20 + albums.released
    by_release = np.argsort(release_key, kind="stable")
    return SimulatedCatalog(
        track_id=ids("t", key),
        artist_of=_both(own.artist, more.original),
        guests=_both(own.guests, more.original),
        album_of=album_of,
        track_no=(np.arange(settings.tracks) - album_start[album_of] + 1).astype(np.int32),
        track_vector=_both(own.vector, more.original),
        appeal=np.concatenate([own.appeal, own.appeal[more.original] - 0.5]).astype(np.float32),
        released=np.concatenate([albums.released[own.album], more.released]),
        duration_ms=np.concatenate([own.duration_ms, longer + geometric(key[len(own.key) :], "pad", 900.0)]).astype(
            np.int32
        ),
        explicit=np.concatenate([own.explicit, own.explicit[more.original] & (more.kind != _CLEAN)]),
        markets=_both(albums.markets[own.album], more.original),
        original=np.concatenate([np.arange(len(own.key)), more.original]).astype(np.int64),
        version=np.concatenate([np.full(len(own.key), -1), more.kind]).astype(np.int8),
        artist_id=ids("a", artists.key),
        artist_vector=artists.vector,
        artist_genre=artists.genre,
        second_genre=artists.second,
        popularity=artists.popularity,
        related=artists.related,
        artist_start=own.by_artist[0],
        artist_tracks=own.by_artist[1],
        release_key=release_key[by_release],
        release_album=by_release,
        album_start=album_start,
        album_size=album_size,
        genre_vector=artists.genre_vector,
        genre_weight=artists.genre_weight,
        genre_start=artists.genre_start,
        genre_artists=artists.genre_members,
        genre_mass=np.concatenate([[0.0], np.cumsum(artists.popularity[artists.genre_members] ** 0.8)]),
    )


def _both(originals: np.ndarray, of: np.ndarray) -> np.ndarray:
    """A value of the originals, and for the versions that of the track they are a version of."""
    return np.concatenate([originals, originals[of]])


def _artists(settings: SimulationSettings, count: int) -> _Artists:
    genres = int(np.clip(np.sqrt(settings.tracks) / 5, 4, 40))
    genre_key = child(root(settings.seed, "genre"), np.arange(genres))
    genre_vector = unit(normals(genre_key, "vector", DIMENSIONS))
    weight = (np.arange(genres) + 3.0) ** -0.7
    key = child(root(settings.seed, "artist"), np.arange(count))
    rank = np.argsort(np.argsort(uniform(key, "rank"), kind="stable"), kind="stable")
    genre = pick(key, "genre", weight).astype(np.int32)
    second = pick(key, "second", weight).astype(np.int32)
    second = np.where(uniform(key, "crosses") < 0.15, second, genre).astype(np.int32)
    centre = unit(0.6 * genre_vector[genre] + 0.4 * genre_vector[second])
    vector = unit(0.8 * centre + 0.6 * unit(normals(key, "style", DIMENSIONS)))
    start, members = csr(genre, genres, rank)
    return _Artists(
        key=key,
        genre=genre,
        second=second,
        vector=vector,
        popularity=(rank + 3.0) ** -0.9,
        related=_relatives(key, vector, start, members),
        genre_vector=genre_vector,
        # A genre in which nobody plays cannot be liked.
        genre_weight=np.where(np.diff(start) > 0, weight, 0.0),
        genre_start=start,
        genre_members=members,
        genre_key=genre_key,
    )


def _relatives(key: np.ndarray, vector: np.ndarray, start: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Each artist's nearest artists of the same genre, nearest first; small genres repeat."""
    related = np.empty((len(vector), RELATED), dtype=np.int32)
    for low, high in pairwise(start.tolist()):
        mine = members[low:high]
        if len(mine) == 0:
            continue
        # Not a BLAS product: its last bits depend on the number of threads, and the order must not.
        likeness = np.einsum("id,jd->ij", vector[mine], vector[mine])
        np.fill_diagonal(likeness, -2.0)
        width = min(RELATED, max(1, len(mine) - 1))
        nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :width]
        related[mine] = mine[nearest[:, np.arange(RELATED) % width]]
    # One relative in ten is a surprise, so that genres touch.
    each = child(key[:, None], np.arange(RELATED)[None, :])
    other = (uniform(each, "other") * len(vector)).astype(np.int32)
    return np.where(uniform(each, "surprise") < 0.1, other, related)


def _album_sizes(seed: int, tracks: int) -> np.ndarray:
    """Album sizes that sum to `tracks`: singles, short records and long ones."""
    key = child(root(seed, "album"), np.arange(tracks))
    kind = pick(key, "kind", np.array([0.35, 0.15, 0.5]))
    size = np.choose(kind, [1, 3 + pick(key, "short", np.ones(3)), 8 + pick(key, "long", np.ones(7))])
    ends = np.cumsum(size)
    count = int(np.searchsorted(ends, tracks)) + 1
    size = size[:count].copy()
    size[-1] -= ends[count - 1] - tracks
    return size.astype(np.int32)


def _albums(settings: SimulationSettings, sizes: np.ndarray, artists: _Artists) -> _Albums:
    count = len(sizes)
    key = child(root(settings.seed, "album"), np.arange(count))
    # Everybody has one; the rest go to the popular more often.
    first = np.arange(count) < len(artists.key)
    artist = np.where(first, np.arange(count), pick(key, "artist", artists.popularity**0.6))
    age = 1 + np.floor(-np.log1p(-uniform(key, "age")) * 3000).astype(np.int64)
    fresh = uniform(key, "fresh") < min(0.3, 0.01 + 0.0006 * settings.days)
    during = np.floor(uniform(key, "during") * settings.days).astype(np.int64)
    everywhere = 2 ** len(MARKETS) - 1
    some = 1 + (uniform(key, "mask") * everywhere).astype(np.int64)
    return _Albums(
        key=key,
        size=sizes,
        artist=artist.astype(np.int32),
        released=np.where(fresh, settings.first_day + during, settings.first_day - np.minimum(age, 20_000)),
        markets=np.where(uniform(key, "licensed") < 0.92, everywhere, some).astype(np.uint16),
    )


def _originals(settings: SimulationSettings, artists: _Artists, albums: _Albums) -> _Originals:
    album = np.repeat(np.arange(len(albums.size), dtype=np.int32), albums.size)
    artist = albums.artist[album]
    key = child(root(settings.seed, "track"), np.arange(len(album)))
    appeal = normal(key, "appeal").astype(np.float32)
    seconds = np.exp(normal(key, "length") * 0.28 + np.log(212.0))
    seconds = seconds * (0.9 + 0.3 * uniform(artists.genre_key, "tempo"))[artists.genre[artist]]
    rude = (uniform(artists.genre_key, "rude") ** 2 * 0.5)[artists.genre[artist]]
    guest = uniform(key, "guest")
    first, second = (
        artists.related[artist, (uniform(key, name) * RELATED).astype(np.int64)] for name in ("guest 1", "guest 2")
    )
    first = np.where((guest < 0.1) & (first != artist), first, -1)
    second = np.where((guest < 0.02) & (first >= 0) & (second != artist) & (second != first), second, -1)
    return _Originals(
        key=key,
        album=album,
        artist=artist,
        vector=unit(artists.vector[artist] + 0.35 * unit(normals(key, "vector", DIMENSIONS))),
        appeal=appeal,
        duration_ms=(1000 * np.clip(seconds, 45, 1200)).astype(np.int32),
        explicit=uniform(key, "explicit") < rude,
        guests=np.stack([first, second], axis=1).astype(np.int32),
        by_artist=csr(artist, len(artists.key), -appeal),
    )


def _versions(
    settings: SimulationSettings, count: int, artists: _Artists, albums: _Albums, own: _Originals
) -> _Versions:
    key = child(root(settings.seed, "track"), np.arange(len(own.key), len(own.key) + count))
    start, members = own.by_artist
    hit = members[start[pick(key, "of", artists.popularity)]]
    of = np.where(uniform(key, "any") < 0.8, (uniform(key, "which") * len(own.key)).astype(np.int64), hit)
    kind = pick(key, "version", np.array([0.4, 0.1, 0.15, 0.25, 0.1]))
    kind = np.where((kind == _CLEAN) & ~own.explicit[of], 0, kind)
    # Only live takes come more than once.
    order = np.lexsort((of, kind))
    twice = np.zeros(count, dtype=bool)
    twice[order[1:]] = (np.diff(of[order]) == 0) & (np.diff(kind[order]) == 0)
    kind = np.where(twice, _LIVE, kind)
    # One album an artist and kind, in the order of the originals.
    order = np.lexsort((of, kind, own.artist[of]))
    of, kind = of[order], kind[order]
    _, album = np.unique(own.artist[of].astype(np.int64) * len(VERSIONS) + kind, return_inverse=True)
    size = np.bincount(album)
    newest = np.zeros(len(size), dtype=np.int64)
    np.maximum.at(newest, album, albums.released[own.album][of])
    album_key = child(root(settings.seed, "extra album"), np.arange(len(size)))
    out = newest + (uniform(album_key, "later") * 2500).astype(np.int64)
    out = np.where(out >= settings.first_day + settings.days, newest, out)
    return _Versions(
        original=of,
        kind=kind,
        album=album,
        album_size=size,
        released=out[album],
        longer=np.array([1.0, 1.0, 1.0, 1.12, 0.97])[kind],
    )
