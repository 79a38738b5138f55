"""What the listeners of a live world carry from day to day, and what stands on their shelves, as arrays.

Pairs of a listener and a track are coded as one whole number, row * tracks + track, so that what is known of pairs is a
sorted array and a look-up is a binary search.

    >>> seen = Pairs.none().add(np.array([5, 2, 5]), np.ones(3))
    >>> seen.of(np.array([2, 3, 5])).tolist()
    [1.0, 0.0, 2.0]
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

_LEAST = 0.01  # what weighs less is forgotten


@dataclass(frozen=True)
class Pairs:
    """A number for some pairs of listener and track, 0 for all others: sorted codes int64[m], values float64[m]."""

    codes: np.ndarray
    values: np.ndarray

    @classmethod
    def none(cls) -> Pairs:
        """No pair."""
        return cls(np.zeros(0, dtype=np.int64), np.zeros(0))

    def of(self, codes: np.ndarray) -> np.ndarray:
        """The values of some pairs, float64."""
        if not len(self.codes):
            return np.zeros(len(codes))
        at = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where(self.codes[at] == codes, self.values[at], 0.0)

    def add(self, codes: np.ndarray, values: np.ndarray) -> Pairs:
        """Values added up, pair by pair."""
        every = np.concatenate([self.codes, np.asarray(codes, dtype=np.int64)])
        found, where = np.unique(every, return_inverse=True)
        return Pairs(found, np.bincount(where, np.concatenate([self.values, values]), len(found)))

    def mark(self, codes: np.ndarray, value: float = 1.0) -> Pairs:
        """Pairs that have no value yet get this one; the others stay."""
        new = np.setdiff1d(codes, self.codes)
        return self.add(new, np.full(len(new), value))

    def faded(self, factor: float) -> Pairs:
        """Values times a factor; what becomes negligible is dropped."""
        values = self.values * factor
        kept = values >= _LEAST
        return Pairs(self.codes[kept], values[kept])


@dataclass(frozen=True)
class State:
    """What one evening leaves for the next morning.

    Attributes:
        satisfaction: float64[listeners]; 0 = neither pleased nor displeased.
        known: pairs heard so far.
        tired: pairs lately seen on shelves, each exposure weighing exp(-age / fatigue_days).
        adopted: pairs taken into one's own listening; the value is the day it happened, counted from 1.
        blocked: pairs blocked.
    """

    satisfaction: np.ndarray
    known: Pairs
    tired: Pairs
    adopted: Pairs
    blocked: Pairs

    def dumps(self) -> bytes:
        """The state as the bytes of an npz file."""
        sink, arrays = io.BytesIO(), {"satisfaction": self.satisfaction}
        for name in (f.name for f in fields(self) if f.name != "satisfaction"):
            pairs: Pairs = getattr(self, name)
            arrays |= {f"{name}_codes": pairs.codes, f"{name}_values": pairs.values}
        np.savez(sink, allow_pickle=False, **arrays)  # type: ignore[arg-type]
        return sink.getvalue()

    @classmethod
    def loads(cls, content: bytes) -> State:
        """What `dumps` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            pairs = {
                f.name: Pairs(arrays[f"{f.name}_codes"], arrays[f"{f.name}_values"])
                for f in fields(cls)
                if f.name != "satisfaction"
            }
            return cls(arrays["satisfaction"], **pairs)


@dataclass(frozen=True)
class Menu:
    """What stands on every listener's shelves: one entry an item, by listener, surface, place of its shelf, position.

    Attributes:
        starts: int64[listeners * surfaces + 1]: entries of (row, surface) begin at starts[row * surfaces + surface].
        place: int64, the shelf's place on its surface, from 0.
        position: int64, from 1.
        track: int64, number of the track in the world's catalog.
        rows: one row an entry: listener_id, surface, shelf_id, version, track_id, position.
    """

    surfaces: tuple[str, ...]
    starts: np.ndarray
    place: np.ndarray
    position: np.ndarray
    track: np.ndarray
    rows: pl.DataFrame

    @classmethod
    def read(
        cls, shelves: pl.DataFrame, listener_ids: Sequence[str], track_ids: Sequence[str], surfaces: Sequence[str]
    ) -> Menu:
        """The menu of table `shelves`; tracks that the world does not know are passed over.

        Args:
            shelves: listener_id, surface, shelf_id, version, home_position, items.
        """
        listeners = pl.DataFrame({"listener_id": pl.Series(list(listener_ids), dtype=pl.String)}).with_row_index("row")
        tracks = pl.DataFrame({"track_id": pl.Series(list(track_ids), dtype=pl.String)}).with_row_index("track")
        known = pl.DataFrame({"surface": pl.Series(list(surfaces), dtype=pl.String)}).with_row_index("code")
        rows = (
            shelves.select("listener_id", "surface", "shelf_id", "version", "home_position", "items")
            .explode("items", keep_nulls=False)
            .with_columns(
                track_id=pl.col("items").struct.field("track_id"), position=pl.col("items").struct.field("position")
            )
            .drop("items")
            .join(listeners, on="listener_id")
            .join(tracks, on="track_id")
            .join(known, on="surface")
            .with_columns(pl.col("home_position").fill_null(1 << 20))
            .sort("row", "code", "home_position", "shelf_id", "position")
            .with_columns(place=(pl.struct("home_position", "shelf_id").rank("dense").over("row", "code") - 1))
        )
        group = rows["row"].cast(pl.Int64).to_numpy() * len(surfaces) + rows["code"].cast(pl.Int64).to_numpy()
        return cls(
            surfaces=tuple(surfaces),
            starts=np.searchsorted(group, np.arange(len(listener_ids) * len(surfaces) + 1)),
            place=rows["place"].cast(pl.Int64).to_numpy(),
            position=rows["position"].cast(pl.Int64).to_numpy(),
            track=rows["track"].cast(pl.Int64).to_numpy(),
            rows=rows.select("listener_id", "surface", "shelf_id", "version", "track_id", "position"),
        )

    def of(self, rows: np.ndarray, surface: int) -> tuple[np.ndarray, np.ndarray]:
        """For some listeners' visits of a surface: the visit (index into `rows`) and the entry of every item, in order."""
        at = rows * len(self.surfaces) + surface
        sizes = self.starts[at + 1] - self.starts[at]
        visit = np.repeat(np.arange(len(rows)), sizes)
        within = np.arange(len(visit)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return visit, self.starts[at][visit] + within
