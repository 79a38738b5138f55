"""The simulated catalog as the table `tracks` (without `recording_id`, which ingest derives), and its truth.

Titles are two words, unlike within an artist; a version says so in its title, a guest is credited as "(feat. ...)".
Seven tracks in ten have an ISRC: a clean edit, and most remasters, keep their original's.

    >>> settings = SimulationSettings(listeners=1, tracks=100, days=7)
    >>> tracks_frame(settings, build_catalog(settings)).height
    100
"""

from __future__ import annotations

import numpy as np
import polars as pl

from transforms.simulation.catalog import MARKETS, SAME_RECORDING, VERSIONS, SimulatedCatalog
from transforms.simulation.draws import child, root, uniform
from transforms.simulation.settings import SimulationSettings


def _words(text: str) -> list[str]:
    return text.split()


_FIRST = _words(
    """
    Amber Broken Cold Distant Early Fading Golden Hollow Idle Jagged Kindred Lonely Midnight Northern Open
    Paper Quiet Restless Silver Tender Upper Velvet Winter Yellow Secret Crooked Electric Hidden Burning
    Gentle Last Empty Wild Blue Slow Heavy Silent Bright Second Salt Foreign Lucid Marble Neon Plastic Rusty
    Sudden Thin Violet Wooden
    """
)
_SECOND = _words(
    """
    Harbor Mirror River Window Garden Engine Letter Summer Ocean Street Shadow Signal Morning Mountain Station
    Highway Island Weather Dancer Stranger Fire Season Avenue Parade Machine Orchard Rain Bridge Lantern
    Compass Tide Echo Feather Meadow Planet Anthem Pilot Runner Cathedral Desert Kite Ladder Moth Nocturne
    Oracle Pendulum Quarry Satellite Thread Wave
    """
)
_GENRES = _words(
    """
    rock pop hip-hop electronic jazz folk metal soul classical country reggae punk house ambient blues latin
    indie techno funk disco r&b trap drum-and-bass shoegaze bossa-nova ska gospel k-pop afrobeat lo-fi grime
    synthwave bluegrass trance psychedelic opera new-wave dub garage chanson
    """
)


def genre_names(genres: int) -> list[str]:
    """A name for each genre."""
    return [
        _GENRES[g % len(_GENRES)] + (f"-{g // len(_GENRES) + 1}" if g >= len(_GENRES) else "") for g in range(genres)
    ]


def _two_words(index: np.ndarray) -> list[str]:
    """Different indices below 2500 give different names; beyond, a number is added."""
    wide = len(_FIRST) * len(_SECOND)
    return [
        f"{_FIRST[i % wide // len(_SECOND)]} {_SECOND[i % len(_SECOND)]}" + (f" {i // wide + 1}" if i >= wide else "")
        for i in index.tolist()
    ]


def artist_names(catalog: SimulatedCatalog) -> list[str]:
    """A name for each artist, all different."""
    return ["The " + name for name in _two_words(np.arange(len(catalog.artist_id)))]


