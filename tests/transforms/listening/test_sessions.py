"""Sessions: the definition by hand, and that folding in any grouping of dates gives the same rows."""

from __future__ import annotations

import random
from datetime import date, timedelta
from itertools import pairwise

import apache_beam as beam
import numpy as np
import polars as pl
import pytest
from apache_beam.coders.coders import IntervalWindowCoder
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import window
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.transforms.listens import DAY1, DAYS, MINUTE, at, dates_of, listens, logs, play
from transforms.listening.library import first_plays
from transforms.listening.sessions import daypart, sessionize

LAST = dates_of()[-1]


def titles(sessions: pl.DataFrame) -> list[str]:
    return ["".join(p["track_id"] for p in row) for row in sessions["tracks"].to_list()]


def fold(log: pl.DataFrame, parts: list[list[date]]) -> pl.DataFrame:
    """Sessionize a log some dates at a time, each part from the open rows of the one before."""
    # some plays name a device, others none
    device = pl.when(pl.col("track_id") > pl.col("track_id").min()).then(pl.format("device of {}", "track_id"))
    log = log.with_columns(new=first_plays(log), device_id=device)
    out, opened = [], None
    for part in parts:
        rows = sessionize(log.filter(pl.col("date").is_in(part)), through=part[-1], opened=opened)
        opened = rows.filter((pl.col("date") == part[-1]) & pl.col("open"))
        out.append(rows)
    return pl.concat(out)


def test_a_session_ends_where_the_pause_exceeds_thirty_minutes():
    log = listens(
        play("ann", "a", at(1, 20, 0), 4 * MINUTE, skipped=False),
        play("ann", "b", at(1, 20, 4), 4 * MINUTE, skipped=True),
        play("ann", "c", at(1, 20, 38), 4 * MINUTE),  # 30 minutes after b ended: still the same session
        play("ann", "d", at(1, 21, 12, 1), 4 * MINUTE),  # 30 minutes and a second after c ended
        play("bob", "a", at(1, 20, 1), 4 * MINUTE),
    )
    out = sessionize(log, through=DAY1)
    assert titles(out) == ["abc", "d", "a"]
    assert out["listener_id"].to_list() == ["ann", "ann", "bob"]
    assert out["ended_at"].to_list() == [at(1, 20, 42), at(1, 21, 16, 1), at(1, 20, 5)]
    assert out["plays"].to_list() == [3, 1, 1]
    assert out["skips"].to_list() == [1, 0, 0]
    assert out["open"].to_list() == [False] * 3
    assert out["session_id"].n_unique() == 3


def test_one_microsecond_decides():
    gap = timedelta(minutes=30)
    for extra, expected in ((0, ["ab"]), (1, ["a", "b"])):
        second = at(1, 9) + timedelta(minutes=1) + gap + timedelta(microseconds=extra)
        log = listens(play("ann", "a", at(1, 9), MINUTE), play("ann", "b", second, MINUTE))
        assert titles(sessionize(log, gap, through=DAY1)) == expected


def test_an_unknown_length_is_the_tracks_else_210_seconds():
    log = listens(play("ann", "long", at(1, 9)), play("ann", "b", at(1, 9, 40)), play("ann", "c", at(1, 10, 14)))
    assert titles(sessionize(log, through=DAY1)) == ["long", "b", "c"]
    durations = pl.DataFrame({"track_id": ["long"], "duration_ms": [15 * MINUTE]})
    assert titles(sessionize(log, through=DAY1, durations=durations)) == ["longb", "c"]


def test_a_play_never_ends_after_the_next_start():
    # the log says a lasted five hours, but b was started after ten minutes: the pause begins when b ended
    log = listens(
        play("ann", "a", at(1, 9), 300 * MINUTE), play("ann", "b", at(1, 9, 10), MINUTE), play("ann", "c", at(1, 10), 1)
    )
    assert titles(sessionize(log, through=DAY1)) == ["ab", "c"]


def test_a_session_open_at_midnight_is_written_twice():
    log = listens(
        play("ann", "a", at(1, 23, 50), 4 * MINUTE),
        play("ann", "b", at(2, 0, 5), 4 * MINUTE),
        play("bob", "a", at(1, 23, 20), 9 * MINUTE),  # ends 23:29: closed
        play("cid", "a", at(1, 23, 20), 10 * MINUTE),  # ends 23:30: a play at midnight would still belong
    )
    out = sessionize(log, through=dates_of()[1])
    assert out.select("date", "listener_id", "open").rows() == [
        (DAY1, "ann", True),
        (DAY1, "bob", False),
        (DAY1, "cid", True),
        (dates_of()[1], "ann", False),
        (dates_of()[1], "cid", False),
    ]
    assert titles(out) == ["a", "a", "a", "ab", "a"]
    assert out.filter(pl.col("listener_id") == "ann")["session_id"].n_unique() == 1
    assert sessionize(log.filter(pl.col("date") == DAY1), through=DAY1).height == 3


