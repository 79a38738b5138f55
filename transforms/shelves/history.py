"""What the listeners of a block played, in rows of `Tracks`: what evidence and variety are made of.

>>> history = History.of(plays, sessions, tracks, listener_ids, vectors, audience)     # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from transforms.common.hashing import stable_hash
from transforms.common.time_zones import known_zones
from transforms.shelves.cadence import DAYPARTS
from transforms.shelves.tracks import Tracks
from transforms.tables.columns import WHERE, where_of

HALF_LIFE_DAYS = 14.0  # of a play in a session, for dayparts
_NOTHING = "\x1f"
_SESSIONS = {
    "listener_id": pl.String(),
    "started_at": pl.Datetime("us", "UTC"),
    "daypart": pl.String(),
    "age_days": pl.Float64(),
    "tracks": pl.List(pl.Struct({"track_id": pl.String()})),
}
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
class Occasions:
    """Sessions lately.

    Attributes:
        listener: int32; part: int8, place in `DAYPARTS`; weekend: bool; weight: float32, as of their plays.
        place: int32, place in `where`.
        where: device_id, platform, context: what sessions say of where they were had, in an order without meaning.
    """

    listener: np.ndarray
    part: np.ndarray
    weekend: np.ndarray
    weight: np.ndarray
    place: np.ndarray
    where: pl.DataFrame


@dataclass(frozen=True)
class History:
    """A block's listeners.

    Attributes:
        listener, track: int32[m], pairs heard, sorted by listener; weight: float32, decayed plays.
        bounds: int64[listeners + 1].
        session_listener, session_track: int32, plays in sessions lately; session_part: int8, place in `DAYPARTS`;
            session_weekend: bool, started on a Saturday or Sunday of the listener; session_weight: float32;
            session_where: int32, place in `occasions.where`.
        occasions: these sessions, one entry each.
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
    session_where: np.ndarray
    occasions: Occasions
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
        lately, occasions = _session_plays(sessions, numbered, roster, tracks)
        return cls(
            listener[order],
            track[order].astype(np.int32),
            weight[order],
            np.searchsorted(listener[order], np.arange(roster.height + 1)),
            lately.listener,
            lately.track,
            lately.part,
            lately.weekend,
            lately.weight,
            lately.where,
            occasions,
            side,
        )


class _Lately(NamedTuple):
    """Plays in sessions, see `History`."""

    listener: np.ndarray
    track: np.ndarray
    part: np.ndarray
    weekend: np.ndarray
    weight: np.ndarray
    where: np.ndarray


def _session_plays(
    sessions: pl.DataFrame | None, numbered: pl.DataFrame, roster: pl.DataFrame, tracks: Tracks
) -> tuple[_Lately, Occasions]:
    if sessions is None:
        sessions = pl.DataFrame(schema=_SESSIONS)
    local = pl.lit(None, dtype=pl.Int8)
    for (zone,), _ in roster.select(pl.col("time_zone").drop_nulls()).group_by("time_zone"):
        local = pl.coalesce(pl.when(pl.col("time_zone") == zone).then(_weekday(pl.col("started_at"), str(zone))), local)
    each = (
        sessions.join(numbered, on="listener_id", maintain_order="left")
        .join(roster.select("listener_id", "time_zone"), on="listener_id", maintain_order="left")
        .select(
            "listener",
            "tracks",
            *where_of(sessions.columns),
            weekend=pl.coalesce(local, _weekday(pl.col("started_at"), "UTC")) >= 6,
            part=pl.col("daypart").replace_strict(
                list(DAYPARTS), range(len(DAYPARTS)), default=-1, return_dtype=pl.Int8
            ),
            weight=(0.5 ** (pl.col("age_days") / HALF_LIFE_DAYS)).cast(pl.Float32),
        )
    )
    place, where = places(each.select(WHERE))
    each = each.with_columns(place=place).drop(WHERE)
    flat = each.explode("tracks", keep_nulls=False)
    track = tracks.rows(flat.select(pl.col("tracks").struct.field("track_id")).to_series())
    names = ("listener", "part", "weekend", "weight", "place")
    who, part, weekend, weight, place_of = (flat[name].to_numpy() for name in names)
    there = (track >= 0) & (part >= 0)
    plays = _Lately(
        who.astype(np.int32)[there], track[there], part[there], weekend[there], weight[there], place_of[there]
    )
    who, part, weekend, weight, place_of = (each[name].to_numpy() for name in names)
    there = part >= 0
    each_of = (who.astype(np.int32)[there], part[there], weekend[there], weight[there], place_of[there])
    return plays, Occasions(*each_of, where)


def aged(sessions: pl.DataFrame, end: datetime) -> pl.DataFrame:
    """Sessions with `age_days`, from their start to the end of the night's date."""
    return sessions.with_columns(age_days=(pl.lit(end) - pl.col("started_at")).dt.total_seconds() / 86_400)


def places(said: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """Rows of WHERE as numbers: int32, place of each among the distinct ones, which stand by hash, so in no order of meaning."""
    where = said.unique()
    text = where.select(pl.concat_str(pl.all().fill_null(_NOTHING), separator=_NOTHING)).to_series()
    where = where.with_columns(hash=stable_hash(text)).sort("hash", *said.columns).drop("hash")
    numbered = where.with_columns(place=pl.int_range(pl.len(), dtype=pl.Int32))
    found = said.join(numbered, on=said.columns, how="left", nulls_equal=True, maintain_order="left")
    return found["place"], where


def _weekday(at: pl.Expr, zone: str) -> pl.Expr:
    """1 = Monday .. 7 = Sunday where the listener is; UTC in a zone that nothing here knows."""
    return (at.dt.convert_time_zone(zone) if known_zones([zone]) else at).dt.weekday().cast(pl.Int8)
