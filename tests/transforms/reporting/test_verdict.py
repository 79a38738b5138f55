"""The header's sentences, and the trends of stored nights."""

from __future__ import annotations

from datetime import date

import polars as pl

from transforms.gates.check import Check
from transforms.listening.suspects import STATUS
from transforms.reporting.standing import KEYS, empty_shelves
from transforms.reporting.trends import Point, trends
from transforms.reporting.verdict import EmptyShelf, verdict
from transforms.shelves.fallback import NO_HISTORY, NOTHING_LEFT

RESTS = "nothing played often was left alone long enough"


def test_shelves_that_are_empty_for_more_than_a_tenth_are_told_with_the_reason() -> None:
    few = EmptyShelf("on-repeat", "On Repeat", 100, 10, "nothing heard lately")
    many = EmptyShelf("rediscover", "Rediscover", 1927, 286, RESTS)
    said = verdict([Check("volume", "PASS")], [], [few, many], ["ranker of x: not promoted"])
    assert said.kind == "good"
    assert said.alarms == (
        f"Rediscover is empty for 286 of 1,927 listeners with a history (15%): {RESTS}",
        "ranker of x: not promoted",
    )


def test_failed_checks_come_first_and_who_accepted_is_said() -> None:
    bad = Check("overlap, chosen", "FAIL", 0.2, "at least 30%", "20% of 100 items")
    said = verdict([bad, Check("volume", "PASS")], ["overlap, chosen"], [])
    assert said.kind == "bad" and "failed 1 of 2 checks" in said.words and "overlap, chosen" in said.words
    assert said.alarms == ("overlap, chosen: 20% of 100 items, expected at least 30%",)
    assert verdict([], [], []).kind == "plain"


def test_only_listeners_with_a_history_count() -> None:
    machine = STATUS.format("breadth")
    rows = [
        ("ann", "rediscover", "Rediscover", "empty", RESTS),
        ("ann", "on-repeat", "On Repeat", "personal", None),
        ("bob", "rediscover", "Rediscover", "personal", None),
        ("new", "rediscover", "Rediscover", "empty", NO_HISTORY + NOTHING_LEFT),
        ("new", "on-repeat", "On Repeat", "fallback", NO_HISTORY),
        ("bot", "rediscover", "Rediscover", "empty", machine),
    ]
    found = empty_shelves(pl.DataFrame(rows, schema=dict.fromkeys(KEYS, pl.String), orient="row"))
    assert found == (
        EmptyShelf("on-repeat", "On Repeat", 1, 0, ""),
        EmptyShelf("rediscover", "Rediscover", 2, 1, RESTS),
    )
    assert found[1].share == 0.5


def test_a_trend_needs_two_nights_and_breaks_where_a_night_was_not_measured() -> None:
    night = [date(2026, 1, n) for n in range(1, 6)]
    points = [
        Point(d, {"fill": 0.5 + n / 10} | ({"quality": 0.1} if n in (0, 1, 3) else {})) for n, d in enumerate(night)
    ]
    points[4].values["cost"] = 3.0  # type: ignore[index]
    quality, fill = trends(points[::-1])
    assert (quality.title, fill.title) == ("Quality", "Fill")
    assert len(quality.lines) == 2 and quality.lines[0] == "0,20 33.33,20", (
        "a value that never moves lies in the middle"
    )
    assert quality.lines[1] == "100,20 100,20"
    assert fill.rows[0] == ("2026-01-01", "50.0%") and (fill.low, fill.high) == ("50.0%", "90.0%")
    assert fill.lines == ("0,36 25,28 50,20 75,12 100,4",) and "over 5 nights" in fill.spoken
