"""Tracks once played and not heard for weeks, by how alive they still are in memory.

    score(u, i) = e^activation * (1 - skips / (1 + plays)) of tracks left alone for as long as they rest

A track rests for a quarter of the days since the listener was first heard, or for the median days since they last heard what
they heard more than once where that is less; at least REST_LEAST days and at most `rest_days`. A log of 60 days knows nothing
that rested for long.

e^activation is the library's base-level learning (Anderson & Lebiere 1998), a sum of (days ago)^-1/2 over plays: many
plays, spread out, fade slower than many plays at once. What was often skipped is not missed. `library` ranks what is
played now; of a long history only its first few hundred pass, and few of those that rest are among them. Like
`library`, this source may retrieve what was heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import polars as pl

from transforms.candidates.base import Limited, Retrieves, Scores, Source, SourceInputs, SparseScores
from transforms.candidates.blocks import Block
from transforms.candidates.history import POSITIVE

REST_LEAST = 7
REST_SHARE = 0.25


@dataclass(frozen=True)
class Rediscover(Source):
    """The source `rediscover`.

    Attributes:
        rest_days: days since the last play that are always enough.
        most: tracks a listener.
    """

    rest_days: int = 28
    most: int = 100

    name: ClassVar[str] = "rediscover"
    reason: ClassVar[str] = "not_heard_lately"
    precedence: ClassVar[int] = 45
    retrieves: ClassVar[Retrieves] = "heard"
    rests: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """By the settings."""
        return cls(inputs.settings.rest_days) if inputs.settings.rediscover else None

    def score(self, block: Block) -> Scores:
        """Read off the history."""
        rests = (POSITIVE > 0) & self._rested()
        alive = pl.col("activation").exp() * (1 - pl.col("skips") / (1 + pl.col("plays")))
        return Limited(SparseScores(block.matrix(pl.when(rests).then(alive).otherwise(0.0))), self.most)

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The track itself."""
        return items.astype(np.int32)

    def holds(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Last heard as long ago as tracks rest."""
        rested = pl.when(self._rested()).then(1.0).otherwise(0.0)
        return SparseScores(block.matrix(rested)).of(rows, items) > 0

    def _rested(self) -> pl.Expr:
        known = pl.col("first_age").max().over("row").fill_null(0.0)
        rhythm = pl.when(pl.col("heard") > 1).then(pl.col("last_age")).median().over("row")
        wanted = pl.min_horizontal(REST_SHARE * known, rhythm)
        return pl.col("last_age") >= wanted.clip(min(REST_LEAST, self.rest_days), self.rest_days)
