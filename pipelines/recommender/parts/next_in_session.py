"""The part `next_in_session`: how sessions go on, learned from a sample of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from transforms.candidates.next_in_session import NextInSession
from transforms.next_in_session.fitted import NextModel
from transforms.next_in_session.sample import as_log, in_time

FILE = "next_in_session.npz"


class NextInSessionPart(Part):
    """See `transforms.next_in_session`."""

    name: ClassVar[str] = "next_in_session"
    sources = (NextInSession,)

    @property
    def wanted(self) -> bool:
        """See `Part.wanted`."""
        return self.settings.use_next_in_session

    def rows(self, evidence: Evidence, so_far: Mapping[str, Any]) -> int:
        """See `Part.rows`."""
        return 0 if evidence.sample is None else len(evidence.sample)

    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> NextModel | None:
        """See `Part.fit`."""
        from models.rankers.session import fit_model

        if evidence.sample is None:
            return None
        log = as_log(in_time(evidence.sample), evidence.vocabulary.rows)
        return fit_model(log, len(evidence.vocabulary), self.settings.next_in_session, seed) if len(log) else None

    def save(self, fitted: NextModel, folder: Path) -> None:
        """See `Part.save`."""
        fitted.save(folder / FILE)

    def load(self, folder: Path) -> NextModel | None:
        """See `Part.load`."""
        path = folder / FILE
        if not self.wanted or not path.exists():
            return None
        return NextModel.load(path, self.settings.next_in_session)
