"""Other tracks of the artists one plays, and their new releases, where the catalog knows artists.

    affinity(u, a) = log(1 + max(0, sum over u's tracks j by a of decayed plays_uj + said_ua))
    score(u, i)    = mean over i's credited artists of affinity(u, a), times the source's weight of i

said_ua is 10 plays where u follows a, less 3 for every track by a that u dislikes.

`artists` weighs a track by its own popularity among the artist's tracks, `new_releases` by its age: tracks released in
the last 90 days (a setting), halved every 30. Without artists both find nothing, which costs quality, not correctness.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import polars as pl
from scipy import sparse

from transforms.candidates.base import ProductScores, Source, SourceInputs, strongest_link
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.history import POSITIVE


def affinity(block: Block, catalog: Catalog) -> sparse.csr_matrix:
    """log(1 + decayed plays, and what was said) of each listener and artist, at least 0: [B, artists]."""
    plays = block.matrix(pl.when(POSITIVE > 0).then(pl.col("decayed_plays") + 0.05).otherwise(0.0))
    found = sparse.csr_matrix(plays @ catalog.artists)
    if block.said.height:
        at = block.said["row"].to_numpy(), block.said["artist"].to_numpy()
        found = sparse.csr_matrix(found + sparse.csr_matrix((block.said["plays"].to_numpy(), at), shape=found.shape))
    found.data = np.log1p(np.maximum(found.data, 0.0))
    if block.said.height:
        found.eliminate_zeros()
    return found


@dataclass(frozen=True)
class ArtistTracks(Source):
    """What both sources of this module share.

    Attributes:
        catalog: with artists.
        weight: float32[n_items], 0 = never retrieved.
    """

    catalog: Catalog
    weight: np.ndarray

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


@dataclass(frozen=True)
class Artists(ArtistTracks):
    """The source `artists`."""

    name: ClassVar[str] = "artists"
    reason: ClassVar[str] = "because_you_played"
    precedence: ClassVar[int] = 40
    blended: ClassVar[bool] = True
    blend_weight: ClassVar[float] = 2.0  # alone it reads the catalog; the others repeat one another
    knows_unplayed: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """Of a catalog with artists; their tracks by plays of part `popularity`."""
        popularity = inputs.fitted.get("popularity")
        if popularity is None or not inputs.catalog.artists.shape[1] or not inputs.settings.artists:
            return None
        return cls.by_plays(inputs.catalog, popularity.plays)

    @classmethod
    def by_plays(cls, catalog: Catalog, plays: np.ndarray) -> Self:
        """With `plays` float32[n_items], decayed."""
        return cls(catalog, 1.0 + np.log1p(plays.astype(np.float32)))


@dataclass(frozen=True)
class NewReleases(ArtistTracks):
    """The source `new_releases`, as of a night: what was released in the last days, nothing released after it."""

    name: ClassVar[str] = "new_releases"
    reason: ClassVar[str] = "new_from"
    precedence: ClassVar[int] = 43
    knows_unplayed: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """Of a catalog with artists."""
        if not inputs.catalog.artists.shape[1] or not inputs.settings.new_releases:
            return None
        return cls.within(inputs.catalog, inputs.as_of, inputs.settings.new_for_days)

    @classmethod
    def within(cls, catalog: Catalog, as_of: date, days: int) -> Self:
        """What was released in the last `days`."""
        age = as_of.toordinal() - date(1970, 1, 1).toordinal() - catalog.released_on
        fresh = (catalog.released_on >= 0) & (age >= 0) & (age < days)
        return cls(catalog, np.where(fresh, 0.5 ** (age / 30.0), 0.0).astype(np.float32))
