"""A weekly shelf is carried between its refresh days; only rules run again."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from tests.transforms.shelves.worlds import (
    MONDAY,
    TUESDAY,
    blocks,
    candidate,
    frame,
    make,
    one_shelf,
    popular,
    shelf,
    spares,
    tracks,
)
from transforms.shelves.cadence import last_refresh, next_refresh
from transforms.shelves.settings import NightContext

WEEKLY = one_shelf(size=3, spares=2, refresh="monday")
MON = frame(*(candidate(name, score) for name, score in zip("abcdef", (6, 5, 4, 3, 2, 1), strict=True)))
NEW = frame(candidate("new", 99.0), *MON.to_dicts())
TUE = NightContext(TUESDAY, "v2")
DAY = dt.timedelta(days=1)


def monday(**settings: object) -> pl.DataFrame:
    """Monday's shelves: items a b c, spares d e."""
    return make(MON, settings=one_shelf(**{"size": 3, "spares": 2, "refresh": "monday", **settings})).shelves


def test_between_refresh_days_the_shelf_stays_though_better_candidates_came() -> None:
    made = make(NEW, TUE, settings=WEEKLY, previous=monday())
    assert tracks(made) == ["a", "b", "c"]
    assert spares(made) == ["d", "e"]
    row = shelf(made)
    assert (row["run_date"], row["refresh_date"]) == (TUESDAY, MONDAY)
    assert row["version"] == "v2"
    assert row["valid_until"] == dt.datetime(2024, 5, 14, tzinfo=dt.UTC)


def test_on_the_refresh_day_it_is_chosen_anew() -> None:
    made = make(NEW, NightContext(MONDAY + 7 * DAY), settings=WEEKLY, previous=monday())
    assert tracks(made) == ["new", "a", "b"]
    assert shelf(made)["refresh_date"] == MONDAY + 7 * DAY


def test_a_missed_refresh_day_is_made_up_for() -> None:
    made = make(NEW, NightContext(MONDAY + 9 * DAY), settings=WEEKLY, previous=monday())
    assert tracks(made)[0] == "new"


def test_carrying_goes_through_the_whole_week_night_by_night() -> None:
    previous = first = monday()
    for days in range(1, 7):
        made = make(NEW, NightContext(MONDAY + days * DAY), settings=WEEKLY, previous=previous)
        previous = pl.concat([previous, made.shelves])
        assert shelf(made)["items"] == shelf(first)["items"]


def test_a_removed_item_is_replaced_in_its_place_from_the_spares() -> None:
    made = make(NEW, TUE, settings=WEEKLY, previous=monday(), blocks=blocks(("block_track", "b")))
    assert tracks(made) == ["a", "d", "c"]
    assert spares(made) == ["e"]


def test_a_blocked_spare_is_no_replacement() -> None:
    acts = blocks(("block_track", "b"), ("block_artist", "by-d"))
    assert tracks(make(NEW, TUE, settings=WEEKLY, previous=monday(), blocks=acts)) == ["a", "e", "c"]


def test_without_spares_left_the_shelf_gets_shorter_without_a_gap() -> None:
    acts = blocks(*(("block_track", name) for name in "bde"))
    made = make(NEW, TUE, settings=WEEKLY, previous=monday(), blocks=acts)
    assert [(i["position"], i["track_id"]) for i in shelf(made)["items"]] == [(1, "a"), (2, "c")]


def test_when_nothing_is_left_it_is_chosen_anew() -> None:
    acts = blocks(*(("block_track", name) for name in "abcde"))
    made = make(NEW, TUE, settings=WEEKLY, previous=monday(), blocks=acts)
    assert tracks(made) == ["new", "f"]
    assert shelf(made)["refresh_date"] == TUESDAY


@pytest.mark.parametrize("told_by", ["candidates", "library"])
def test_an_item_heard_since_gives_way(told_by: str) -> None:
    heard = frame(candidate("a", 6, heard_before=True), candidate("f", 1))
    library = pl.DataFrame({"listener_id": ["ann"], "track_id": ["a"]})
    # No candidate tells the recordings of b, c and d any more, so the catalog does.
    catalog = pl.DataFrame({"track_id": list("abcdef"), "recording_id": [f"r-{name}" for name in "abcdef"]})
    if told_by == "candidates":
        made = make(heard, TUE, settings=WEEKLY, previous=monday(), catalog=catalog)
    else:
        made = make(MON, TUE, settings=WEEKLY, previous=monday(), catalog=catalog, library=library)
    assert tracks(made) == ["d", "b", "c"]


def test_a_track_that_left_the_catalog_or_the_market_gives_way() -> None:
    catalog = pl.DataFrame(
        {
            "track_id": list("bcde"),
            "recording_id": [f"r-{name}" for name in "bcde"],
            "markets": [["FR"], None, None, None],
        },
        schema_overrides={"markets": pl.List(pl.String)},
    )
    now = MON.filter(pl.col("track_id") != "a")
    assert tracks(make(now, TUE, settings=WEEKLY, previous=monday(), catalog=catalog)) == ["d", "e", "c"]


def test_a_catalog_may_lack_what_is_a_candidate() -> None:
    catalog = pl.DataFrame({"track_id": ["z"], "recording_id": ["r-z"]})
    assert tracks(make(MON, TUE, settings=WEEKLY, previous=monday(), catalog=catalog)) == ["a", "b", "c"]


