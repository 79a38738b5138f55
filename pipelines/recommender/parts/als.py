"""The part `als`: iALS over all pairs of listener and track."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from transforms.candidates.als import Als


class AlsPart(Part):
    """See `models.als`."""

    name: ClassVar[str] = "als"
    sources = (Als,)

    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> Any:
        """See `Part.fit`."""
        from models.als import Als as Model

        at = evidence.heard.tocoo()
        listeners, tracks = evidence.heard.shape
        return Model.fit(at.row, at.col, at.data, listeners, tracks, self.settings.als, seed)

    def save(self, fitted: Any, folder: Path) -> None:
        """See `Part.save`."""
        fitted.save(folder / "als")

    def load(self, folder: Path) -> Any:
        """See `Part.load`."""
        from models.als import Als as Model

        return Model.load(folder / "als")

    def vectors(self, fitted: Any) -> np.ndarray:
        """See `Part.vectors`."""
        return np.asarray(fitted.item_factors, np.float32)

    def queries(self, fitted: Any, evidence: Evidence, listeners: np.ndarray) -> np.ndarray:
        """See `Part.queries`."""
        return np.asarray(fitted.fold_in(evidence.heard[listeners]))
