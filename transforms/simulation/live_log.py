"""What a service would log of a lived day: plays in time, impressions, feedback.

A session plays what home offered first, then what it would have played anyway and what it comes back to, then what the
other surfaces offered. Sessions that grew longer by that push the listener's next ones back; what would start after the
day's end is not played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from transforms.simulation.block import _times
from transforms.simulation.catalog import MARKETS
from transforms.simulation.draws import child, geometric, normal, uniform
from transforms.simulation.listening import PAUSE_BETWEEN_SESSIONS_MS, without_overlap
from transforms.simulation.live_state import Menu
from transforms.simulation.live_visit import Listeners, Looked, blocks, saves
from transforms.simulation.raw_log import COLUMNS, SOURCES
from transforms.simulation.settings import DAY_MS
from transforms.simulation.tastes import PLATFORMS
from transforms.simulation.visits import Visits

HOME = "home"
SHELF_KIND = SOURCES.index("shelf")


@dataclass(frozen=True)
class Played:
    """Plays as arrays; `kind` as in `visits`; `entry`: the menu's item it was played from, -1 = none; `started`: ms."""

    session: np.ndarray
    row: np.ndarray
    track: np.ndarray
    key: np.ndarray
    elapsed: np.ndarray
    skipped: np.ndarray
    completed: np.ndarray
    kind: np.ndarray
    entry: np.ndarray
    started: np.ndarray
    visit: np.ndarray  # which round of visits, -1 = none

    @classmethod
    def of(cls, **arrays: np.ndarray) -> Played:
        """Plays that are not in time yet, and of no shelf unless `entry` says so."""
        n = len(arrays["row"])
        none = {name: np.full(n, -1, dtype=np.int64) for name in ("entry", "started", "visit")}
        return cls(**(none | arrays))

    def take(self, which: np.ndarray) -> Played:
        """Some of them."""
        return replace(self, **{name: values[which] for name, values in vars(self).items()})


def timeline(
    visits: Visits,
    menu: Menu,
    rounds: Sequence[tuple[int, np.ndarray, Looked]],
    own: Played,
    again: Played,
    who: Listeners,
    day: int,
) -> Played:
    """All plays of a day in time, by listener.

    Args:
        rounds: (surface, sessions, what was looked at) of every round of visits.
        day: days since 1970-01-01.
    """
    parts, orders = [own, again], [np.full(len(own.row), 1), np.full(len(again.row), 1)]
    for number, (surface, sessions, looked) in enumerate(rounds):
        parts.append(_from_shelf(who, visits, sessions, looked, number))
        orders.append(np.full(len(parts[-1].row), 0 if menu.surfaces[surface] == HOME else 2))
    every = {name: np.concatenate([getattr(p, name) for p in parts]) for name in vars(own)}
    plays, order = Played(**every), np.concatenate(orders)
    at = np.arange(len(order))
    plays = plays.take(np.lexsort((at, order, plays.session)))
    took = plays.elapsed + 1500 + geometric(plays.key, "gap", 700.0)
    ahead = np.cumsum(took) - took
    found, first, of = np.unique(plays.session, return_index=True, return_inverse=True)
    length = np.bincount(of, took, len(found)).astype(np.int64) + PAUSE_BETWEEN_SESSIONS_MS
    row = visits.session_row[found]
    wished = np.maximum(visits.session_start[found], day * DAY_MS)
    by_time = np.lexsort((wished, row))
    start = np.empty(len(found), dtype=np.int64)
    start[by_time] = without_overlap(wished[by_time], length[by_time], row[by_time])
    started = start[of] + ahead - ahead[first][of]
    plays = replace(plays, started=started.astype(np.int64))
    return plays.take(np.flatnonzero(started < (day + 1) * DAY_MS))


def _from_shelf(who: Listeners, visits: Visits, sessions: np.ndarray, looked: Looked, number: int) -> Played:
    mine = np.flatnonzero(looked.played)
    session, track = sessions[looked.visit[mine]], looked.track[mine]
    key = child(visits.session_key[session], 8_000_000 + looked.entry[mine])
    length = who.catalog.duration_ms[track].astype(np.int64)
    partial = np.minimum(np.exp(np.log(18_000) + 1.1 * normal(key, "partial")), 0.92 * length).astype(np.int64) + 500
    return Played.of(
        session=session,
        row=looked.row[mine].astype(np.int64),
        track=track,
        key=key,
        elapsed=np.where(looked.skipped[mine], partial, length),
        skipped=looked.skipped[mine],
        completed=looked.completed[mine],
        kind=np.full(len(mine), SHELF_KIND),
        entry=looked.entry[mine],
        visit=np.full(len(mine), number),
    )


