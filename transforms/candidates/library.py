"""Tracks one has already played: the candidates of on-repeat and rediscover.

    score(u, i) = log(1 + decayed plays heard of i by u)

Two things bring a track back: how often and how lately it was played; half-lives of 30 and of 4 days are summed.
Only this source may retrieve what was heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from transforms.candidates.base import Retrieves, Source, SparseScores
from transforms.candidates.blocks import Block
from transforms.candidates.history import POSITIVE

KEPT_PLAYS = 3
KEPT_DAYS = 28


@dataclass(frozen=True)
class Library(Source):
    """The source `library`."""

    name: ClassVar[str] = "library"
    reason: ClassVar[str] = "you_keep_playing"
    precedence: ClassVar[int] = 95
    retrieves: ClassVar[Retrieves] = "heard"
    blended: ClassVar[bool] = True

    def score(self, block: Block) -> SparseScores:
        """Read off the history; a save without a play scores a little above zero."""
        fresh = pl.col("decayed_plays") + pl.col("decayed_short") + 0.01
        return SparseScores(block.matrix(pl.when(POSITIVE > 0).then(fresh.log1p()).otherwise(0.0)))

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The track itself."""
        return items.astype(np.int32)

    def holds(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Played `KEPT_PLAYS` times or more, and within the last `KEPT_DAYS` days: less is not "you keep playing it"."""
        kept = pl.when((pl.col("plays") >= KEPT_PLAYS) & (pl.col("last_age") <= KEPT_DAYS)).then(1.0).otherwise(0.0)
        return SparseScores(block.matrix(kept)).of(rows, items) > 0
