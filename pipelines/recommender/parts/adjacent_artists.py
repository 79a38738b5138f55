"""The part `adjacent_artists`: which artists stand near each other in sessions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from transforms.candidates.adjacent_artists import Adjacency, AdjacentArtists, fit_adjacency
from transforms.candidates.blocks import Catalog

FILE = "artists.npz"


class AdjacentArtistsPart(Part):
    """See `transforms.candidates.adjacent_artists`; reads `neighbours`."""

    name: ClassVar[str] = "adjacent_artists"
    sources = (AdjacentArtists,)

    @property
    def wanted(self) -> bool:
        """See `Part.wanted`."""
        return self.settings.use_adjacent_artists

    def rows(self, evidence: Evidence, so_far: Mapping[str, Any]) -> int:
        """See `Part.rows`."""
        return int(so_far["neighbours"].shared.nnz)

    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> Adjacency | None:
        """See `Part.fit`."""
        near, catalog = so_far["neighbours"], Catalog.build(evidence.ids, evidence.tracks)
        return fit_adjacency(near.shared, near.own, catalog, self.settings.adjacency)

    def save(self, fitted: Adjacency, folder: Path) -> None:
        """See `Part.save`."""
        fitted.save(folder / FILE)

    def load(self, folder: Path) -> Adjacency | None:
        """See `Part.load`."""
        path = folder / FILE
        return Adjacency.load(path) if path.exists() else None
