"""Indexes for approximate search, beside the parts whose vectors they hold: made, judged, saved and loaded.

    indexes/<part>.voy   indexes/recall.json

An index is judged where it is made, once a fit: by how many of the exact best it finds for a hashed sample of the fit's
listeners (`models.approximate.recall`). One that finds too few is not kept, so every process of the night searches alike.

    >>> indexes = Indexes.fit(parts, made, evidence, settings, seed)
    >>> indexes.recalls, sorted(indexes.kept)
    ({'als': 0.981, 'two_tower': 0.914}, ['als'])
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.settings import ApproximateSettings
from pipelines.recommender.evidence import Evidence
from pipelines.recommender.parts.base import Part
from transforms.common.hashing import stable_hash

FOLDER = "indexes"
RECALLS = "recall.json"
PREFIX = "index_recall_"


@dataclass(frozen=True)
class Indexes:
    """Of the parts by name.

    Attributes:
        kept: the indexes that find enough.
        recalls: what each that was made finds of the exact best.
    """

    kept: Mapping[str, Any] = field(default_factory=dict)
    recalls: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        parts: Sequence[Part],
        made: Mapping[str, Any],
        evidence: Evidence,
        settings: ApproximateSettings,
        seed: int,
    ) -> Indexes:
        """Index every part that says how its vectors are searched, where the catalog is large enough.

        Raises:
            UserError: voyager is not installed.
        """
        if not asked_for(settings, len(evidence.vocabulary)):
            return cls()
        from models.approximate import Approximate, recall
        from models.topk import over_known

        order = np.argsort(stable_hash(evidence.listeners, seed=seed, purpose="index recall"), kind="stable")
        sample = np.sort(order[: settings.sample])
        kept, recalls = dict[str, Any](), dict[str, float]()
        for part in parts:
            queries = part.queries(made[part.name], evidence, sample) if part.name in made else None
            if queries is None:
                continue
            vectors = part.searched(made[part.name])
            index = Approximate.build(vectors, settings, seed)
            recalls[part.name] = recall(over_known(vectors), index, queries, min(settings.best, len(vectors) - 1))
            if recalls[part.name] >= settings.recall:
                kept[part.name] = index
        return cls(kept, recalls)

    def metrics(self) -> dict[str, float]:
        """What the registry notes: the recall of every index that was made."""
        return {f"{PREFIX}{name}": value for name, value in self.recalls.items()}

    def save(self, folder: Path) -> None:
        """Write what is kept; nothing where none was made."""
        if self.recalls:
            (folder / FOLDER).mkdir(parents=True, exist_ok=True)
            (folder / FOLDER / RECALLS).write_text(json.dumps(self.recalls, indent=1, sort_keys=True) + "\n")
        for name, index in self.kept.items():
            index.save(folder / FOLDER / f"{name}.voy")

    @classmethod
    def load(
        cls, folder: Path, parts: Sequence[Part], made: Mapping[str, Any], settings: ApproximateSettings
    ) -> Indexes:
        """Read what `save` wrote.

        Raises:
            UserError: there is an index, and voyager is not installed.
        """
        if settings.tracks is None or not (folder / FOLDER / RECALLS).exists():
            return cls()
        from models.approximate import Approximate

        kept = {
            part.name: Approximate.load(path, part.searched(made[part.name]), settings.breadth)
            for part in parts
            if part.name in made and (path := folder / FOLDER / f"{part.name}.voy").exists()
        }
        return cls(kept, json.loads((folder / FOLDER / RECALLS).read_text()))


def asked_for(settings: ApproximateSettings, size: int) -> bool:
    """Whether a vocabulary of so many rows, the unknown track's among them, is searched approximately."""
    return settings.tracks is not None and size - 1 >= settings.tracks


def remark(metrics: Mapping[str, float | None], settings: ApproximateSettings) -> str:
    """A sentence on how dense sources are searched, for terminal and report; empty where no index was made."""
    asked = settings.recall
    found = {
        name.removeprefix(PREFIX): value
        for name, value in metrics.items()
        if name.startswith(PREFIX) and value is not None
    }
    if not found:
        return ""
    said = [
        f"{name} is searched {'approximately' if value >= asked else 'exactly'}: "
        f"its index finds {value:.3f} of the {settings.best} best"
        for name, value in sorted(found.items())
    ]
    return f"{'; '.join(said)}; {asked:g} is asked"
