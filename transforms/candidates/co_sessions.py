"""Tracks that stand in the same sessions as what one plays.

    score(u, i) = sum over j heard by u of sqrt(plays_uj) * together[j, i]

Session-based item-to-item similarity is among the strongest simple methods on music logs (Ludewig & Jannach 2018,
Ferrari Dacrema et al. 2021). The source `co_sessions` reads the whole history, `last_session` only the last sessions,
each weighted half of the one after it: what one is into now and what one is into at all are different evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from transforms.candidates.base import ProductScores, strongest_link
from transforms.candidates.blocks import Block
from transforms.candidates.history import last_sessions, root_plays
from transforms.candidates.neighbours import Neighbours


@dataclass(frozen=True)
class CoSessions:
    """Neighbours of a weighted history.

    Attributes:
        neighbours: fitted neighbours.
        name: source name.
        history: block -> weights [B, n_items].
    """

    neighbours: Neighbours
    name: str = "co_sessions"
    history: Callable[[Block], sparse.csr_matrix] = root_plays
    reason: str = "played_together_with"

    def score(self, block: Block) -> ProductScores:
        """One sparse product."""
        return ProductScores(self.history(block), self.neighbours.together)

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The track of the history with the largest term of the sum."""
        return strongest_link(self.history(block), self.neighbours.towards_together, rows, items)


def last_session(neighbours: Neighbours) -> CoSessions:
    """The source `last_session`: the same sum over the last sessions only."""
    return CoSessions(neighbours, "last_session", last_sessions)
