"""The part `clusters`: listeners grouped by their iALS vectors, and what each group plays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from transforms.candidates.similar_listeners import Clusters, SimilarListeners, fit_clusters


class ClustersPart(Part):
    """See `models.clusters` and `transforms.candidates.similar_listeners`; reads `als`."""

    name: ClassVar[str] = "clusters"
    sources = (SimilarListeners,)

    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> Clusters:
        """See `Part.fit`."""
        from models import clusters

        profiles = self.settings.profiles
        vectors = in_blocks(so_far["als"].fold_in, evidence.heard)
        centroids = clusters.fit(vectors, self.settings.clusters, seed)
        nearest = clusters.assign(vectors, centroids, profiles.overlap)[0]
        return fit_clusters(evidence.heard, nearest, profiles)

    def save(self, fitted: Clusters, folder: Path) -> None:
        """See `Part.save`."""
        fitted.save(folder / "clusters.npz")

    def load(self, folder: Path) -> Clusters:
        """See `Part.load`."""
        return Clusters.load(folder / "clusters.npz")

    def metrics(self, fitted: Clusters) -> dict[str, float]:
        """See `Part.metrics`."""
        return {"clusters": float(max(len(fitted.members) - 1, 0))}


def in_blocks(
    function: Callable[[sparse.csr_matrix], np.ndarray], rows: sparse.csr_matrix, size: int = 4096
) -> np.ndarray:
    """A function of sparse rows, applied a slice at a time."""
    parts = [function(rows[n : n + size]) for n in range(0, rows.shape[0], size)]
    return np.concatenate(parts) if parts else function(rows)
