"""Tracks nobody has played lately, by what the catalog says of them: artists and tags.

    vector_i    = idf-weighted bag of i's artists and, at half weight, tags, of length one
    score(u, i) = cosine(sum over j heard by u of sqrt(decayed plays_uj) * vector_j, vector_i)     i without plays

Whoever nobody plays has no company, no listeners and no place in a model of plays; the catalog is all there is. Only
tracks without a play in the window are retrieved and scored: of the others, listening says more. `tracks` bounds how many
of them are compared: those by the most played artists first, then the newest. Where the catalog knows neither artists nor
tags there is no such source. Albums and years were tried as parts of the bag and found less on simulated nights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from transforms.candidates import loops
from transforms.candidates.base import Limited, ProductScores, Scores, Source, SourceInputs, largest
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.history import root_decayed, unit_rows

FEATURES = 50  # of a listener
TAGS = 0.5  # weight beside artists


def content_vectors(catalog: Catalog) -> sparse.csr_matrix:
    """Idf-weighted bags of length one: [n_items, 1 + features]; column 0 is empty. Columns of one track are left out."""
    n = len(catalog)
    empty = sparse.csr_matrix((n, 1), dtype=np.float32)
    bag = sparse.hstack([empty, catalog.artists, TAGS * catalog.tags], format="csr", dtype=np.float32)
    tracks = np.bincount(bag.indices, minlength=bag.shape[1])
    idf = np.where(tracks > 1, np.log(n / np.maximum(tracks, 1)), 0.0)
    found = sparse.csr_matrix(bag @ sparse.diags(idf.astype(np.float32)))
    found.eliminate_zeros()
    return unit_rows(found)


@dataclass(frozen=True)
class Content(Source):
    """The source `content`.

    Attributes:
        catalog: aligned to the vocabulary.
        popularity: float32[n_items], decayed plays of the window.
        tracks: unplayed tracks compared at most.
        most: tracks a listener.
    """

    catalog: Catalog
    popularity: np.ndarray
    tracks: int = 20_000
    most: int = 100

    name: ClassVar[str] = "content"
    reason: ClassVar[str] = "similar_to"
    precedence: ClassVar[int] = 44
    knows_unplayed: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """Of a catalog with artists or tags."""
        catalog, popularity = inputs.catalog, inputs.fitted.get("popularity")
        known = (catalog.artists.shape[1] or catalog.tags.shape[1]) and inputs.settings.content
        if popularity is None or not known:
            return None
        return cls(catalog, popularity.plays, inputs.settings.content_tracks)

    @cached_property
    def vectors(self) -> sparse.csr_matrix:
        """Of every track, entries of a row ascending."""
        found = content_vectors(self.catalog)
        found.sort_indices()
        return found

    @cached_property
    def unplayed(self) -> sparse.csr_matrix:
        """The vectors of tracks without plays, as columns, empty for all others: [1 + features, n_items]."""
        of_artist = np.asarray(self.catalog.artists.T @ self.popularity).ravel()
        fame = np.asarray(self.catalog.artists @ of_artist).ravel() if len(of_artist) else np.zeros(len(self.catalog))
        cold = np.flatnonzero((self.popularity <= 0) & (np.diff(self.vectors.indptr) > 0))
        order = np.lexsort((cold, -self.catalog.released_on[cold], -fame[cold]))[: self.tracks]
        kept = np.zeros(len(self.catalog), np.float32)
        kept[cold[order]] = 1.0
        found = sparse.csr_matrix((sparse.diags(kept) @ self.vectors).T)
        found.eliminate_zeros()
        return found

    def profile(self, block: Block) -> sparse.csr_matrix:
        """Each listener's vector of length one, its 50 heaviest features: [B, 1 + features]."""
        return unit_rows(largest(sparse.csr_matrix(root_decayed(block) @ self.vectors), FEATURES))

    def score(self, block: Block) -> Scores:
        """Cosines with the tracks nobody has played."""
        return Limited(ProductScores(self.profile(block), self.unplayed), self.most)

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The heard track most like it, weighed by plays."""
        weights, vectors = loops.parts(root_decayed(block)), loops.parts(self.vectors)
        return loops.closest_at(*weights, *vectors, self.vectors.shape[1], rows, items)
