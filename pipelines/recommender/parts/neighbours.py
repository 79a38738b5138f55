"""The part `neighbours`: tracks that stand together in sessions, and that follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from transforms.candidates.co_sessions import CoSessions, LastSession
from transforms.candidates.neighbours import Neighbours, fit_neighbours
from transforms.candidates.next_tracks import NextTracks


class NeighboursPart(Part):
    """See `transforms.candidates.neighbours`."""

    name: ClassVar[str] = "neighbours"
    sources = (CoSessions, LastSession, NextTracks)

    def rows(self, evidence: Evidence, so_far: Mapping[str, Any]) -> int:
        """See `Part.rows`."""
        return len(evidence.pairs)

    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> Neighbours:
        """See `Part.fit`."""
        return fit_neighbours(evidence.pairs, evidence.ids, self.settings.neighbours)

    def save(self, fitted: Neighbours, folder: Path) -> None:
        """See `Part.save`."""
        fitted.save(folder / "neighbours.npz")

    def load(self, folder: Path) -> Neighbours:
        """See `Part.load`."""
        return Neighbours.load(folder / "neighbours.npz")

    def metrics(self, fitted: Neighbours) -> dict[str, float]:
        """See `Part.metrics`."""
        return {"neighbours": float(fitted.together.nnz)}
