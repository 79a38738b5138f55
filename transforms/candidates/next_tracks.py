"""Tracks that come shortly after what one plays: albums in order, playlists, radio habits.

    score(u, i) = sum over j heard by u of sqrt(plays_uj) * after[j, i]

The direction carries signal of its own: half of all artists repeat from one play to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from transforms.candidates.base import ProductScores, Source, SourceInputs, strongest_link
from transforms.candidates.blocks import Block
from transforms.candidates.history import root_plays
from transforms.candidates.neighbours import Neighbours


@dataclass(frozen=True)
class NextTracks(Source):
    """Followers of a weighted history; attributes as in `CoSessions`."""

    neighbours: Neighbours
    history: Callable[[Block], sparse.csr_matrix] = root_plays

    name: ClassVar[str] = "next_tracks"
    reason: ClassVar[str] = "follows"
    precedence: ClassVar[int] = 12
    blended: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """From part `neighbours`."""
        neighbours = inputs.fitted.get("neighbours")
        return None if neighbours is None else cls(neighbours)

    def score(self, block: Block) -> ProductScores:
        """One sparse product."""
        return ProductScores(self.history(block), self.neighbours.after)

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The track of the history with the largest term of the sum."""
        return strongest_link(self.history(block), self.neighbours.towards_after, rows, items)