def tracks_frame(settings: SimulationSettings, catalog: SimulatedCatalog) -> pl.DataFrame:
    """Table `tracks` but for `recording_id`, sorted by track_id."""
    n = catalog.tracks
    keys = child(root(settings.seed, "track"), np.arange(n))
    original, version = catalog.original, catalog.version.astype(np.int64)
    # An artist's tracks step through the words from a start of the artist's own, so no title comes twice.
    nth = np.empty(n, dtype=np.int64)
    nth[catalog.artist_tracks] = (
        np.arange(len(catalog.artist_tracks)) - catalog.artist_start[catalog.artist_of[catalog.artist_tracks]]
    )
    own = original == np.arange(n)
    start = (uniform(child(root(settings.seed, "artist"), catalog.artist_of), "words") * 2500).astype(np.int64)
    words = np.where(own, nth, 0)
    code = (start + words * 1009) % 2500 + words // 2500 * 2500
    names = np.array(_two_words(code), dtype=object)[original]
    performers = artist_names(catalog)
    year = 1970 + catalog.released // 365.2425
    titles = []
    for name, guest, how, when in zip(
        names.tolist(), catalog.guests[:, 0].tolist(), version.tolist(), year.astype(int).tolist(), strict=True
    ):
        credit = f" (feat. {performers[guest]})" if guest >= 0 else ""
        suffix = "" if how < 0 else f" - {VERSIONS[how]}" + (f" {when}" if how == 0 else "")
        titles.append(f"{name}{credit}{suffix}")

    with_isrc = uniform(keys, "isrc") < 0.7
    shares = np.isin(version, (2,)) | ((version == 0) & (uniform(keys, "same isrc") < 0.7))
    isrc_of = np.where(shares, original, np.arange(n))
    with_isrc = np.where(shares, with_isrc[original], with_isrc)
    isrc = [
        f"XS{k >> 40 & 0xFFF:03X}{k % 10**7:07d}" if has else None
        for k, has in zip(keys[isrc_of].tolist(), with_isrc.tolist(), strict=True)
    ]
    artist = pl.Series(catalog.artist_id, dtype=pl.String)
    genres = pl.Series(genre_names(len(catalog.genre_weight)), dtype=pl.String)
    album_keys = child(root(settings.seed, "album id"), np.arange(len(catalog.album_size)))
    albums = pl.Series([f"b{k >> 8:014x}" for k in album_keys.tolist()], dtype=pl.String)
    second = catalog.second_genre[catalog.artist_of]
    style = np.argmax(np.abs(catalog.track_vector), axis=1)
    masks = np.unique(catalog.markets)
    everywhere = 2 ** len(MARKETS) - 1
    lists = {
        int(m): None if m == everywhere else [name for b, name in enumerate(MARKETS) if int(m) >> b & 1] for m in masks
    }
    names_of = pl.Series(performers, dtype=pl.String)
    guests, guest_names = ([values.gather(np.maximum(g, 0)) for g in catalog.guests.T] for values in (artist, names_of))
    frame = pl.DataFrame(
        {
            "track_id": pl.Series(catalog.track_id, dtype=pl.String),
            "title": titles,
            "main": artist.gather(catalog.artist_of),
            "main_name": names_of.gather(catalog.artist_of),
            "name_1": guest_names[0],
            "name_2": guest_names[1],
            "guest_1": guests[0],
            "guest_2": guests[1],
            "album_id": albums.gather(catalog.album_of),
            "disc_no": np.ones(n, dtype=np.int32),
            "track_no": catalog.track_no,
            "released_on": pl.Series(catalog.released.astype(np.int32)).cast(pl.Date),
            "duration_ms": catalog.duration_ms,
            "explicit": catalog.explicit,
            "genre": genres.gather(catalog.artist_genre[catalog.artist_of]),
            "genre_2": genres.gather(second),
            "style": [f"style-{s + 1}" for s in style.tolist()],
            "markets": pl.Series([lists[m] for m in catalog.markets.tolist()], dtype=pl.List(pl.String)),
            "isrc": pl.Series(isrc, dtype=pl.String),
        }
    ).with_columns(
        pl.when(pl.Series(g >= 0)).then(pl.col(name)).alias(name)
        for n, g in enumerate(catalog.guests.T, 1)
        for name in (f"guest_{n}", f"name_{n}")
    )
    return (
        frame.with_columns(
            artist_ids=pl.concat_list("main", "guest_1", "guest_2").list.drop_nulls(),
            artist_names=pl.concat_list("main_name", "name_1", "name_2").list.drop_nulls(),
            tags=pl.concat_list("genre", "genre_2", "style").list.unique(maintain_order=True),
        )
        .select(
            "track_id", "title", "artist_ids", "album_id", "disc_no", "track_no", "released_on", "duration_ms",
            "explicit", "tags", "markets", "isrc", "artist_names", mbid=pl.lit(None, dtype=pl.String),
        )
        .sort("track_id")
    )  # fmt: skip


def true_tracks_frame(catalog: SimulatedCatalog) -> pl.DataFrame:
    """What is true of the tracks: latent vector, appeal, and the track whose recording each is."""
    same = (catalog.version < 0) | np.array(SAME_RECORDING)[np.maximum(catalog.version, 0)]
    names = pl.Series([*VERSIONS, "original"], dtype=pl.String)
    ids = pl.Series(catalog.track_id, dtype=pl.String)
    return pl.DataFrame(
        {
            "track_id": ids,
            "version": names.gather(np.where(catalog.version < 0, len(VERSIONS), catalog.version)),
            "original": ids.gather(catalog.original),
            # Two live takes are two recordings, so other versions stand for themselves.
            "recording_of": ids.gather(np.where(same, catalog.original, np.arange(catalog.tracks))),
            "appeal": catalog.appeal,
            "vector": pl.Series(catalog.track_vector.tolist(), dtype=pl.List(pl.Float32)),
        }
    ).sort("track_id")


def true_artists_frame(catalog: SimulatedCatalog) -> pl.DataFrame:
    """What is true of the artists: name, genres, popularity, latent vector."""
    genres = pl.Series(genre_names(len(catalog.genre_weight)), dtype=pl.String)
    return pl.DataFrame(
        {
            "artist_id": pl.Series(catalog.artist_id, dtype=pl.String),
            "name": artist_names(catalog),
            "genre": genres.gather(catalog.artist_genre),
            "second_genre": genres.gather(catalog.second_genre),
            "popularity": catalog.popularity,
            "vector": pl.Series(catalog.artist_vector.tolist(), dtype=pl.List(pl.Float32)),
        }
    ).sort("artist_id")
