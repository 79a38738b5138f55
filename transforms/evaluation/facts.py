"""What was known of tracks by a night, over all listeners: what every step of an evaluation reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from transforms.common.hashing import stable_hash

Runs = tuple[
    np.ndarray, np.ndarray
]  # bounds int64 [n + 1] and values int32: those of i stand at bounds[i] .. bounds[i + 1]


@dataclass(frozen=True)
class MeasureFacts:
    """What was known of tracks by the night, over all listeners.

    Attributes:
        recordings: track_id, recording_id.
        popularity: item (recording), listeners who had played it.
        credits: item, artist_id.
        listeners: how many had played anything.
    """

    recordings: pl.DataFrame
    popularity: pl.DataFrame
    credits: pl.DataFrame
    listeners: int

    @cached_property
    def items(self) -> pl.DataFrame:
        """item, code (uint32): every recording that anything is known of, in order of their names."""
        every = (self.popularity["item"], self.credits["item"], self.recordings["recording_id"].alias("item"))
        return numbered(pl.concat(every), "code")

    @cached_property
    def tracks(self) -> pl.DataFrame:
        """track_id, code of its recording, hash (uint64) that breaks ties between tracks."""
        known = self.recordings.select("track_id", item="recording_id").unique("track_id", keep="any").drop_nulls()
        coded = known.join(self.items, on="item").select("track_id", "code")
        return coded.with_columns(hash=stable_hash(coded["track_id"]))

    @cached_property
    def artists(self) -> Runs:
        """Numbers of the artists who are credited for each item."""
        coded = self.credits.join(self.items, on="item").select("code", artist=pl.col("artist_id").rank("dense") - 1)
        return runs(coded.unique().sort("code", "artist"), self.items.height)

    @cached_property
    def audience(self) -> np.ndarray:
        """int64 by item: listeners who had played it."""
        out = np.zeros(self.items.height, np.int64)
        played = self.popularity.join(self.items, on="item")
        out[played["code"].to_numpy()] = played["listeners"].to_numpy()
        return out


def numbered(names: pl.Series, number: str) -> pl.DataFrame:
    """The distinct names in order, with their places as column `number` (uint32)."""
    distinct = names.unique().sort()
    return distinct.to_frame().with_columns(pl.int_range(len(distinct), dtype=pl.UInt32, eager=True).alias(number))


def runs(pairs: pl.DataFrame, size: int) -> Runs:
    """Two columns of numbers, sorted by the first, which are below `size`, as `Runs`."""
    owner, values = (pairs[name].to_numpy() for name in pairs.columns)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=size))]).astype(np.int64)
    return bounds, values.astype(np.int32)
