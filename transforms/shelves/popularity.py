"""The popular tracks of each market as rows of `Tracks`: sorted once a process, handed out a block at a time.

A listener whose market has none gets those of everywhere; without rows of everywhere, the sum of all markets.

    >>> tracks = Tracks.build(pl.DataFrame({"track_id": ["a", "b"]}))
    >>> frame = pl.DataFrame({"market": ["DE", "DE"], "track_id": ["a", "b"], "score": [2.0, 1.0]})
    >>> [market for market, *_ in Popular.of(frame, tracks).markets_of(pl.Series(["DE", None, "XX"]))]
    ['DE', '', '']
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.shelves.tracks import Tracks


@dataclass(frozen=True)
class Popular:
    """By market ("" = everywhere): rows of its popular tracks, ascending, and their scores (float32)."""

    by_market: dict[str, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, popular: pl.DataFrame | None, tracks: Tracks) -> Popular:
        """Prepare a frame of market (null or empty = everywhere), track_id, score."""
        if popular is None or popular.is_empty():
            return cls({})
        popular = popular.select(pl.col("market").fill_null(""), "track_id", pl.col("score").cast(pl.Float64))
        if popular.filter(pl.col("market") == "").is_empty():
            # Sorted before summing, so that the sum of floats has one order.
            everywhere = (
                popular.sort("track_id", "market")
                .group_by("track_id", maintain_order=True)
                .agg(pl.col("score").sum())
                .select(pl.lit("").alias("market"), "track_id", "score")
            )
            popular = pl.concat([popular, everywhere])
        out = {}
        for (market,), part in popular.sort("market").group_by("market", maintain_order=True):
            rows = tracks.rows(part["track_id"])
            order = np.argsort(rows, kind="stable")
            order = order[rows[order] >= 0]
            out[str(market)] = (rows[order], part["score"].to_numpy().astype(np.float32)[order])
        return cls(out)

    def markets_of(self, markets: pl.Series) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """For each listener the market whose popular tracks they get, with these and their scores."""
        none = (np.zeros(0, np.int32), np.zeros(0, np.float32))
        for market in markets.fill_null("").to_list():
            here = market if market in self.by_market else ""
            yield here, *self.by_market.get(here, none)
