"""Listening sessions: the runs of plays between two pauses.

A session ends where the gap from one play's end to the next one's start exceeds 30 minutes, the pause that most
listening studies use (Last.fm sessions in Carneiro et al. 2011, the 30Music set of Turrin et al. 2015); it is cut
when a play starts 24 hours after the session did. A play ends at start + length (`transforms.listening.plays`), never after the
next start, so only neighbours decide and one shifted column is enough: no state is carried along the rows.

A session belongs to the date it starts on. At midnight it may still go on: then it is written `open` with what was
heard so far, and rewritten whole, closed, on the next date. Since it is cut at 24 hours it is never open twice. An
open row holds its plays, so the next date is folded from yesterday's open rows and today's listens alone:

    fold of dates 1..3  ==  dates 1..2, then 3 with the open rows of 2  ==  one date after the other

    plays      21:00 a   21:04 b   22:10 c          c starts 62 minutes after b ended
    sessions   [a, b]              [c]

Late listens are sessionised apart, by the date they were filed under, and never change an earlier session.

A session's device, platform and context are those of its first play that names one, so they too follow from what an open row
holds and the listens after it.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from transforms.common.hashing import hex_id, stable_hash
from transforms.common.time_zones import known_zones
from transforms.listening.plays import codes, ordered, run_starts, with_length
from transforms.tables.columns import WHERE, where_of
from transforms.tables.schema import TABLES, TIMESTAMP

LISTEN_COLUMNS = ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed", "late")
_DAY_US = 86_400_000_000
_PLAY = ("track_id", "started_at", "ms_played", "skipped", "completed")


class SessionSettings(BaseModel):
    """What ends a session."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gap_minutes: int = Field(30, ge=1, le=12 * 60, description="pause that ends a session, minutes")
    max_hours: int = Field(24, ge=1, le=24, description="a session is cut when it has lasted this long, hours")