def test_a_session_is_cut_at_24_hours():
    log = listens(*(play("bot", "x", at(1, 0, 30) + timedelta(minutes=30 * n), 30 * MINUTE) for n in range(120)))
    out = sessionize(log, through=LAST).filter(~pl.col("open"))
    assert out["plays"].to_list() == [48, 48, 24]
    assert (out["ended_at"] - out["started_at"]).max() == timedelta(hours=24)
    with pytest.raises(ValueError, match="24 hours"):
        sessionize(log, through=LAST, max_length=timedelta(hours=25))


def test_late_listens_make_sessions_of_their_own():
    log = listens(
        play("ann", "a", at(1, 9), MINUTE),
        play("ann", "b", at(1, 9, 1), MINUTE, filed=dates_of()[1]),
        play("ann", "c", at(1, 9, 2), MINUTE, filed=dates_of()[2]),
        play("ann", "d", at(1, 9, 3), MINUTE, filed=dates_of()[2]),
    )
    out = sessionize(log, through=LAST)
    assert list(zip(out["date"], titles(out), strict=True)) == list(zip(dates_of(1, 3), ["a", "b", "cd"], strict=True))
    assert not out["open"].any()


def test_new_share_counts_first_plays():
    log = listens(
        play("ann", "a", at(1, 9), MINUTE), play("ann", "b", at(1, 9, 5), MINUTE), play("ann", "a", at(1, 9, 9), MINUTE)
    )
    known = pl.DataFrame({"listener_id": ["ann", "bob"], "track_id": ["b", "a"]})
    assert sessionize(log.with_columns(new=first_plays(log)), through=DAY1)["new_share"].to_list() == [
        pytest.approx(2 / 3)
    ]
    assert sessionize(log.with_columns(new=first_plays(log, known)), through=DAY1)["new_share"].to_list() == [
        pytest.approx(1 / 3)
    ]


def test_a_session_was_had_where_its_first_play_says_that_says_anything() -> None:
    log = listens(
        play("ann", "a", at(1, 23, 50), 4 * MINUTE),
        play("ann", "b", at(1, 23, 54), 4 * MINUTE),
        play("ann", "c", at(2, 0, 10), 4 * MINUTE),
        play("ann", "d", at(2, 9, 0), 4 * MINUTE),
    ).with_columns(device_id=pl.Series([None, None, "speaker", "phone"]), platform=pl.Series([None, "web", "tv", None]))
    first = sessionize(log.filter(date=DAY1), through=DAY1)
    assert first.select("device_id", "platform", "context").rows() == [(None, "web", None)] and first["open"].all()
    later = sessionize(log.filter(pl.col("date") > DAY1), through=LAST, opened=first)
    assert later.select("device_id", "platform", "context").rows() == [("speaker", "web", None), ("phone", None, None)]
    bare = sessionize(log.drop("device_id", "platform"), through=LAST)
    assert bare.select("device_id", "platform", "context").null_count().row(0) == (3, 3, 3)
    assert bare.drop("device_id", "platform").equals(sessionize(log, through=LAST).drop("device_id", "platform")), (
        "what says nothing of devices is as it was"
    )


def test_daypart_is_the_listeners_own():
    starts = pl.DataFrame(
        {"listener_id": ["ann", "bob", "cid", "dee"], "started_at": [at(1, h) for h in (5, 5, 23, 12)]}
    )
    starts = starts.with_columns(pl.col("started_at").dt.cast_time_unit("us"))
    zones = pl.DataFrame({"listener_id": ["bob", "cid"], "time_zone": ["Asia/Tokyo", "Not/AZone"]})
    assert daypart(starts, zones).to_list() == ["night", "afternoon", "evening", "afternoon"]


def test_nothing_in_nothing_out():
    out = sessionize(listens(), through=DAY1)
    assert out.height == 0
    assert set(out.columns) > {"session_id", "tracks", "date"}


