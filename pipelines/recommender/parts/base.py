"""A fitted part: one thing that is learned from other listeners, saved below the night's models and read by sources.

    fit(evidence, so_far, seed)   from what the fit reads and from the parts before it
    save(fitted, folder), load(folder)
    sources                       the sources that are made of it

A part is a file here and a line in `pipelines.recommender.registry`, after the parts that its `fit` reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ValidationError

from pipelines.recommender.evidence import Evidence
from pipelines.recommender.settings import ModelSettings
from transforms.candidates.base import Source
from transforms.common.errors import UserError


class Part(ABC):
    """One fitted part, with the settings that it is fitted and loaded by.

    Attributes:
        name: what sources find it by, in `SourceInputs.fitted`; it also stands in reports.
        sources: the sources that read it, and no part after it.
        options: model of the part's own settings, read from `models.plugins.<name>`; None = it has none there.
    """

    name: ClassVar[str]
    sources: ClassVar[tuple[type[Source], ...]] = ()
    options: ClassVar[type[BaseModel] | None] = None

    def __init__(self, settings: ModelSettings) -> None:
        """Take the settings of all parts; `own` are those of this part alone."""
        self.settings = settings
        self.own: Any = None if self.options is None else _own(self.options, self.name, settings)

    @property
    def wanted(self) -> bool:
        """Whether the settings ask for it."""
        return True

    def rows(self, evidence: Evidence, so_far: Mapping[str, Any]) -> int:
        """Rows that a fit reads, for the report: pairs of the library unless a part says otherwise."""
        return len(evidence.library)

    @abstractmethod
    def fit(self, evidence: Evidence, so_far: Mapping[str, Any], seed: int) -> Any | None:
        """Learn it; None where there is too little to learn from.

        Args:
            evidence: what the fit reads, all of it as of the fit date.
            so_far: by name, the parts that stand before this one.
            seed: of everything random; equal evidence, settings and seed give equal files.
        """

    @abstractmethod
    def save(self, fitted: Any, folder: Path) -> None:
        """Write it below the models' folder, under names that begin with its own."""

    @abstractmethod
    def load(self, folder: Path) -> Any | None:
        """Read what `save` wrote; None where there is nothing of it.

        Raises:
            KeyError: an older version wrote it, and something is missing.
        """

    def vectors(self, fitted: Any) -> np.ndarray | None:
        """float32 [n, d], vectors of tracks for table `track_embeddings`; None = it has none to give."""
        return None

    def queries(self, fitted: Any, evidence: Evidence, listeners: np.ndarray) -> np.ndarray | None:
        """float32 [m, d]: vectors of those of the fit's listeners that have one; their products with `searched` order tracks.

        Args:
            listeners: int, rows of `Evidence.listeners`.

        Returns:
            None where the part is not searched by a dot product; its sources are then never searched approximately.
        """
        return None

    def searched(self, fitted: Any) -> Any:
        """float32 [n, d]: what `queries` are compared with; asked for only where there are queries. As published, by default."""
        return self.vectors(fitted)

    def metrics(self, fitted: Any) -> dict[str, float]:
        """What the registry notes of the fit."""
        return {}


def _own(options: type[BaseModel], name: str, settings: ModelSettings) -> BaseModel:
    try:
        return options.model_validate(settings.plugins.get(name, {}))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(p) for p in first["loc"])
        raise UserError(f"settings: models.plugins.{name}.{key} is {first.get('input')!r}: {first['msg']}") from error
