"""The source `two_tower`: a query tower reads the history, an item tower has vectors for new tracks too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from transforms.candidates.base import SourceInputs
from transforms.candidates.dense import DotProduct


@dataclass(frozen=True)
class TwoTower(DotProduct):
    """The source `two_tower`."""

    name: ClassVar[str] = "two_tower"
    reason: ClassVar[str] = "because_you_played"
    precedence: ClassVar[int] = 2
    blended: ClassVar[bool] = True
    knows_unplayed: ClassVar[bool] = True
    embeds: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """From part `two_tower`: `embed` is its query tower over a block, `items` its item tower's output."""
        model = inputs.fitted.get("two_tower")
        if model is None:
            return None
        vectors = np.asarray(model.items)
        return cls(model.embed, vectors, inputs.search("two_tower", vectors))
