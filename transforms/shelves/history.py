"""What the listeners of a block played, in rows of `Tracks`: what evidence and variety are made of.

>>> history = History.of(plays, sessions, tracks, listener_ids, vectors, audience)     # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.common.time_zones import known_zones
from transforms.shelves.cadence import DAYPARTS
from transforms.shelves.tracks import Tracks

HALF_LIFE_DAYS = 14.0  # of a play in a session, for dayparts
GROUPS = 32  # tags that variety is calibrated by, the most frequent


@dataclass(frozen=True)
class Embeddings:
    """Vectors of tracks, unit length.

    Attributes: vectors: float32 [m, d]; of_track: int32 by row of `Tracks`, row of `vectors`, -1 none.
    """

    vectors: np.ndarray
    of_track: np.ndarray

    @classmethod
    def none(cls, tracks: int) -> Embeddings:
        """No track has a vector."""
        return cls(np.zeros((1, 1), np.float32), np.full(tracks, -1, np.int32))


@dataclass(frozen=True)
class TrackSide:
    """What is the same for every block: made once a process.

    Attributes:
        embeddings: of tracks.
        listeners: float32 by track, how many have heard it; NaN unknown.
        popularity: float32 by track, standardised log of `listeners`; 0 unknown.
        group: int32 by track, its most frequent tag among the `GROUPS` most frequent; -1 none.
    """

    embeddings: Embeddings
    listeners: np.ndarray
    popularity: np.ndarray
    group: np.ndarray

    @classmethod
    def of(cls, tracks: Tracks, embeddings: Embeddings | None = None, listeners: np.ndarray | None = None) -> TrackSide:
        """Put together what is known."""
        n = len(tracks)
        heard = np.full(n, np.nan, np.float32) if listeners is None else listeners.astype(np.float32)
        log = np.log1p(np.nan_to_num(heard).astype(np.float64))
        spread = float(log.std()) if n else 0.0
        popularity = np.where(np.isnan(heard), 0.0, (log - log.mean()) / spread) if spread > 0 else np.zeros(n)
        return cls(embeddings or Embeddings.none(n), heard, popularity.astype(np.float32), _groups(tracks))


def _groups(tracks: Tracks) -> np.ndarray:
    bag = tracks.tags
    group = np.full(len(tracks), -1, np.int32)
    if not len(bag.names):
        return group
    frequency = np.bincount(bag.codes, minlength=len(bag.names))
    best = np.lexsort((np.arange(len(frequency)), -frequency))[:GROUPS]
    place = np.full(len(frequency), GROUPS, np.int32)
    place[best] = np.arange(len(best))
    of_pair = place[bag.codes]
    rows = np.repeat(np.arange(len(tracks)), np.diff(bag.bounds))
    least = np.full(len(tracks), GROUPS, np.int32)
    np.minimum.at(least, rows, of_pair)
    return np.where(least < GROUPS, least, -1).astype(np.int32)


@dataclass(frozen=True)
class History:
    """A block's listeners.

    Attributes:
        listener, track: int32[m], pairs heard, sorted by listener; weight: float32, decayed plays.
        bounds: int64[listeners + 1].
        session_listener, session_track: int32, plays in sessions lately; session_part: int8, place in `DAYPARTS`;
            session_weekend: bool, started on a Saturday or Sunday of the listener; session_weight: float32.
        side: what is the same for all blocks.
    """

    listener: np.ndarray
    track: np.ndarray
    weight: np.ndarray
    bounds: np.ndarray
    session_listener: np.ndarray
    session_track: np.ndarray
    session_part: np.ndarray
    session_weekend: np.ndarray
    session_weight: np.ndarray
    side: TrackSide

    @classmethod
    def of(
        cls, plays: pl.DataFrame, sessions: pl.DataFrame | None, roster: pl.DataFrame, tracks: Tracks, side: TrackSide
    ) -> History:
        """History of the listeners of a roster.

        Args:
            plays: listener_id, track_id or track, decayed_plays; pairs heard.
            sessions: table `sessions` with `age_days`, days from its start to the night's end; None = none is known.
            roster: listener_id, sorted; time_zone.
            tracks, side: of the process.
        """
        numbered = roster.select("listener_id").with_row_index("listener")
        mine = plays.join(numbered, on="listener_id", maintain_order="left")
        track = mine["track"].to_numpy() if "track" in mine.columns else tracks.rows(mine["track_id"])
        listener = mine["listener"].to_numpy().astype(np.int32)
        weight = mine["decayed_plays"].cast(pl.Float32).fill_null(0).to_numpy()
        order = np.lexsort((track, listener))
        order = order[(track[order] >= 0) & (weight[order] > 0)]
        who, heard, part, weekend, lately = _session_plays(sessions, numbered, roster, tracks)
        return cls(
            listener[order],
            track[order].astype(np.int32),
            weight[order],
            np.searchsorted(listener[order], np.arange(roster.height + 1)),
            who,
            heard,
            part,
            weekend,
            lately,
            side,
        )


def _session_plays(
    sessions: pl.DataFrame | None, numbered: pl.DataFrame, roster: pl.DataFrame, tracks: Tracks
) -> tuple[np.ndarray, ...]:
    if sessions is None or sessions.is_empty():
        empty = np.zeros(0, np.int32)
        return empty, empty, empty.astype(np.int8), empty.astype(np.bool_), empty.astype(np.float32)
    local = pl.lit(None, dtype=pl.Int8)
    for (zone,), _ in roster.select(pl.col("time_zone").drop_nulls()).group_by("time_zone"):
        local = pl.coalesce(pl.when(pl.col("time_zone") == zone).then(_weekday(pl.col("started_at"), str(zone))), local)
    flat = (
        sessions.join(numbered, on="listener_id")
        .join(roster.select("listener_id", "time_zone"), on="listener_id")
        .with_columns(weekend=pl.coalesce(local, _weekday(pl.col("started_at"), "UTC")) >= 6)
        .select("listener", "daypart", "weekend", "age_days", "tracks")
        .explode("tracks", keep_nulls=False)
        .with_columns(track_id=pl.col("tracks").struct.field("track_id"))
    )
    track = tracks.rows(flat["track_id"])
    part = flat["daypart"].replace_strict(list(DAYPARTS), range(len(DAYPARTS)), default=-1, return_dtype=pl.Int8)
    weight = flat.select((0.5 ** (pl.col("age_days") / HALF_LIFE_DAYS)).cast(pl.Float32)).to_series().to_numpy()
    there = (track >= 0) & (part.to_numpy() >= 0)
    return (
        flat["listener"].to_numpy().astype(np.int32)[there],
        track[there],
        part.to_numpy()[there],
        flat["weekend"].to_numpy()[there],
        weight[there],
    )


def _weekday(at: pl.Expr, zone: str) -> pl.Expr:
    """1 = Monday .. 7 = Sunday where the listener is; UTC in a zone that nothing here knows."""
    return (at.dt.convert_time_zone(zone) if known_zones([zone]) else at).dt.weekday().cast(pl.Int8)
