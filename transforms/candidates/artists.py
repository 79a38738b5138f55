"""Other tracks of the artists one plays, and their new releases, where the catalog knows artists.

    affinity(u, a) = log(1 + sum over u's tracks j by a of decayed plays_uj)
    score(u, i)    = mean over i's credited artists of affinity(u, a), times the source's weight of i

`artists` weighs a track by its own popularity among the artist's tracks, `new_releases` by its age: tracks released in
the last 90 days (a setting), halved every 30. Without artists both find nothing, which costs quality, not correctness.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from scipy import sparse

from transforms.candidates.base import ProductScores, strongest_link
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.history import POSITIVE

NEW_FOR_DAYS = 90  # the default of `candidates.sources.new_for_days`


def affinity(block: Block, catalog: Catalog) -> sparse.csr_matrix:
    """log(1 + decayed plays) of each listener and artist: [B, artists]."""
    plays = block.matrix(pl.when(POSITIVE > 0).then(pl.col("decayed_plays") + 0.05).otherwise(0.0))
    found = sparse.csr_matrix(plays @ catalog.artists)
    found.data = np.log1p(found.data)
    return found


@dataclass(frozen=True)
class ArtistTracks:
    """Both sources of this module.

    Attributes:
        catalog: with artists.
        weight: float32[n_items], 0 = never retrieved.
        name, reason: of the source.
    """

    catalog: Catalog
    weight: np.ndarray
    name: str
    reason: str

    @cached_property
    def by_artist(self) -> sparse.csr_matrix:
        """The artists' weighted tracks: [artists, n_items]."""
        credits = np.asarray(self.catalog.artists.sum(axis=1)).ravel()
        weighted = sparse.diags((self.weight / np.maximum(credits, 1)).astype(np.float32)) @ self.catalog.artists
        by_artist = sparse.csr_matrix(weighted.T)
        by_artist.eliminate_zeros()
        return by_artist

    def score(self, block: Block) -> ProductScores:
        """Affinity times the artists' weighted tracks."""
        return ProductScores(affinity(block, self.catalog), self.by_artist)

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The track by one of the candidate's artists that was played most."""
        plays = block.matrix(pl.when(POSITIVE > 0).then(pl.col("decayed_plays") + 0.05).otherwise(0.0))
        distinct, place = np.unique(items, return_inverse=True)
        same_artist = sparse.csr_matrix(self.catalog.artists[distinct] @ self.catalog.artists.T)
        same_artist.sort_indices()
        return strongest_link(plays, same_artist, rows, place)


def artist_tracks(catalog: Catalog, popularity: np.ndarray) -> ArtistTracks:
    """The source `artists`; `popularity` float32[n_items], decayed plays."""
    return ArtistTracks(catalog, 1.0 + np.log1p(popularity.astype(np.float32)), "artists", "because_you_played")


def new_releases(catalog: Catalog, as_of: date, days: int = NEW_FOR_DAYS) -> ArtistTracks:
    """The source `new_releases`, as of a night: what was released in the last `days`, nothing released after it."""
    age = as_of.toordinal() - date(1970, 1, 1).toordinal() - catalog.released_on
    fresh = (catalog.released_on >= 0) & (age >= 0) & (age < days)
    weight = np.where(fresh, 0.5 ** (age / 30.0), 0.0).astype(np.float32)
    return ArtistTracks(catalog, weight, "new_releases", "new_from")
