"""The part `popularity`: how many listeners each track reaches, by market, and how its plays go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from transforms.candidates.artists import Artists
from transforms.candidates.popular import Audience, Popular, Popularity, fit_popularity


class PopularityPart(Part):
    """See `transforms.candidates.popular`."""

    name: ClassVar[str] = "popularity"
    sources = (Popular, Artists)

    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> Popularity:
        """See `Part.fit`."""
        return fit_popularity(evidence.stats, evidence.recent, evidence.ids, audience(evidence))

    def save(self, fitted: Popularity, folder: Path) -> None:
        """See `Part.save`."""
        fitted.save(folder / "popularity.npz")

    def load(self, folder: Path) -> Popularity:
        """See `Part.load`."""
        return Popularity.load(folder / "popularity.npz")


def audience(evidence: Evidence) -> Audience:
    """Who heard what, by market."""
    pairs, listeners = evidence.library, evidence.listeners
    recency = pairs["recency"].to_numpy() if "recency" in pairs.columns else np.ones(len(pairs))
    names, market = [""], np.zeros(len(listeners), np.int32)
    if evidence.markets is not None and evidence.markets.height:
        known = evidence.markets.unique("listener", keep="first", maintain_order=True)
        found = listeners.to_frame("listener").join(known, on="listener", how="left", maintain_order="left")
        each = found["market"].fill_null("")
        names = each.unique().sort().to_list()
        market = (each.rank("dense").to_numpy() - 1).astype(np.int32)
    return Audience.of(evidence.items, recency, market[evidence.rows], names, len(evidence.vocabulary))
