"""The library: counts by hand, the monoid's laws, activation against its formula."""

from __future__ import annotations

import math
from datetime import timedelta

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.transforms.listens import DAY1, DAYS, MINUTE, at, dates_of, listens, logs, play
from transforms.listening.library import day_library, first_plays, merge, saved_library, with_activation
from transforms.listening.library_keys import known_pairs
from transforms.listening.plays import coded
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse


def test_a_days_library_by_hand():
    log = listens(
        play("ann", "a", at(1, 9, 5), 20_000, skipped=True),  # sampled
        play("ann", "a", at(1, 9, 0), 3 * MINUTE, skipped=False, completed=True),
        play("ann", "a", at(1, 9, 10)),  # length unknown: heard
        play("ann", "b", at(1, 9, 15), skipped=True),  # unknown, but skipped: not heard
        play("bob", "a", at(1, 9, 0), 30_000),
    )
    out = day_library(log)
    assert out.select("listener_id", "track_id", "plays", "heard", "completions", "skips").rows() == [
        ("ann", "a", 3, 2, 1, 1),
        ("ann", "b", 1, 0, 0, 1),
        ("bob", "a", 1, 1, 0, 0),
    ]
    assert out["latest"].to_list()[0] == [at(1, 9, 10), at(1, 9, 5), at(1, 9, 0)]
    assert out.select("first_played_at", "last_played_at").rows()[0] == (at(1, 9, 0), at(1, 9, 10))
    assert dict(out.schema) == TABLES["library"].polars


def test_latest_keeps_the_eight_newest():
    log = listens(*(play("ann", "a", at(1, 9, n)) for n in range(11)))
    more = listens(*(play("ann", "a", at(2, 9, n)) for n in range(3)))
    assert day_library(log)["latest"].to_list() == [[at(1, 9, n) for n in range(10, 2, -1)]]
    merged = merge([day_library(log), day_library(more)])
    assert merged["latest"].to_list() == [
        [at(2, 9, 2), at(2, 9, 1), at(2, 9, 0), *(at(1, 9, n) for n in (10, 9, 8, 7, 6))]
    ]
    assert merged["plays"].to_list() == [14]


def test_a_save_is_in_the_library_without_a_play():
    feedback = pl.DataFrame(
        {
            "listener_id": ["ann", "ann", "ann", "bob"],
            "kind": ["save", "own", "dislike", "like"],
            "target": ["a", "b", "c", "a"],
        }
    )
    saved = saved_library(feedback)
    assert saved.select("listener_id", "track_id", "plays", "saved").rows() == [
        ("ann", "a", 0, True),
        ("ann", "b", 0, True),
        ("bob", "a", 0, True),
    ]
    both = merge([saved, day_library(listens(play("ann", "a", at(1, 9))))])
    assert both.select("track_id", "plays", "saved").rows() == [("a", 1, True), ("b", 0, True), ("a", 0, True)]
    assert both["last_played_at"].to_list() == [at(1, 9), None, None]
    read = with_activation(both, DAY1)
    assert read["activation"].to_list()[1:] == [None, None]
    assert read["decayed_plays"].to_list()[1:] == [0.0, 0.0]


def test_activation_is_the_log_of_the_sum_of_powers():
    # ages at the end of day 1: 16 h and 4 h
    library = day_library(listens(play("ann", "a", at(1, 8)), play("ann", "a", at(1, 20))))
    out = with_activation(library, DAY1, decay=0.5, half_life_days=1.0)
    assert out["activation"].item() == pytest.approx(math.log(1 / 4 + 1 / 2))
    assert out["decayed_plays"].item() == pytest.approx(2 ** (-16 / 24) + 2 ** (-4 / 24))
    later = with_activation(library, DAY1 + timedelta(30))
    assert later["activation"].item() < out["activation"].item()


def test_older_plays_are_approximated_by_their_tail():
    plays = [at(1, 0) + timedelta(hours=6 * n) for n in range(60)]
    library = day_library(listens(*(play("ann", "a", t) for t in plays)))
    out = with_activation(library, DAY1 + timedelta(20), half_life_days=10.0)
    ages = [(at(22, 0) - t).total_seconds() / 3600 for t in plays]
    assert out["activation"].item() == pytest.approx(math.log(sum(t**-0.5 for t in ages)), abs=0.01)
    assert out["decayed_plays"].item() == pytest.approx(sum(2 ** (-t / 240) for t in ages), rel=0.01)


