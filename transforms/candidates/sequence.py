"""The source `sequence`: what comes next after the listens one has just made, in their order, with the time between.

    score(u, i) = state after u's last listens . item_i + bias_i

A source of its own beside rules that read pairs of tracks: the state is made of many listens at once. A listener without
a recent listen that the vocabulary knows has no state and gets no candidate.

    >>> items, seconds = last_listens(block, 3)
    >>> items.tolist(), seconds.tolist()             # track 4, four minutes later 7: right-aligned
    ([[0, 4, 7]], [[nan, nan, 240.0]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import polars as pl

from transforms.candidates.base import SourceInputs
from transforms.candidates.blocks import Block
from transforms.candidates.dense import DotProduct

_DAY_S = 86_400


def last_listens(block: Block, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The last listens of a block's recent sessions, oldest first, right-aligned.

    Args:
        length: most listens of a listener.

    Returns:
        items int32 [B, length], 0 before the first and where the vocabulary does not know the track; seconds float64
        [B, length] from the start of the listen before to the start of this one, NaN where there is none before.
    """
    plays = (
        block.recent.sort("row", "session_no", "position", descending=[False, True, False])
        .with_columns(seconds=(-pl.col("age").diff().over("row") * _DAY_S).round())
        .with_columns(place=length - pl.int_range(1, pl.len() + 1).reverse().over("row"))
        .filter(pl.col("place") >= 0)
    )
    items = np.zeros((len(block), length), np.int32)
    seconds = np.full((len(block), length), np.nan)
    at = (plays["row"].to_numpy(), plays["place"].to_numpy())
    items[at] = plays["item"].to_numpy()
    seconds[at] = plays["seconds"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return items, seconds


@dataclass(frozen=True)
class Sequence(DotProduct):
    """The source `sequence`."""

    name: ClassVar[str] = "sequence"
    reason: ClassVar[str] = "follows"
    precedence: ClassVar[int] = 3
    blended: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """From part `sequence`.

        It has `states`, from items and seconds as of `last_listens` to float32 [B, d], zero where there is nothing to go
        by; `items` float32 [n_items, d]; and `length`, the listens that `states` reads.
        """
        model = inputs.fitted.get("sequence")
        if model is None:
            return None
        vectors = np.asarray(model.items)
        search = inputs.search("sequence", vectors)
        return cls(lambda block: model.states(*last_listens(block, model.length)), vectors, search)
