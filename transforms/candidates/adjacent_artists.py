"""Tracks of artists near the ones one plays: artists that stand in the same sessions.

    near(a, b)  = s_ab / (s_aa s_bb)^power
    towards(u)  = sum over u's dearest artists a of affinity(u, a) * near(a, b)         (`artists.affinity`)
    score(u, i) = mean over i's credited artists b of towards(u)_b, times 1 + log(1 + plays of i)

s_ab sums the co-session mass t_ij over the artists' tracks, so it knows pairs of artists where no pair of tracks was ever
played together. An artist keeps its nearest few, and only an artist's most played tracks are retrieved. Artists one plays
already are `artists`' own, and not among the near ones. Without artists in the catalog there is no such source. Being
heard by the same listeners was tried as nearness too, alone and added; it found less.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl
from pydantic import BaseModel, Field
from scipy import sparse

from transforms.candidates.artists import affinity
from transforms.candidates.base import (
    Limited,
    ProductScores,
    Scores,
    Source,
    SourceInputs,
    largest,
    strongest_link,
)
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.history import POSITIVE
from transforms.common.arrays import from_csr, load_arrays, save_arrays, to_csr

DEAREST = 50  # artists of a listener
TOWARDS = 100  # near artists of a listener


class AdjacencySettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the artists near an artist."""

    per_artist: int = Field(50, ge=1, description="near artists kept an artist")
    power: float = Field(0.5, ge=0, le=1, description="how much widely played artists are held back; 0.5 is the cosine")


@dataclass(frozen=True)
class Adjacency:
    """Which artists are near.

    Attributes:
        artist_keys: object[artists], as in the catalog they were fitted with.
        near: float32 CSR [artists, artists], zero diagonal.
    """

    artist_keys: np.ndarray
    near: sparse.csr_matrix

    def save(self, path: str | Path) -> None:
        """Write one npz without pickles."""
        save_arrays(
            path, {**from_csr("near", self.near), "artist_keys": np.array(self.artist_keys.tolist(), dtype=str)}
        )

    @classmethod
    def load(cls, path: str | Path) -> Adjacency:
        """Read what `save` wrote."""
        found = load_arrays(path)
        return cls(found["artist_keys"].astype(object), to_csr("near", found))

    def aligned(self, catalog: Catalog) -> sparse.csr_matrix:
        """`near` over the artists of a catalog, which may be a later one."""
        size = catalog.artists.shape[1]
        place = pl.DataFrame({"id": self.artist_keys.tolist(), "old": np.arange(len(self.artist_keys))}).join(
            pl.DataFrame({"id": catalog.artist_keys.tolist(), "new": np.arange(size)}), on="id"
        )
        move = sparse.csr_matrix(
            (np.ones(len(place), np.float32), (place["old"], place["new"])), shape=(len(self.artist_keys), size)
        )
        return sparse.csr_matrix(move.T @ self.near @ move)


def fit_adjacency(
    shared: sparse.csr_matrix,
    own: np.ndarray,
    catalog: Catalog,
    settings: AdjacencySettings | None = None,
) -> Adjacency | None:
    """Near artists as of a night; None where no artist is known.

    Args:
        shared, own: co-session mass of pairs of tracks and of tracks, as in `Neighbours`.
        catalog: with artists, aligned to the same vocabulary.
        settings: normalisation and size.
    """
    settings = settings or AdjacencySettings()
    credits = catalog.artists
    if not credits.shape[1]:
        return None
    mass = sparse.csr_matrix(credits.T @ shared @ credits)
    size = np.asarray(credits.T @ own).ravel() + mass.diagonal()
    scale = sparse.diags((np.where(size > 0, size, 1.0) ** -settings.power).astype(np.float32))
    near = sparse.csr_matrix(scale @ mass @ scale, dtype=np.float32)
    near.setdiag(0)
    near.eliminate_zeros()
    return Adjacency(catalog.artist_keys, strongest(near, settings.per_artist))


def strongest(matrix: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """Each row's k largest entries, where column 0 is a column like any other."""
    return sparse.csr_matrix(largest(_padded(matrix), k)[:, 1:])


def _padded(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """An empty column before the first, which stands for none."""
    return sparse.hstack([sparse.csr_matrix((matrix.shape[0], 1), dtype=np.float32), matrix], format="csr")


@dataclass(frozen=True)
class AdjacentArtists(Source):
    """The source `adjacent_artists`.

    Attributes:
        catalog: with artists.
        near: [artists, artists] of that catalog.
        popularity: float32[n_items], decayed plays.
        tracks: most tracks of one artist.
        most: tracks a listener.
    """

    catalog: Catalog
    near: sparse.csr_matrix
    popularity: np.ndarray
    tracks: int = 20
    most: int = 150

    name: ClassVar[str] = "adjacent_artists"
    reason: ClassVar[str] = "near_artist"
    precedence: ClassVar[int] = 41
    knows_unplayed: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """From part `adjacent_artists`, where the catalog has artists."""
        near, popularity = inputs.fitted.get("adjacent_artists"), inputs.fitted.get("popularity")
        if near is None or popularity is None or not inputs.catalog.artists.shape[1]:
            return None
        return cls(inputs.catalog, near.aligned(inputs.catalog), popularity.plays)

    @cached_property
    def by_artist(self) -> sparse.csr_matrix:
        """Each artist's most played tracks, weighted: [artists, n_items]."""
        credits = np.asarray(self.catalog.artists.sum(axis=1)).ravel()
        weight = (1 + np.log1p(self.popularity)) * (self.popularity > 0) / np.maximum(credits, 1)
        weighted = sparse.csr_matrix((sparse.diags(weight.astype(np.float32)) @ self.catalog.artists).T)
        weighted.eliminate_zeros()
        return largest(weighted, self.tracks)

    def towards(self, block: Block) -> sparse.csr_matrix:
        """How near each artist is to each listener's, without those they play: [B, artists]."""
        liked = affinity(block, self.catalog)
        found = sparse.csr_matrix(strongest(liked, DEAREST) @ self.near)
        played = liked.copy()
        played.data[:] = 1.0
        found = sparse.csr_matrix(found - found.multiply(played))
        found.eliminate_zeros()
        return strongest(found, TOWARDS)

    def score(self, block: Block) -> Scores:
        """Nearness times the artists' weighted tracks."""
        return Limited(ProductScores(self.towards(block), self.by_artist), self.most)

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The most played track of the artist that speaks most for one of the candidate's."""
        plays = block.matrix(pl.when(POSITIVE > 0).then(pl.col("decayed_plays") + 0.05).otherwise(0.0))
        distinct, place = np.unique(items, return_inverse=True)
        near = _padded(sparse.csr_matrix(self.catalog.artists[distinct] @ self.near.T))
        artist = strongest_link(_padded(affinity(block, self.catalog)), near, rows, place)
        tracks = sparse.vstack([sparse.csr_matrix((1, len(self.catalog))), self.catalog.artists.T], format="csr")
        return strongest_link(plays, tracks, rows, artist)
