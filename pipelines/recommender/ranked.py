"""What a ranker reads of candidates, and what the rewards then make of its order.

ranker_features(candidates, names)              float32 [n, f]
scored_by(ranker, candidates)                   the candidates with the ranker's score and heads, or the blend's
Rewarded(heads, beliefs, settings)(scored)      the candidates with their rewards' terms, in an order that follows them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from transforms.common.errors import UserError
from transforms.outcomes.rewards import RewardSettings, composed, values


@dataclass(frozen=True)
class Rewarded:
    """What the rewards' terms are worth, and the order that follows them as far as their weights say.

    Attributes:
        heads: the ranker's `RewardHeads`; None = none were fitted.
        beliefs: rows of table `beliefs` of tracks wherever they were found; None = nothing is believed.
        settings: the rewards.
    """

    heads: Any | None
    beliefs: pl.DataFrame | None
    settings: RewardSettings

    def __call__(self, scored: pl.DataFrame) -> pl.DataFrame:
        """Of candidates with row, heard_before, track_id, ranker_score and features; see `transforms.outcomes.rewards`."""
        chances = self.heads.chances(scored) if self.heads is not None else {}
        known = scored.with_columns(pl.Series(name, v, dtype=pl.Float32).fill_nan(None) for name, v in chances.items())
        worth = values(known, self.beliefs, self.settings).drop(list(chances))
        return composed(worth, self.settings.weights, ["row", "heard_before"], "ranker_score")


def scored_by(ranker: Any | None, candidates: pl.DataFrame) -> pl.DataFrame:
    """The candidates with `ranker_score` and the ranker's heads (`p_listened`, ...); None = the untrained blend, which has none.

    Raises:
        UserError: as `ranker_features`.
    """
    if ranker is None:
        return candidates.with_columns(ranker_score=pl.col("f_blend").cast(pl.Float32))
    matrix = ranker_features(candidates, ranker.names)
    heads = ranker.heads(matrix)
    return candidates.with_columns(
        pl.Series("ranker_score", ranker.score(matrix), dtype=pl.Float32),
        *(pl.Series(name, values, dtype=pl.Float32) for name, values in heads.items()),
    )


def ranker_features(candidates: pl.DataFrame, names: Sequence[str]) -> np.ndarray:
    """float32 [n, f]: the features a ranker reads; NaN, "as usual", for those of a source that could not be fitted.

    A source without evidence is not there (nothing was played in the window that the sequence model reads, say), while a
    ranker of busier days knows it.

    Raises:
        UserError: most of them are missing, so the ranker is of another kind of night.
    """
    absent = [n for n in names if n not in candidates.columns]
    if 2 * len(absent) > len(names):
        raise UserError(
            f"expected the {len(names)} features that the ranker reads, found {len(names) - len(absent)} of them; train it "
            "again on nights made with this version, or roll `rankers` back"
        )
    filled = candidates.with_columns(pl.lit(float("nan"), dtype=pl.Float32).alias(n) for n in absent)
    return filled.select(names).to_numpy().astype(np.float32, copy=False)