@settings(max_examples=60)
@given(logs(), st.sets(st.integers(1, DAYS - 1)))
def test_folding_in_any_grouping_of_dates_gives_the_same_rows(log, cuts):
    days = dates_of()
    edges = [0, *sorted(cuts), DAYS]
    grouped = fold(log, [days[a:b] for a, b in pairwise(edges)])
    daily = fold(log, [[d] for d in days])
    whole = fold(log, [days])
    assert_frame_equal(daily, whole)
    assert_frame_equal(grouped, whole)


@settings(max_examples=60)
@given(logs(), st.randoms(use_true_random=False))
def test_every_play_is_in_one_closed_session_and_input_order_is_nothing(log, rng):
    order = list(range(log.height))
    rng.shuffle(order)
    days = [*dates_of(), LAST + timedelta(1)]
    out = fold(log, [days])
    assert_frame_equal(fold(log[order], [days]), out)
    closed = out.filter(~pl.col("open"))
    plays = closed.select("listener_id", "tracks").explode("tracks", empty_as_null=False).unnest("tracks")
    key = ["listener_id", "started_at", "track_id"]
    columns = [*key, "ms_played", "skipped", "completed"]
    assert_frame_equal(plays.select(columns).sort(key), log.select(columns).sort(key))
    assert closed["session_id"].is_unique().all()
    assert ((closed["ended_at"] - closed["started_at"]) <= timedelta(hours=24)).all()


class EndPlusGap(window.WindowFn):
    """Each play's window is [start, end + gap + 1 us); Beam merges those that overlap."""

    def __init__(self, gap_us: int) -> None:
        self.gap_us = gap_us

    def assign(self, context):
        _, _, start, end = context.element
        return [window.IntervalWindow(us(start), us(end + self.gap_us + 1))]

    def get_window_coder(self):
        return IntervalWindowCoder()

    merge = window.Sessions.merge


def us(micros: int) -> Timestamp:
    """Beam keeps windows to the millisecond, so here a microsecond lasts one."""
    return Timestamp(micros=micros * 1000)


def with_ends(log: pl.DataFrame) -> list[tuple[str, str, int, int]]:
    """(listener, track, start, end) of each play in microseconds; an end is never after the listener's next start."""
    return (
        log.sort("listener_id", "started_at", "track_id")
        .with_columns(start=pl.col("started_at").to_physical())
        .with_columns(end=pl.col("start") + pl.col("ms_played").cast(pl.Int64).fill_null(210_000) * 1000)
        .with_columns(end=pl.min_horizontal("end", pl.col("start").shift(-1).over("listener_id")))
        .select("listener_id", "track_id", "start", "end")
        .rows()
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_sessions_equal_those_of_beams_merging_windows(seed):
    rng = random.Random(seed)
    gaps = [timedelta(minutes=30), timedelta(minutes=30, microseconds=1), timedelta(minutes=3), timedelta(hours=2)]
    plays = []
    for listener in "abc":
        now = at(1, 1)
        for n in range(40):
            ms = rng.choice([None, 0, 200_000, 50 * MINUTE])
            plays.append(play(listener, f"t{n:02}", now, ms))
            now += timedelta(milliseconds=rng.choice([0, 210_000, ms or 0])) + rng.choice(gaps)
            if now >= at(1, 23):
                break
    log = listens(*plays)
    sessions = sessionize(log, through=dates_of()[1]).filter(~pl.col("open"))
    ours = [(who, " ".join(p["track_id"] for p in row)) for who, row in sessions.select("listener_id", "tracks").rows()]
    assert len(ours) > 20
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        merged = (
            pipeline
            | "Plays" >> beam.Create(with_ends(log), reshuffle=False)
            | "Merge" >> beam.WindowInto(EndPlusGap(30 * 60 * 1_000_000))
            | "Key" >> beam.Map(lambda play: (play[0], (play[2], play[1])))
            | "Sessions" >> beam.GroupByKey()
            | "Titles" >> beam.MapTuple(lambda who, tracks: (who, " ".join(t for _, t in sorted(tracks))))
            | "Global" >> beam.WindowInto(window.GlobalWindows())
        )
        assert_that(merged, equal_to(ours))


def test_plays_that_start_together_stand_in_the_order_of_their_hash_not_of_their_ids() -> None:
    from transforms.common.hashing import stable_hash
    from transforms.listening.sessions import _by_hash

    ids = pl.Series([f"t{n}" for n in range(50)])
    assert np.argsort(_by_hash(ids)).tolist() == np.argsort(stable_hash(ids), kind="stable").tolist() != list(range(50))