def test_many_plays_at_one_moment_have_a_finite_activation():
    library = day_library(listens(*(play("ann", "a", at(1, 9)) for _ in range(20))))
    out = with_activation(library, DAY1)
    assert out["activation"].item() == pytest.approx(math.log(20 * 15**-0.5))


def test_first_plays_are_counted_in_the_order_they_were_filed():
    log = listens(
        play("ann", "a", at(2, 9)),
        play("ann", "a", at(1, 9), filed=dates_of()[2]),  # earlier, but known only after day 2 was counted
        play("ann", "b", at(1, 9), filed=dates_of()[1]),
        play("ann", "b", at(2, 9)),
        play("bob", "a", at(1, 9)),
    )
    assert first_plays(log).to_list() == [True, False, True, False, True]
    known = pl.DataFrame({"listener_id": ["bob"], "track_id": ["a"]})
    assert first_plays(log, known).to_list() == [True, False, True, False, False]


def test_encoded_columns_change_nothing():
    log = listens(play("bob", "b", at(1, 9)), play("ann", "a", at(1, 9)), play("bob", "a", at(1, 9)))
    (encoded,) = coded([log], "listener_id", "track_id")
    assert_frame_equal(day_library(encoded), day_library(log))
    assert first_plays(encoded).equals(first_plays(log))


@settings(max_examples=60)
@given(logs(), st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_grouping_and_order_of_days_gives_the_library_of_the_whole(log, rng, groups):
    whole = day_library(log)
    part = pl.Series([rng.randrange(groups) for _ in range(log.height)], dtype=pl.Int64)
    deltas = [day_library(log.filter(part == n)) for n in range(groups)]
    rng.shuffle(deltas)
    assert_frame_equal(merge(deltas), whole)
    assert_frame_equal(merge([merge(deltas[:2]), *deltas[2:]]), whole)
    assert_frame_equal(merge([TABLES["library"].empty(), whole]), whole)


@settings(max_examples=40)
@given(logs(), st.integers(1, DAYS - 1))
def test_what_is_new_does_not_depend_on_where_the_fold_was_cut(log, cut):
    early = log["date"] <= dates_of()[cut - 1]
    whole = pl.concat([first_plays(log).filter(early), first_plays(log).filter(~early)])
    before, after = log.filter(early), log.filter(~early)
    assert pl.concat([first_plays(before), first_plays(after, day_library(before))]).equals(whole)


def test_rows_of_several_frames_may_come_as_one():
    a = day_library(listens(play("ann", "a", at(1, 9)), play("bob", "c", at(1, 9))))
    b = day_library(listens(play("ann", "a", at(2, 9)), play("ann", "b", at(2, 9))))
    assert_frame_equal(merge([pl.concat([a, b])]), merge([b, a]))
    assert merge([pl.concat([b, a])])["plays"].to_list() == [2, 1, 1]


def test_known_pairs_are_looked_up_in_the_files(tmp_path):
    one = day_library(listens(*(play(f"listener {n:02}", f"t{n % 3}", at(1, 9)) for n in range(20))))
    two = saved_library(pl.DataFrame({"listener_id": ["listener 03"], "kind": ["save"], "target": ["t1"]}))
    for name, frame in (("one", one), ("two", two)):
        pq.write_table(TABLES["library"].conform(frame), tmp_path / f"{name}.parquet", row_group_size=4)
    pairs = pl.DataFrame(
        [("listener 03", "t0"), ("listener 03", "t1"), ("listener 19", "t1"), ("listener 04", "t2"), ("zoe", "t0")],
        schema=["listener_id", "track_id"],
        orient="row",
    )
    found = known_pairs(Warehouse(str(tmp_path)), ["one.parquet", "two.parquet"], pairs)
    # a save alone is no play
    assert sorted(found.rows()) == [("listener 03", "t0"), ("listener 19", "t1")]
    assert known_pairs(Warehouse(str(tmp_path)), ["one.parquet"], pairs.clear()).height == 0
