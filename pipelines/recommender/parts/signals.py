"""The part `signals`: what signals say of each track, by its plays, its listeners and the user's own tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from transforms.signals.profiles import TrackSignals

FILE = "signals.npz"


class SignalsPart(Part):
    """See `transforms.signals.profiles`; the ranker's features read it, no source does."""

    name: ClassVar[str] = "signals"

    def rows(self, evidence: Evidence, so_far: Mapping[str, Any]) -> int:
        """See `Part.rows`."""
        known = evidence.signals
        return 0 if known is None else len(known.sums) + len(known.held)

    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> TrackSignals | None:
        """See `Part.fit`."""
        known = evidence.signals
        if known is None or not known.signals:
            return None
        return TrackSignals.fit(
            known.sums, known.held, known.signals, evidence.vocabulary.rows, len(evidence.vocabulary)
        )

    def save(self, fitted: TrackSignals, folder: Path) -> None:
        """See `Part.save`."""
        fitted.save(folder / FILE)

    def load(self, folder: Path) -> TrackSignals | None:
        """See `Part.load`."""
        path = folder / FILE
        return TrackSignals.load(path) if path.exists() else None
