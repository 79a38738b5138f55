"""The part `sequence`: a self-attentive model of what is played next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl

from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from transforms.candidates.sequence import Sequence

if TYPE_CHECKING:
    from models.sequence_data import Sequences

FOLDER = "sequence"


@dataclass(frozen=True)
class States:
    """A fitted `models.sequence.SequenceModel`, as its source reads it."""

    model: Any

    @property
    def items(self) -> np.ndarray:
        """float32 [n, d]."""
        return np.asarray(self.model.items)

    @property
    def length(self) -> int:
        """Listens that a state looks back on."""
        return int(self.model.settings.length)

    def states(self, items: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """float32 [B, d]: states after listens `seconds` apart, both [B, length], right-aligned."""
        from models.sequence_data import gap_buckets

        gaps = np.where(np.isnan(seconds), 0, gap_buckets(np.nan_to_num(seconds)))
        return np.asarray(self.model.embed(items, gaps.astype(np.int32)))


class SequencePart(Part):
    """See `models.sequence`; starts from `als`."""

    name: ClassVar[str] = "sequence"
    sources = (Sequence,)

    @property
    def wanted(self) -> bool:
        """See `Part.wanted`."""
        return self.settings.use_sequence

    def rows(self, evidence: Evidence, so_far: Mapping[str, Any]) -> int:
        """See `Part.rows`."""
        return len(evidence.plays)

    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> States | None:
        """See `Part.fit`."""
        from models import sequence

        listens = listens_in_order(evidence)
        if listens is None:
            return None
        kept = evidence.checkpoints.under(FOLDER) if evidence.checkpoints is not None else None
        start = so_far["als"].item_factors
        return States(sequence.fit(listens, len(evidence.vocabulary), self.settings.sequence, seed, kept, start=start))

    def save(self, fitted: States, folder: Path) -> None:
        """See `Part.save`."""
        fitted.model.save(folder / FOLDER)

    def load(self, folder: Path) -> States | None:
        """See `Part.load`."""
        if not (folder / FOLDER).is_dir():
            return None
        from models.sequence import SequenceModel

        return States(SequenceModel.load(folder / FOLDER))

    def queries(self, fitted: States, evidence: Evidence, listeners: np.ndarray) -> np.ndarray | None:
        """See `Part.queries`: after each one's last listens."""
        listens = listens_in_order(evidence)
        if listens is None:
            return None
        order = evidence.plays["listener"].unique().sort()
        known = evidence.listeners.gather(listeners)
        rows = order.search_sorted(known.filter(known.is_in(order.implode())))
        return np.asarray(fitted.model.embed(*listens.last(np.asarray(rows), fitted.length)))

    def searched(self, fitted: States) -> np.ndarray:
        """See `Part.searched`."""
        return fitted.items

    def metrics(self, fitted: States) -> dict[str, float]:
        """See `Part.metrics`."""
        return {"sequence_loss": fitted.model.losses[-1]} if fitted.model.losses else {}


def listens_in_order(evidence: Evidence) -> Sequences | None:
    """Every listener's listens in order of session, over the vocabulary; None where nobody made two."""
    from models.sequence_data import Sequences

    plays, vocabulary = evidence.plays, evidence.vocabulary
    order = plays["listener"].unique().sort()
    numbered = plays.with_columns(
        row=pl.Series(order.search_sorted(plays["listener"]), dtype=pl.Int32),
        item=pl.Series(vocabulary.rows(plays["track_id"]), dtype=pl.Int32),
    )
    if not (numbered.group_by("row").len()["len"] > 1).any():
        return None
    times = ["started_at"] if "started_at" in plays.columns else []
    return Sequences.from_plays(numbered.sort("row", "session", maintain_order=True).select("row", "item", *times))
