"""Cadence on the listener's own clock: when a shelf changes, and the hours in which it holds."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from tests.transforms.shelves.worlds import (
    MONDAY,
    candidate,
    catalog_of,
    frame,
    make,
    one_shelf,
    roster,
    shelf,
    tracks,
)
from transforms.shelves.cadence import Clock, last_refresh
from transforms.shelves.history import History, TrackSide
from transforms.shelves.settings import NightContext
from transforms.shelves.tracks import Tracks

SUNDAY = MONDAY - dt.timedelta(days=1)
ZONES = ["Asia/Tokyo", "America/New_York", None, "Nowhere/Atlantis"]
# Names that Python's files define and Polars does not know; no such name comes through ingest, but an older warehouse has some.
OF_ONE_LIBRARY = ["localtime", "Factory"]


def clock(date: dt.date) -> Clock:
    return Clock(date, NightContext(date).data_cutoff, ZONES)


def at(day: dt.date, hour: int) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour), tzinfo=dt.UTC)


def test_east_of_greenwich_the_next_date_has_begun_when_the_night_ends() -> None:
    assert clock(SUNDAY).ahead().tolist() == [1, 0, 0, 0]
    assert clock(SUNDAY).weekend().tolist() == [False, True, False, False], "Monday 9:00, Sunday 20:00, Monday 0:00"


@pytest.mark.parametrize(
    ("daypart", "tokyo", "new_york"),
    [
        ("morning", (at(MONDAY, 0), at(MONDAY, 3)), (at(MONDAY, 10), at(MONDAY, 16))),
        ("evening", (at(MONDAY, 9), at(MONDAY, 15)), (at(MONDAY, 0), at(MONDAY, 4))),
        ("night", (at(MONDAY, 15), at(MONDAY, 21)), (at(MONDAY, 4), at(MONDAY, 10))),
    ],
)
def test_a_daypart_holds_in_the_next_such_hours_that_are_not_over(
    daypart: str, tokyo: tuple[dt.datetime, ...], new_york: tuple[dt.datetime, ...]
) -> None:
    found = clock(SUNDAY).window(daypart)  # type: ignore[arg-type]
    assert found[:2] == [tokyo, new_york]
    assert found[2] == found[3], "a zone that nobody knows is UTC"


@pytest.mark.parametrize("zone", OF_ONE_LIBRARY)
def test_a_zone_that_only_one_library_knows_is_utc_for_that_listener_and_no_end_of_a_night(zone: str) -> None:
    sessions = pl.DataFrame(
        {
            "listener_id": ["ann"],
            "started_at": [at(SUNDAY, 23)],
            "daypart": ["evening"],
            "age_days": [1.0],
            "tracks": [[{"track_id": "a"}]],
        }
    )
    heard = pl.DataFrame({"listener_id": ["ann"], "track_id": ["a"], "decayed_plays": [1.0]})
    catalog = Tracks.build(catalog_of(frame(candidate("a", 1))), pl.Series(["a"]))

    def known(name: str) -> History:
        people = roster("ann").with_columns(time_zone=pl.lit(name))
        return History.of(heard, sessions, people, catalog, TrackSide.of(catalog))

    assert known(zone).session_weekend.tolist() == known("UTC").session_weekend.tolist() == [True]
    assert known("Asia/Tokyo").session_weekend.tolist() == [False], "there it is Monday"
    found = Clock(SUNDAY, NightContext(SUNDAY).data_cutoff, [zone, "UTC"])
    assert found.window("morning")[0] == found.window("morning")[1] and found.weekend().tolist() == [False, False]


@pytest.mark.parametrize(
    ("refresh", "zone", "night"),
    [
        ("monday", "Europe/Stockholm", SUNDAY),
        ("monday", "Asia/Tokyo", SUNDAY),
        ("monday", "Europe/London", MONDAY),
        ("monday", "America/New_York", MONDAY),
        ("sunday", "Europe/London", SUNDAY),
        ("sunday", "Europe/Stockholm", SUNDAY - dt.timedelta(days=1)),
    ],
)
def test_weekly_shelves_in_days_as_the_contract_says(refresh: str, zone: str, night: dt.date) -> None:
    """In winter: the nights of a week, and the one of them that changes the shelf."""
    winter = dt.timedelta(days=(dt.date(2024, 12, 2) - MONDAY).days)
    wanted = night + winter

    def changes(date: dt.date) -> bool:
        here = date + dt.timedelta(days=int(Clock(date, NightContext(date).data_cutoff, [zone]).ahead()[0]))
        return last_refresh(refresh, here) == here  # type: ignore[arg-type]

    week = [wanted + dt.timedelta(days=n) for n in range(-3, 4)]
    assert [date for date in week if changes(date)] == [wanted]


def test_a_monday_shelf_changes_in_the_night_that_ends_on_the_listeners_monday() -> None:
    """Both have Friday's shelf; Sunday's night ends on Monday in Tokyo and still on Sunday in New York."""
    weekly = one_shelf(size=2, refresh="monday")
    people = pl.concat([roster("ann", "bob").with_columns(time_zone=pl.Series(["Asia/Tokyo", "America/New_York"]))])
    old = [candidate(name, score, listener_id=who) for who in ("ann", "bob") for name, score in (("a", 2), ("b", 1))]
    new = [*old, candidate("new", 9, listener_id="ann"), candidate("new", 9, listener_id="bob")]
    friday = make(frame(*old), NightContext(SUNDAY - dt.timedelta(days=2)), settings=weekly, roster=people).shelves
    sunday = make(frame(*new), NightContext(SUNDAY), settings=weekly, roster=people, previous=friday)
    assert (tracks(sunday), tracks(sunday, listener="bob")) == (["new", "a"], ["a", "b"])
    assert shelf(sunday)["valid_until"] == at(MONDAY + dt.timedelta(days=7), 0), (
        "until Sunday's night of next week is out"
    )
    assert shelf(sunday, listener="bob")["valid_until"] == at(MONDAY + dt.timedelta(days=1), 0)
    monday = make(
        frame(*new), NightContext(MONDAY), settings=weekly, roster=people, previous=pl.concat([friday, sunday.shelves])
    )
    assert shelf(monday)["refresh_date"] == SUNDAY, "never twice in one local week"
    assert (tracks(monday), tracks(monday, listener="bob")) == (["new", "a"], ["new", "a"])


def test_shelves_of_two_dayparts_may_hold_the_same_and_neither_repeats_what_stands_all_day() -> None:
    fields = {"title": "x", "size": 2, "spares": 0, "open_slots": 0}
    from transforms.shelves.settings import ShelfSettings, ShelvesSettings

    shelves = (
        ShelfSettings(shelf_id="all-day", **{**fields, "size": 1}),
        *(ShelfSettings(shelf_id=part, daypart=part, **fields) for part in ("morning", "evening")),
    )
    made = make(
        frame(*(candidate(n, s) for n, s in (("a", 3), ("b", 2), ("c", 1)))), settings=ShelvesSettings(shelves=shelves)
    )
    assert [tracks(made, name) for name in ("all-day", "morning", "evening")] == [["a"], ["b", "c"], ["b", "c"]]
    assert shelf(made, "morning")["valid_from"].hour == 6 and shelf(made, "morning")["valid_until"].hour == 12
