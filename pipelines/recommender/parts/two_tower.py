"""The part `two_tower`: a query tower over histories and an item tower over ids and content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from models.settings import HistorySettings
from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from transforms.candidates.blocks import Block
from transforms.candidates.two_tower import TwoTower

FOLDER = "two_tower"


@dataclass(frozen=True)
class Towers:
    """A fitted model with the histories that it reads.

    Attributes:
        model: `models.two_tower.TwoTower`.
        history: how a history is cut and weighed.
    """

    model: Any
    history: HistorySettings

    @property
    def items(self) -> np.ndarray:
        """float32 [n, d]: the item tower's output."""
        return np.asarray(self.model.items)

    def embed(self, block: Block) -> np.ndarray:
        """The query tower's vectors of a block's listeners, float32 [B, d]."""
        from models.histories import matrix

        played = block.history.filter(pl.col("last_age").is_not_null() & (pl.col("heard") > 0))
        when = (-played["last_age"] * 86_400_000).cast(pl.Int64).to_numpy()
        shape = (len(block), block.n_items)
        rows = matrix(played["row"].to_numpy(), played["item"].to_numpy(), when, shape, self.history)
        return np.asarray(self.model.embed(rows))


class TwoTowerPart(Part):
    """See `models.two_tower`; starts from `als`."""

    name: ClassVar[str] = "two_tower"
    sources = (TwoTower,)

    @property
    def wanted(self) -> bool:
        """See `Part.wanted`."""
        return self.settings.use_two_tower

    def rows(self, evidence: Evidence, so_far: Mapping[str, Any]) -> int:
        """See `Part.rows`."""
        return len(evidence.plays)

    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> Towers | None:
        """See `Part.fit`."""
        from models import two_tower
        from models.histories import examples
        from models.two_tower_data import content_bags

        settings, vocabulary = self.settings, evidence.vocabulary
        plays = evidence.plays.with_columns(pl.Series("item", vocabulary.rows(evidence.plays["track_id"])))
        histories, targets = examples(plays, len(vocabulary), settings.history, seed)
        if not histories.shape[0]:
            return None
        content = two_tower.Content(content_bags(evidence.tracks, vocabulary))
        kept = evidence.checkpoints.under(FOLDER) if evidence.checkpoints is not None else None
        start = so_far["als"].item_factors
        model = two_tower.fit(histories, targets, content, settings.two_tower, seed, kept, start=start)
        return Towers(model, settings.history)

    def save(self, fitted: Towers, folder: Path) -> None:
        """See `Part.save`."""
        fitted.model.save(folder / FOLDER)

    def load(self, folder: Path) -> Towers | None:
        """See `Part.load`."""
        if not (folder / FOLDER).is_dir():
            return None
        from models.two_tower import TwoTower as Model

        return Towers(Model.load(folder / FOLDER), self.settings.history)

    def vectors(self, fitted: Towers) -> np.ndarray:
        """See `Part.vectors`."""
        return np.asarray(fitted.items, np.float32)

    def queries(self, fitted: Towers, evidence: Evidence, listeners: np.ndarray) -> np.ndarray:
        """See `Part.queries`: by the plays that the fit read, in their order."""
        from models.histories import matrix

        hashes = pl.DataFrame({"listener": evidence.listeners.gather(listeners), "row": np.arange(len(listeners))})
        plays = evidence.plays.with_row_index("when").join(hashes, on="listener", maintain_order="left")
        items, shape = evidence.vocabulary.rows(plays["track_id"]), (len(listeners), len(evidence.vocabulary))
        rows = matrix(plays["row"].to_numpy(), items, plays["when"].to_numpy(), shape, self.settings.history)
        return np.asarray(fitted.model.embed(rows))

    def metrics(self, fitted: Towers) -> dict[str, float]:
        """See `Part.metrics`."""
        return {"two_tower_loss": fitted.model.losses[-1]} if fitted.model.losses else {}
