"""Now Playing of the next session: one row for each likely context of it, by the listener's own sessions."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.transforms.shelves.test_shelf_set import DAY, MONDAY, made, shelf, world
from transforms.serving.changes import digests
from transforms.shelves.contexts import NextSessionSettings, likely
from transforms.shelves.history import Occasions
from transforms.shelves.output import Assembled
from transforms.shelves.settings import NightContext
from transforms.tables.columns import WHERE

ROWS = [f"next-session-{k}" for k in (1, 2, 3)]


def had(*sessions: tuple[str, int, int, str | None, str | None]) -> pl.DataFrame:
    """Sessions of ann: track, days ago, hour, device, context."""
    rows: list[dict[str, Any]] = []
    for track, ago, hour, device, context in sessions:
        at = dt.datetime.combine(MONDAY - ago * DAY, dt.time(hour), tzinfo=dt.UTC)
        part = ("night", "morning", "afternoon", "evening")[hour // 6]
        row = {"listener_id": "ann", "started_at": at, "daypart": part, "tracks": [{"track_id": track}]}
        rows.append({**row, "device_id": device, "platform": None, "context": context})
    age = (NightContext(MONDAY).data_cutoff - pl.col("started_at")).dt.total_seconds() / 86_400
    texts = dict.fromkeys(WHERE, pl.String)
    return pl.DataFrame(rows, schema_overrides=texts).with_columns(age_days=age)


WEEK = had(
    ("rita-0", 3, 8, "phone", "album"),  # weekdays, as the Tuesday is that begins when Monday's night ends
    ("rita-1", 4, 8, "phone", "album"),
    ("rita-0", 5, 8, "phone", "album"),
    ("jo-0", 3, 20, "speaker", "radio"),
    ("jo-1", 4, 20, "speaker", "radio"),
    ("jim-0", 5, 21, "phone", "radio"),
)


def next_rows(made: Assembled) -> list[dict[str, Any]]:
    return [shelf(made, shelf_id) for shelf_id in ROWS]


def test_each_likely_context_has_a_row_most_likely_first_with_what_is_played_there() -> None:
    morning, evening, other = next_rows(made(sessions=WEEK))
    names = ("next_daypart", "next_device", "next_context", "subtitle")
    assert [morning[n] for n in names] == ["morning", "phone", "album", "morning, album"]
    assert [evening[n] for n in names] == ["evening", "speaker", "radio", "evening, radio"]
    assert [other[n] for n in names] == ["evening", "phone", "radio", "evening, radio"]
    assert {row["items"][0]["track_id"] for row in (morning,)} <= {"rita-0", "rita-1"}
    assert evening["items"][0]["track_id"] in ("jo-0", "jo-1") and other["items"][0]["track_id"] == "jim-0"
    assert 1 > morning["next_share"] > evening["next_share"] > other["next_share"] >= 0.1
    # all three are of one surface, and each may hold what another holds: nobody sees two of them
    tracks = [{i["track_id"] for i in row["items"]} for row in (morning, evening, other)]
    assert tracks[0] & tracks[1] & tracks[2]


def test_shares_are_the_listeners_own_by_age_and_kind_of_day() -> None:
    rows = had(("rita-0", 1, 8, None, None), ("jo-0", 3, 20, None, None))  # Sunday; Friday
    evening, morning, none = next_rows(made(sessions=rows))
    age = rows["age_days"].to_numpy()
    weight = 0.5 ** (age / 14) * np.array([0.5, 1.0])  # Tuesday is no weekend
    assert evening["next_share"] == pytest.approx(weight[1] / weight.sum(), rel=1e-5)
    assert morning["next_share"] == pytest.approx(weight[0] / weight.sum(), rel=1e-5)
    assert (evening["next_daypart"], morning["next_daypart"]) == ("evening", "morning")
    assert (none["status"], none["status_reason"]) == ("empty", "their sessions lately have fewer contexts")
    assert [none[n] for n in ("next_daypart", "next_device", "next_context", "next_share")] == [None] * 4


def test_where_the_log_has_neither_device_nor_context_parts_of_the_day_alone_tell_apart() -> None:
    bare = WEEK.drop("device_id", "platform", "context")
    for rows in (bare, WEEK.with_columns(pl.lit(None, pl.String).alias(name) for name in WHERE)):
        evening, morning, none = next_rows(made(sessions=rows))  # three sessions each, the evenings' a little younger
        assert (morning["next_daypart"], evening["next_daypart"], none["status"]) == ("morning", "evening", "empty")
        assert [row["next_device"] for row in (morning, evening)] == [None, None]
        assert (morning["subtitle"], evening["subtitle"]) == ("morning", "evening")


def test_every_other_shelf_is_what_it_was_without_devices_and_without_such_rows() -> None:
    bare = made(sessions=WEEK.drop("device_id", "platform", "context"))
    full = made(sessions=WEEK)
    others = ~pl.col("shelf_id").is_in(ROWS)
    assert full.shelves.filter(others).equals(bare.shelves.filter(others)) and full.draws.equals(bare.draws)
    told = full.shelves.filter(others).select(pl.col("^next_.*$").is_null().all())
    assert all(told.row(0))


def test_a_log_with_platforms_alone_tells_devices_by_them() -> None:
    rows = WEEK.with_columns(platform="device_id", device_id=pl.lit(None, pl.String), context=pl.lit(None, pl.String))
    morning, evening, _ = next_rows(made(sessions=rows))
    assert (morning["next_device"], morning["subtitle"]) == ("phone", "morning, phone")
    assert (evening["next_device"], evening["subtitle"]) == ("speaker", "evening, speaker")


def test_who_has_no_history_gets_what_is_popular_once_and_is_told_nothing_of_contexts() -> None:
    first, second, third = next_rows(made(world().clear(), sessions=WEEK.clear()))
    assert first["status"] == "fallback" and [second["status"], third["status"]] == ["empty", "empty"]
    assert first["next_daypart"] is None and first["subtitle"] is None


def test_a_row_that_moves_to_another_context_has_changed_and_other_digests_are_as_before() -> None:
    rows = made(sessions=WEEK).shelves
    elsewhere = rows.with_columns(next_device=pl.when(pl.col("next_device") == "speaker").then(pl.lit("tv")))
    moved = rows.filter(digests(rows) != digests(elsewhere))["shelf_id"].to_list()
    assert moved == ROWS  # the speaker's is the television's now, and the phone is not named any more
    others = rows.filter(~pl.col("shelf_id").is_in(ROWS))
    assert digests(others).equals(digests(others.drop("next_daypart", "next_device", "next_context", "next_share")))


@pytest.mark.parametrize("by", [("daypart",), ("device",), ("context",), ("daypart", "device", "context")])
@settings(max_examples=25)
@given(seed=st.integers(0, 1000))
def test_contexts_are_few_distinct_most_likely_first_and_nobody_elses_business(by: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    people, n = 4, 30
    where = pl.DataFrame({"device_id": ["a", "b", None], "platform": ["x", "x", "y"], "context": ["r", None, None]})
    every = Occasions(
        np.sort(rng.integers(0, people, n)).astype(np.int32),
        rng.integers(0, 4, n).astype(np.int8),
        rng.random(n) < 0.3,
        rng.random(n).astype(np.float32),
        rng.integers(0, 3, n).astype(np.int32),
        where,
    )
    wanted = NextSessionSettings(by=by, least_share=0.05)
    weekend = rng.random(people) < 0.5
    found = likely(every, weekend, wanted, 3)
    for i in range(people):
        told = [one for k in range(3) if (one := found.of(i, k)) is not None]
        assert len({one[:4] for one in told}) == len(told) and all(one.share >= 0.05 for one in told)
        assert [one.share for one in told] == sorted((one.share for one in told), reverse=True)
        assert sum(one.share for one in told) <= 1 + 1e-9
        mine = every.listener == i
        told_of_all = {
            (part if "daypart" in by else -1, (d, p) if "device" in by else None, c if "context" in by else None)
            for part, (d, p, c) in zip(every.part[mine], (where.row(w) for w in every.place[mine]), strict=True)
        }
        assert len(told) <= min(3, len(told_of_all))
        alone = Occasions(
            np.zeros(int(mine.sum()), np.int32),
            *(a[mine] for a in (every.part, every.weekend, every.weight, every.place)),
            where=where,
        )
        own = likely(alone, weekend[[i]], wanted, 3)
        assert [own.of(0, k) for k in range(3)] == [found.of(i, k) for k in range(3)]


def test_what_tells_contexts_apart_is_named_once() -> None:
    with pytest.raises(ValidationError, match="at most once, found device, device"):
        NextSessionSettings(by=("device", "device"))