def test_draws_keep_their_first_propensities_and_are_not_drawn_again() -> None:
    first = monday(open_slots=1)
    settings = one_shelf(size=3, spares=2, refresh="monday", open_slots=1)
    made = make(NEW, TUE, settings=settings, previous=first)
    assert shelf(made)["items"] == shelf(first)["items"]
    assert shelf(made)["items"][1]["explored"] and shelf(made)["items"][1]["propensity"] is not None
    assert made.draws.is_empty()


def test_a_replacement_was_not_drawn() -> None:
    first = monday(open_slots=1)
    drawn = shelf(first)["items"][1]["track_id"]
    settings = one_shelf(size=3, spares=2, refresh="monday", open_slots=1)
    item = shelf(make(NEW, TUE, settings=settings, previous=first, blocks=blocks(("dislike", drawn))))["items"][1]
    assert (item["explored"], item["propensity"]) == (False, None)
    assert item["track_id"] == spares(first)[0]


def test_a_fallback_is_not_carried_once_there_is_a_history() -> None:
    first = make(frame(), settings=WEEKLY, popular=popular("p")).shelves
    assert shelf(first)["status"] == "fallback"
    made = make(MON, TUE, settings=WEEKLY, previous=first, popular=popular("p"))
    assert (tracks(made), shelf(made)["status"]) == (["a", "b", "c"], "personal")


def test_a_daily_shelf_is_never_carried() -> None:
    daily = one_shelf(size=3, spares=2)
    assert tracks(make(NEW, TUE, settings=daily, previous=make(MON, settings=daily).shelves))[0] == "new"


def test_greedy_carries_and_cools_nothing() -> None:
    cooled = one_shelf(size=3, spares=2, refresh="monday", rules={"cool_down": {"days": 28}})
    made = make(NEW, NightContext(TUESDAY, greedy=True), settings=cooled, previous=monday())
    assert tracks(made) == ["new", "a", "b"]


@pytest.mark.parametrize(("weeks", "expected"), [(1, ["new", "d", "e"]), (5, ["new", "a", "b"])])
def test_what_was_shown_stays_away_for_the_cool_down(weeks: int, expected: list[str]) -> None:
    cooled = one_shelf(size=3, spares=2, refresh="monday", rules={"cool_down": {"days": 28}})
    assert tracks(make(NEW, NightContext(MONDAY + weeks * 7 * DAY), settings=cooled, previous=monday())) == expected


def shown(*tracks: str, listener: str = "ann", shelf_id: str = "discover", days_before: int = 3) -> pl.DataFrame:
    """Impressions some days before Monday a week after `MONDAY`."""
    at = dt.datetime.combine(MONDAY + (7 - days_before) * DAY, dt.time(9), tzinfo=dt.UTC)
    rows = [(listener, shelf_id, track, at) for track in tracks]
    return pl.DataFrame(
        rows,
        schema={
            "listener_id": pl.String,
            "shelf_id": pl.String,
            "track_id": pl.String,
            "shown_at": pl.Datetime("us", "UTC"),
        },
        orient="row",
    )


@pytest.mark.parametrize(
    ("impressions", "expected"),
    [
        (shown("a"), ["new", "b", "c"]),  # a was seen; b and c were placed and nobody saw them
        (shown("a", "b", "c"), ["new", "d", "e"]),
        (shown("x"), ["new", "a", "b"]),  # another track was seen, so of these none was
        (shown("a", shelf_id="popular-now"), ["new", "d", "e"]),  # no shelf of these settings: as without impressions
        (shown("a", days_before=40), ["new", "d", "e"]),  # too long ago to tell
        (shown("a", listener="bob"), ["new", "d", "e"]),  # of somebody else
    ],
)
def test_what_impressions_show_stays_away_and_what_nobody_saw_comes_back(
    impressions: pl.DataFrame, expected: list[str]
) -> None:
    cooled = one_shelf(size=3, spares=2, refresh="monday", rules={"cool_down": {"days": 28}})
    night = NightContext(MONDAY + 7 * DAY)
    assert tracks(make(NEW, night, settings=cooled, previous=monday(), impressions=impressions)) == expected


def test_another_version_of_what_was_shown_stays_away_too() -> None:
    cooled = one_shelf(size=3, rules={"cool_down": {"days": 28}})
    later = frame(candidate("a-live", 9.0, recording_id="r-a"), candidate("z", 1.0))
    catalog = pl.DataFrame({"track_id": ["a"], "recording_id": ["r-a"]})
    made = make(later, NightContext(MONDAY + 7 * DAY), settings=cooled, previous=monday(), catalog=catalog)
    assert tracks(made) == ["z"]


def test_an_earlier_attempt_at_the_same_night_is_not_carried() -> None:
    """Making Tuesday again must not depend on the Tuesday that is already there."""
    once = make(NEW, TUE, settings=WEEKLY).shelves
    assert tracks(make(MON, TUE, settings=WEEKLY, previous=once)) == ["a", "b", "c"]
    assert tracks(make(NEW, TUE, settings=WEEKLY, previous=pl.concat([once, monday()]))) == ["a", "b", "c"]


def test_refresh_days() -> None:
    wednesday = MONDAY + 2 * DAY
    assert last_refresh("monday", wednesday) == last_refresh("monday", MONDAY) == MONDAY
    assert last_refresh("friday", wednesday) == MONDAY - 3 * DAY
    assert next_refresh("monday", MONDAY) == next_refresh("monday", wednesday) == MONDAY + 7 * DAY
    assert (last_refresh("daily", wednesday), next_refresh("daily", wednesday)) == (wednesday, wednesday + DAY)
