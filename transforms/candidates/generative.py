"""The source `generative`: what a decoder generates after the listens one has just made, as semantic ids of playable tracks.

    found(u)    = tracks behind the most likely ids after u's last listens, and unplayed ones beside them
    score(u, i) = state after u's last listens . item_i + bias_i

Ids are generated code by code under a trie of the tracks that may be played on the night, so none is invented. Codes and content
say something of a track that nobody has played, so such tracks are found by what they begin like. The score is defined for any
pair, as of the other sources of states.

    >>> source = Generative.of(SourceInputs(catalog, night, {"generative": model}))
    >>> source.score(block).top(50, block.heard(catalog)).items
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Self

import numpy as np

from transforms.candidates.base import SourceInputs
from transforms.candidates.blocks import Catalog
from transforms.candidates.dense import DotProduct
from transforms.candidates.sequence import last_listens

UNKNOWN_DATE = -1  # in `Catalog.released_on`
_EPOCH = date(1970, 1, 1)


def playable(catalog: Catalog, as_of: date) -> np.ndarray:
    """bool [n]: tracks that are out by the night's date, or of which nobody knows when they came out; not the unknown track."""
    day = (as_of - _EPOCH).days
    out = (catalog.released_on == UNKNOWN_DATE) | (catalog.released_on <= day)
    out[0] = False
    return np.asarray(out)


@dataclass(frozen=True)
class Generative(DotProduct):
    """The source `generative`."""

    name: ClassVar[str] = "generative"
    reason: ClassVar[str] = "similar_to"
    precedence: ClassVar[int] = 4
    blended: ClassVar[bool] = True
    knows_unplayed: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """From part `generative`.

        It has `states`, `items` and `length` as part `sequence` has, and `search`, which makes a search like `TopK` of the tracks
        that may be played, bool [n_items].
        """
        model = inputs.fitted.get("generative")
        if model is None:
            return None
        search = model.search(playable(inputs.catalog, inputs.as_of))
        return cls(lambda block: model.states(*last_listens(block, model.length)), np.asarray(model.items), search)
