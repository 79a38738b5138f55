"""The part `ease`: what predicts a track beside everything else in its neighbourhood."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from scipy import sparse

from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from transforms.candidates.ease import Ease, fit_ease
from transforms.common.arrays import from_csr, load_arrays, save_arrays, to_csr

FILE = "ease.npz"


class EasePart(Part):
    """See `transforms.candidates.ease`; reads `neighbours`."""

    name: ClassVar[str] = "ease"
    sources = (Ease,)

    @property
    def wanted(self) -> bool:
        """See `Part.wanted`."""
        return self.settings.use_ease

    def rows(self, evidence: Evidence, so_far: Mapping[str, Any]) -> int:
        """See `Part.rows`."""
        return int(so_far["neighbours"].shared.nnz)

    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> sparse.csr_matrix:
        """See `Part.fit`."""
        near = so_far["neighbours"]
        return fit_ease(near.shared.T.tocsr(), near.own, self.settings.ease, self.settings.neighbours.power)

    def save(self, fitted: sparse.csr_matrix, folder: Path) -> None:
        """See `Part.save`."""
        save_arrays(folder / FILE, from_csr("weights", fitted))

    def load(self, folder: Path) -> sparse.csr_matrix | None:
        """See `Part.load`."""
        path = folder / FILE
        return to_csr("weights", load_arrays(path)) if path.exists() else None
