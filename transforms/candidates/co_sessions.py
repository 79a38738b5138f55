"""Tracks that stand in the same sessions as what one plays.

    score(u, i) = sum over j heard by u of sqrt(plays_uj) * together[j, i]

Session-based item-to-item similarity is among the strongest simple methods on music logs (Ludewig & Jannach 2018,
Ferrari Dacrema et al. 2021). The source `co_sessions` reads the whole history, `last_session` only the last sessions,
each weighted half of the one after it: what one is into now and what one is into at all are different evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from transforms.candidates.base import ProductScores, Source, SourceInputs, strongest_link
from transforms.candidates.blocks import Block
from transforms.candidates.history import last_sessions, root_plays
from transforms.candidates.neighbours import Neighbours


@dataclass(frozen=True)
class CoSessions(Source):
    """Neighbours of a weighted history.

    Attributes:
        neighbours: fitted neighbours.
        history: block -> weights [B, n_items].
    """

    neighbours: Neighbours
    history: Callable[[Block], sparse.csr_matrix] = root_plays

    name: ClassVar[str] = "co_sessions"
    reason: ClassVar[str] = "played_together_with"
    precedence: ClassVar[int] = 10
    blended: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """From part `neighbours`."""
        neighbours = inputs.fitted.get("neighbours")
        return None if neighbours is None else cls(neighbours)

    def score(self, block: Block) -> ProductScores:
        """One sparse product."""
        return ProductScores(self.history(block), self.neighbours.together)

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The track of the history with the largest term of the sum."""
        return strongest_link(self.history(block), self.neighbours.towards_together, rows, items)


@dataclass(frozen=True)
class LastSession(CoSessions):
    """The source `last_session`: the same sum over the last sessions only."""

    history: Callable[[Block], sparse.csr_matrix] = last_sessions

    name: ClassVar[str] = "last_session"
    precedence: ClassVar[int] = 11