def listens_of(who: Listeners, visits: Visits, menu: Menu, played: Played) -> pl.DataFrame:
    """The plays in the columns of the service's log. Televisions send neither lengths nor skips."""
    tastes = who.tastes
    device = visits.session_device[played.session]
    platform = np.where(device == 2, len(PLATFORMS) - 1, tastes.platform[played.row, np.minimum(device, 1)])
    known = pl.Series(platform != PLATFORMS.index("tv"))
    shelf = pl.concat([pl.Series([None], dtype=pl.String), menu.rows["shelf_id"]]).gather(played.entry + 1)
    people = pl.Series(tastes.listener_id, dtype=pl.String)
    reason = np.where(played.skipped, 1, np.where(played.completed, 0, 2))
    shuffle = uniform(visits.session_key[played.session], "shuffle") < 0.3
    return (
        pl.DataFrame(
            {
                "user": people.gather(played.row),
                "track": pl.Series(who.catalog.track_id, dtype=pl.String).gather(played.track),
                "ts": played.started,
                "ms_played": pl.Series(played.elapsed.astype(np.int32)),
                "reason_end": pl.Series(("trackdone", "fwdbtn", "endplay"), dtype=pl.String).gather(reason),
                "skipped": played.skipped,
                "finished": played.completed,
                "source": pl.Series(SOURCES, dtype=pl.String).gather(played.kind),
                "shelf": shelf,
                "device": people.gather(played.row)
                + pl.Series(("-0", "-1", "-speaker"), dtype=pl.String).gather(device),
                "shuffle": shuffle & np.isin(played.kind, (1, 2, 3)),
                "platform": pl.Series(PLATFORMS, dtype=pl.String).gather(platform),
                "country": pl.Series(MARKETS, dtype=pl.String).gather(tastes.market[played.row]),
            }
        )
        .with_columns(
            pl.when(known).then(pl.col(c)).alias(c) for c in ("ms_played", "reason_end", "skipped", "finished")
        )
        .select(*COLUMNS)
        .sort("ts", "user", "track")
    )


def impressions_of(
    visits: Visits,
    menu: Menu,
    rounds: Sequence[tuple[int, np.ndarray, Looked]],
    played: Played,
    logs: Literal["displayed", "page"] = "displayed",
) -> pl.DataFrame:
    """Table `impressions`: everything that was displayed, shown a few seconds before the session's first play.

    Args:
        logs: `page`: all that stood on the surface, displayed or not, as an app does that logs what it sent.
    """
    start = dict(zip(*_first(played.session, played.started), strict=True))
    parts = []
    for surface, sessions, looked in rounds:
        own = [start.get(s, visits.session_start[s]) for s in sessions.tolist()]
        visit, entry = looked.visit, looked.entry
        if logs == "page":
            visit, entry = menu.of(visits.session_row[sessions], surface)
        at = np.array(own, dtype=np.int64)[visit] - 3000
        parts.append(menu.rows[entry].with_columns(shown_at=_times(at)))
    shown = pl.concat(parts) if parts else menu.rows.clear().with_columns(shown_at=_times(np.zeros(0, dtype=np.int64)))
    return shown.select(
        "listener_id",
        "surface",
        "shelf_id",
        "version",
        "track_id",
        pl.col("position").cast(pl.Int32),
        pl.lit("item").alias("item_or_spare"),
        "shown_at",
    ).sort("listener_id", "shown_at", "surface", "shelf_id", "position")


def _first(group: np.ndarray, values: np.ndarray) -> tuple[list[int], list[int]]:
    order = np.lexsort((values, group))
    found, at = np.unique(group[order], return_index=True)
    return found.tolist(), values[order][at].tolist()


def feedback_of(
    who: Listeners, menu: Menu, rounds: Sequence[tuple[int, np.ndarray, Looked]], played: Played, number: int
) -> pl.DataFrame:
    """Table `feedback`: saves and blocks of what shelves offered, at the end of the play that led to them (or of the day)."""
    last = (who.settings.first_day + number + 1) * DAY_MS - 1
    ends: dict[tuple[int, int], int] = {
        (v, e): t
        for v, e, t in zip(
            played.visit.tolist(),
            played.entry.tolist(),
            np.minimum(played.started + played.elapsed, last).tolist(),
            strict=True,
        )
        if e >= 0
    }
    rows = []
    people, tracks = who.tastes.listener_id, who.catalog.track_id
    for n, (_, _, looked) in enumerate(rounds):
        for kind, marks in (("save", saves(who, looked, number)), ("block_track", blocks(who, looked, number))):
            for i in np.flatnonzero(marks).tolist():
                at = ends.get((n, int(looked.entry[i])))
                if at is not None:
                    rows.append((people[looked.row[i]], kind, tracks[looked.track[i]], at))
    names = ("listener_id", "kind", "target", "at")
    frame = pl.DataFrame(rows, schema={n: pl.Int64 if n == "at" else pl.String for n in names}, orient="row")
    frame = frame.with_columns(at=_times(frame["at"].to_numpy())).sort("listener_id", "at", "kind", "target")
    return frame.unique(["listener_id", "kind", "target"], keep="first", maintain_order=True)
