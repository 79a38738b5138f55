"""The source `als`: iALS with the listener folded in from the history at hand.

score(u, i) = x_u . y_i,   x_u solved from u's plays heard against the fixed y
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from transforms.candidates.base import SourceInputs
from transforms.candidates.dense import DotProduct
from transforms.candidates.history import heard_plays


@dataclass(frozen=True)
class Als(DotProduct):
    """The source `als`."""

    name: ClassVar[str] = "als"
    reason: ClassVar[str] = "because_you_played"
    precedence: ClassVar[int] = 1
    blended: ClassVar[bool] = True
    embeds: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """From part `als`, which folds histories [B, n_items] (plays heard) in and has `item_factors` [n_items, d]."""
        model = inputs.fitted.get("als")
        if model is None:
            return None
        vectors = np.asarray(model.item_factors)
        return cls(lambda block: model.fold_in(heard_plays(block)), vectors, inputs.search("als", vectors))
