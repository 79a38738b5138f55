"""What signals add to a block's candidates: their features, beside those of the sources."""

from __future__ import annotations

import polars as pl

from pipelines.recommender.fitting import Fitted
from transforms.candidates.blocks import Block
from transforms.candidates.history import POSITIVE
from transforms.signals.declared import Declared
from transforms.signals.features import Said, features
from transforms.signals.profiles import TrackSignals


def with_signals(candidates: pl.DataFrame, block: Block, said: Said, fitted: Fitted, signals: Declared) -> pl.DataFrame:
    """Candidates with every `f_signal_*`; null where nothing is known.

    Args:
        candidates: with `row` and `item`.
        said: what listeners said, these among them.
        fitted: whose part `signals` knows the tracks; without it nothing is known of them.
    """
    if not signals:
        return candidates
    pairs = candidates["row"].to_numpy(), candidates["item"].to_numpy()
    plays = block.matrix(pl.when(POSITIVE > 0).then(pl.col("decayed_plays")).otherwise(0.0))
    tracks = fitted.parts.get("signals") or TrackSignals()
    mine, rows_of = said.only(block.listener_ids), fitted.vocabulary.rows
    found = features(mine, block.listener_ids, plays, tracks, signals, pairs, rows_of)
    return candidates.with_columns(pl.Series(name, v, dtype=pl.Float32).fill_nan(None) for name, v in found.items())
