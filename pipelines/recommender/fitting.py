"""Everything a night learns from other listeners, fitted together over one vocabulary, saved and loaded as one folder.

    vocabulary.parquet  als/  two_tower/  sequence/  neighbours.npz  clusters.npz  popularity.npz  artists.npz
    next_in_session.npz  indexes/

The parts are those of `pipelines.recommender.registry`; what each means stands in `models` and `transforms.candidates`. It
runs without Beam, so that the same fit can be made in a notebook.

    >>> fitted = fit(evidence, ModelSettings(), seed=1)
    >>> fitted.save(folder), Fitted.load(folder, ModelSettings())["als"].item_factors.shape
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from models.threads import compute_with
from models.vocabulary import Vocabulary
from pipelines.recommender import registry
from pipelines.recommender.evidence import Evidence
from pipelines.recommender.indexes import Indexes, asked_for
from pipelines.recommender.settings import ModelSettings
from transforms.candidates.base import Source, SourceInputs, TopK, made_of
from transforms.candidates.blocks import Catalog
from transforms.candidates.learned import Learned
from transforms.candidates.settings import ContinueSettings, SourceSettings
from transforms.common.clock import Clock
from transforms.common.errors import UserError

VOCABULARY = "vocabulary.parquet"


@dataclass
class Fitted:
    """The parts, aligned to one vocabulary of n rows.

    Attributes:
        settings: that they were fitted or loaded by.
        parts: by name; a part that was not fitted is not there.
        took: what `Clock.drain` said of fitting them.
        indexes: for approximate search of some of them.
    """

    vocabulary: Vocabulary
    settings: ModelSettings
    parts: dict[str, Any]
    took: dict[str, int] = field(default_factory=dict)
    indexes: Indexes = field(default_factory=Indexes)

    def __getitem__(self, name: str) -> Any:
        """A part by its name."""
        return self.parts[name]

    @property
    def learned(self) -> Learned:
        """What the ranker's features read."""
        return Learned(self["neighbours"], self["popularity"], self["clusters"])

    def catalog(self, tracks: pl.DataFrame) -> Catalog:
        """A catalog table aligned to the vocabulary."""
        return Catalog.build(self.vocabulary.ids.to_list(), tracks)

    def sources(
        self,
        catalog: Catalog,
        as_of: date,
        settings: SourceSettings | None = None,
        continuation: ContinueSettings | None = None,
        sample: pl.DataFrame | None = None,
    ) -> list[Source]:
        """Every candidate source, in the order that settles ties of attribution; `settings` switch some off."""
        inputs = SourceInputs(
            catalog,
            as_of,
            self.parts,
            settings or SourceSettings(),
            continuation or ContinueSettings(),
            sample,
            self._search,
        )
        return made_of(registry.sources(), inputs)

    def _search(self, name: str, vectors: np.ndarray) -> TopK:
        if name in self.indexes.kept:
            return self.indexes.kept[name]
        if name not in self._searches:
            from models.topk import over_known

            self._searches[name] = over_known(vectors)
        return self._searches[name]

    @cached_property
    def _searches(self) -> dict[str, TopK]:
        return {}

    def vectors(self) -> dict[str, np.ndarray]:
        """Vectors of tracks by name of the part, float32 [n, d], of the parts that have some."""
        made = {part.name: part.vectors(self[part.name]) for part in self._here()}
        return {name: vectors for name, vectors in made.items() if vectors is not None}

    def metrics(self) -> dict[str, float]:
        """What the registry notes of the fit: sizes, and the last losses."""
        found = {"tracks": float(len(self.vocabulary) - 1)}
        for part in self._here():
            found |= part.metrics(self[part.name])
        return found | self.indexes.metrics()

    def _here(self) -> list[registry.Part]:
        """The parts that were fitted."""
        return [part for kind in registry.parts() if (part := kind(self.settings)).name in self.parts]

    def save(self, folder: Path) -> None:
        """Write every part below a folder; equal parts give equal bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        self.vocabulary.save(folder / VOCABULARY)
        for part in self._here():
            part.save(self[part.name], folder)
        self.indexes.save(folder)

    @classmethod
    def load(cls, folder: Path, settings: ModelSettings) -> Fitted:
        """Read what `save` wrote; the files are trusted (see `pipelines.recommender.artefacts.fetch`).

        Raises:
            UserError: an older version of this code wrote them, and what it wrote lacks something; or this process has computed
                with another number of threads than the settings ask for.
        """
        compute_with(settings.threads)
        kinds = [kind(settings) for kind in registry.parts()]
        try:
            loaded = {part.name: part.load(folder) for part in kinds}
        except KeyError as error:
            raise UserError(
                f"expected models as this version writes them, found some without {error}; make them again with "
                "`nightshelf run --date` of their date, or leave `--fit-date` out"
            ) from error
        parts = {name: part for name, part in loaded.items() if part is not None}
        indexes = Indexes.load(folder, kinds, parts, settings.approximate)
        return cls(Vocabulary.load(folder / VOCABULARY), settings, parts, indexes=indexes)


def fit(evidence: Evidence, settings: ModelSettings, seed: int) -> Fitted:
    """Fit every part that the settings want, in the order of the registry.

    Raises:
        UserError: this process has computed with another number of threads than the settings ask for.
    """
    compute_with(settings.threads)
    clock, made, parts = Clock(), dict[str, Any](), [kind(settings) for kind in registry.parts()]
    for part in parts:
        if not part.wanted:
            continue
        with clock.part(part.name, part.rows(evidence, made)):
            fitted = part.fit(evidence, made, seed)
        if fitted is not None:
            made[part.name] = fitted
    indexes = Indexes()
    if asked_for(settings.approximate, len(evidence.vocabulary)):
        with clock.part("indexes", len(evidence.vocabulary)):
            indexes = Indexes.fit(parts, made, evidence, settings.approximate, seed)
    return Fitted(evidence.vocabulary, settings, made, clock.drain(), indexes)
