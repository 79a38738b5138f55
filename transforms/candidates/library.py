"""Tracks one has already played: the candidates of on-repeat and rediscover.

    score(u, i) = log(1 + decayed plays heard of i by u)

Two things bring a track back: how often and how lately it was played; half-lives of 30 and of 4 days are summed.
Only this source may retrieve what was heard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.candidates.base import SparseScores
from transforms.candidates.blocks import Block
from transforms.candidates.history import POSITIVE


@dataclass(frozen=True)
class Library:
    """The source `library`."""

    name: str = "library"
    reason: str = "you_keep_playing"

    def score(self, block: Block) -> SparseScores:
        """Read off the history; a save without a play scores a little above zero."""
        fresh = pl.col("decayed_plays") + pl.col("decayed_short") + 0.01
        return SparseScores(block.matrix(pl.when(POSITIVE > 0).then(fresh.log1p()).otherwise(0.0)))

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The track itself."""
        return items.astype(np.int32)