def sessionize(
    listens: pl.DataFrame,
    gap: timedelta = timedelta(minutes=30),
    *,
    through: date,
    durations: pl.DataFrame | None = None,
    max_length: timedelta = timedelta(hours=24),
    opened: pl.DataFrame | None = None,
    time_zones: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Sessions of the listens of one or more whole dates, in any order.

    Args:
        listens: columns LISTEN_COLUMNS and `date`, the date they were filed under; optionally `new` (boolean), a play
            of a track the listener had never played before (without it nothing counts as new), and WHERE.
        gap: the pause that must be exceeded.
        through: the last of the dates.
        durations: track_id, duration_ms of known tracks.
        max_length: at most 24 hours.
        opened: rows of the sessions table, open on the date before the first one.
        time_zones: listener_id, time_zone (IANA); UTC where unknown.

    Returns:
        The columns of table `sessions` and `date`, the date a row is written to, sorted by (date, listener_id,
        started_at, session_id). A session open at the end of a date has a row on that date and, if that is not after
        `through`, its closed row on the next.

    Raises:
        ValueError: max_length above 24 hours, which would let a session be open at two midnights.
    """
    if not timedelta(0) < max_length <= timedelta(hours=24):
        raise ValueError(f"max_length must be above 0 and at most 24 hours; found {max_length}")
    gap_us, max_us = _us(gap), _us(max_length)
    plays = with_length(_plays(listens, opened), durations)
    if not plays.height:
        return _empty()
    listener, stream = _streams(plays)
    at = plays["started_at"].to_physical().to_numpy()
    order = ordered(stream, at, _by_hash(plays["track_id"]))
    plays, listener, stream, at = plays[order], listener[order], stream[order], at[order]
    end = at + plays["length_ms"].to_numpy() * 1000

    starts = run_starts(stream)
    starts[1:] |= at[1:] - end[:-1] > gap_us
    _cut(starts, at, max_us)
    first = np.flatnonzero(starts)
    count = np.diff(np.append(first, len(at)))

    begun = at[first]
    on_time = ~plays["late"].to_numpy()[first]
    filed = plays["date"].to_physical().to_numpy()[first].astype(np.int64)
    midnight = (begun // _DAY_US + 1) * _DAY_US
    before = np.concatenate([[0], np.cumsum(at < np.repeat(midnight, count))])
    by_midnight = before[first + count] - before[first]
    lasting = end[first + by_midnight - 1] if len(first) else end[:0]
    open_at_midnight = on_time & (lasting + gap_us >= midnight) & (begun + max_us > midnight)

    closes_on = np.where(on_time, begun // _DAY_US + open_at_midnight, filed)
    closed = np.flatnonzero(closes_on <= _epoch_day(through))
    opens = np.flatnonzero(open_at_midnight & ~plays["carried"].to_numpy()[first])
    rows = np.concatenate([closed, opens])
    written_on = np.concatenate([closes_on[closed], filed[opens]])
    is_open = np.repeat([False, True], [len(closed), len(opens)])
    order = np.lexsort((begun[rows], listener[first[rows]], written_on))
    rows, is_open = rows[order], is_open[order]
    kept = np.where(is_open, by_midnight[rows], count[rows])
    frame = _rows(plays, end, max_us, first[rows], kept, written_on=written_on[order], is_open=is_open)
    return _finish(frame, time_zones)


def _by_hash(track_ids: pl.Series) -> np.ndarray:
    """A number a track that orders them by hash, then id: what starts together must not stand in the order of its ids."""
    code, ids = codes(track_ids)
    rank = np.empty(len(ids), dtype=np.int64)
    if len(ids):
        rank[np.lexsort((np.arange(len(ids)), stable_hash(ids)))] = np.arange(len(ids))
    return rank[code]


def _empty() -> pl.DataFrame:
    return TABLES["sessions"].empty().with_columns(date=pl.lit(None, dtype=pl.Date))


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _epoch_day(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _plays(listens: pl.DataFrame, opened: pl.DataFrame | None) -> pl.DataFrame:
    """Listens and the plays of open sessions in one frame; `new` counts new plays, a carried session's on its first."""
    new = pl.col("new").cast(pl.Int32) if "new" in listens.columns else pl.lit(0, dtype=pl.Int32)
    plays = listens.select(*LISTEN_COLUMNS, "date", *where_of(listens.columns), new=new, carried=pl.lit(False))
    if opened is None or not opened.height:
        return plays
    carried = (
        opened.select(
            "listener_id",
            "tracks",
            *where_of(opened.columns),
            news=(pl.col("new_share") * pl.col("plays")).round().cast(pl.Int32),
        )
        .explode("tracks")
        .with_columns(pl.col("tracks").struct.unnest())
        .with_columns(
            late=pl.lit(False),
            date=pl.col("started_at").dt.date(),
            carried=pl.lit(True),
            new=pl.when(pl.col("listener_id").is_first_distinct()).then("news").otherwise(0),
        )
    )
    # the carried plays may name ids that encoded listens do not know
    plays = plays.with_columns(pl.col("listener_id", "track_id").cast(pl.String))
    return pl.concat([carried.select(plays.columns).cast(plays.schema), plays])


def _first_said(values: pl.Series, first: np.ndarray, count: np.ndarray) -> pl.Series:
    """Of each range [first, first + count) the first value that is not null."""
    said = np.flatnonzero(values.is_not_null().to_numpy())
    if not len(said):
        return pl.repeat(None, len(first), dtype=pl.String, eager=True)
    at = np.minimum(np.searchsorted(said, first), len(said) - 1)
    there = (said[at] >= first) & (said[at] < first + count)
    return values.gather(pl.Series(np.where(there, said[at], -1)).replace(-1, None))


def _streams(plays: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Listeners as numbers, and numbers of what can form sessions: a listener's plays, or their late ones of a date."""
    listeners = codes(plays["listener_id"])[0]
    if not plays["late"].any():
        return listeners, listeners
    days = plays["date"].to_physical().to_numpy().astype(np.int64)
    late = np.where(plays["late"].to_numpy(), days - days.min() + 1, 0)
    return listeners, listeners * int(late.max() + 1) + late


def _cut(starts: np.ndarray, at: np.ndarray, max_us: int) -> None:
    """Start a new session, in place, at each play that starts `max_us` or more after its session did."""
    first = np.flatnonzero(starts)
    count = np.diff(np.append(first, len(at)))
    last = first + count - 1
    long = at[last] - at[first] >= max_us if len(first) else np.zeros(0, dtype=bool)
    first, last = first[long], last[long]
    while len(first):
        # one search a round for all long sessions at once: the first play of each that is too late
        low, high = first.copy(), last.copy()
        while (low < high).any():
            middle = (low + high) // 2
            late = at[middle] - at[first] >= max_us
            high = np.where(late, middle, high)
            low = np.where(late, low, middle + 1)
        starts[low] = True
        still = at[last] - at[low] >= max_us
        first, last = low[still], last[still]


def _rows(
    plays: pl.DataFrame,
    end: np.ndarray,
    max_us: int,
    first: np.ndarray,
    count: np.ndarray,
    *,
    written_on: np.ndarray,
    is_open: np.ndarray,
) -> pl.DataFrame:
    """One row for each range of plays [first, first + count)."""
    offsets = np.concatenate([[0], np.cumsum(count)])
    total = int(offsets[-1])
    inside = plays[np.repeat(first - offsets[:-1], count) + np.arange(total)]
    struct = (
        inside.select(pl.struct(pl.col("track_id").cast(pl.String), *_PLAY[1:]))
        .to_series()
        .to_arrow(compat_level=pl.CompatLevel.newest())
    )
    tracks = pa.LargeListArray.from_arrays(pa.array(offsets, type=pa.int64()), struct)
    sums = {
        name: np.concatenate([[0], np.cumsum(inside[name].fill_null(0).to_numpy().astype(np.int64))])
        for name in ("skipped", "new")
    }
    skips, new = (sums[n][offsets[1:]] - sums[n][offsets[:-1]] for n in ("skipped", "new"))
    head = plays[first]
    begun = head["started_at"].to_physical().to_numpy()
    ended = np.minimum(end[first + count - 1], begun + max_us)
    return pl.DataFrame(
        {
            "date": pl.Series(written_on.astype(np.int32)).cast(pl.Date),
            "listener_id": head["listener_id"].cast(pl.String),
            "late": head["late"],
            "started_at": head["started_at"],
            "ended_at": pl.Series(ended).cast(pl.Datetime("us", TIMESTAMP.tz)),
            "open": is_open,
            "tracks": pl.Series(pl.from_arrow(tracks)),
            "plays": pl.Series(count.astype(np.int32)),
            "skips": pl.Series(skips.astype(np.int32)),
            "new_share": pl.Series((new / np.maximum(count, 1)).astype(np.float32)),
            **{name: _first_said(plays[name], first, count) for name in WHERE},
        }
    )


def _finish(frame: pl.DataFrame, time_zones: pl.DataFrame | None) -> pl.DataFrame:
    """Add session_id and daypart; columns and order as declared."""
    ids = hex_id(frame["listener_id"], frame["started_at"])
    late = bool(frame["late"].any())
    if late:
        # a late session may start with the very microsecond of one that is already written
        apart = hex_id(frame["listener_id"], frame["started_at"], frame["date"])
        ids = (
            pl.DataFrame({"on_time": ids, "late": apart, "is_late": frame["late"]})
            .select(pl.when("is_late").then("late").otherwise("on_time"))
            .to_series()
        )
    frame = frame.with_columns(session_id=ids, daypart=daypart(frame.select("listener_id", "started_at"), time_zones))
    frame = frame.select(*TABLES["sessions"].polars, "date")
    # rows come in order but for sessions of one listener and start, which only a late one can make
    return frame.sort("date", "listener_id", "started_at", "session_id") if late else frame


def daypart(sessions: pl.DataFrame, time_zones: pl.DataFrame | None = None) -> pl.Series:
    """night (0 to 6), morning (6 to 12), afternoon (12 to 18) or evening (18 to 24) where the listener is.

    Args:
        sessions: columns listener_id, started_at (UTC).
        time_zones: listener_id (unique), time_zone; unknown zones and listeners count as UTC.
    """
    hour = sessions["started_at"].dt.hour()
    if time_zones is not None and time_zones.height:
        zone = sessions.join(
            time_zones.select("listener_id", "time_zone"), on="listener_id", how="left", maintain_order="left"
        )["time_zone"]
        for name in sorted(known_zones(zone.unique())):
            local = sessions["started_at"].dt.convert_time_zone(name).dt.hour()
            hour = hour.zip_with(zone.ne_missing(name), local)
    names = pl.DataFrame({"part": range(4), "daypart": ["night", "morning", "afternoon", "evening"]})
    parts = pl.DataFrame({"part": (hour // 6).cast(pl.Int64)})
    return parts.join(names, on="part", how="left", maintain_order="left")["daypart"]


def last_known(sessions: pl.DataFrame) -> pl.DataFrame:
    """One row a session: the closed one, else the open one with most plays.

    Args:
        sessions: table `sessions` of several dates, the last of which may hold open rows; columns listener_id,
            started_at, session_id, open and plays at least.

    Returns:
        the same columns, sorted by listener and start.
    """
    order = {"listener_id": False, "started_at": False, "session_id": False, "open": False, "plays": True}
    return sessions.sort(*order, descending=list(order.values())).unique(
        ["listener_id", "session_id"], keep="first", maintain_order=True
    )
