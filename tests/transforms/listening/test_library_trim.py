"""Beyond a listener's newest pairs the library keeps what was heard, exactly, and lets the rest go."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.transforms.listens import DAY1, MINUTE, at, listens, logs, play
from transforms.listening.fold import Fold, LibraryCut, fold
from transforms.listening.library import day_library, merge, saved_library, trim, with_activation
from transforms.tables.schema import TABLES

EXACT = ["listener_id", "track_id", "plays", "heard", "saved", "first_played_at"]


def test_the_oldest_pairs_keep_plays_and_what_was_heard():
    log = listens(
        *(play("ann", "old", at(1, 9, n), 3 * MINUTE, completed=True) for n in range(3)),
        play("ann", "older", at(1, 8), 1_000, skipped=True),
        play("ann", "new", at(3, 9), completed=True),
        play("ann", "newest", at(4, 9), completed=True),
        play("bob", "old", at(1, 9)),
    )
    whole = day_library(log)
    kept = trim(whole, 2)
    assert_frame_equal(kept.select(EXACT), whole.select(EXACT))
    full = kept.filter(pl.col("last_played_at").is_not_null())
    assert full.select("listener_id", "track_id").rows() == [("ann", "new"), ("ann", "newest"), ("bob", "old")]
    assert_frame_equal(
        full, whole.filter(pl.col("track_id").is_in(["new", "newest"]) | (pl.col("listener_id") == "bob"))
    )
    bare = kept.filter(pl.col("last_played_at").is_null())
    assert bare.select("completions", "skips", pl.col("latest").list.len()).unique().rows() == [(0, 0, 0)]
    assert dict(kept.schema) == TABLES["library"].polars
    assert_frame_equal(trim(kept, 2), kept)


def test_a_trimmed_track_still_fades_and_may_come_back():
    plays = [play("ann", "old", at(1, 9, n)) for n in range(3)]
    kept = trim(day_library(listens(*plays, play("ann", "new", at(2, 9)))), 1)
    soon, later = (with_activation(kept, DAY1 + timedelta(n)).row(1, named=True) for n in (3, 60))
    assert soon["track_id"] == "old" and soon["decayed_plays"] > later["decayed_plays"] > 0
    assert soon["activation"] > later["activation"]
    again = merge([kept, day_library(listens(play("ann", "old", at(5, 9))))]).row(1, named=True)
    assert (again["plays"], again["heard"]) == (4, 4)
    assert (again["first_played_at"], again["latest"]) == (at(1, 9), [at(5, 9)])


def test_a_saved_track_that_was_never_played_is_the_first_to_go_and_stays_saved():
    saved = saved_library(pl.DataFrame({"listener_id": ["ann"], "kind": ["save"], "target": ["kept"]}))
    kept = trim(merge([saved, day_library(listens(play("ann", "a", at(1, 9))))]), 1)
    assert kept.select("track_id", "saved", "plays").rows() == [("a", False, 1), ("kept", True, 0)]
    assert kept["latest"].list.len().to_list() == [1, 0]


@settings(max_examples=40)
@given(logs(tracks="uvwxyz"), st.integers(1, 4), st.integers(1, 3))
def test_a_fold_that_trims_at_every_base_keeps_what_was_heard(log, most, every):
    """Whatever dates are compacted: counts of plays and heard are those of the whole log."""
    library = TABLES["library"].empty()
    for number, day in enumerate(sorted(set(log["date"]))):
        tables = {
            "listens": log.filter(pl.col("date") == day),
            "feedback": pl.DataFrame(
                schema={"listener_id": pl.String, "kind": pl.String, "target": pl.String, "date": pl.Date}
            ),
            "library": library,
            "listeners": TABLES["listeners"].empty(),
        }
        base = number % every == 0
        plan = Fold(day, (LibraryCut(day, base),), frozenset({"library"}), max_pairs=most)
        made = fold(tables, plan)["library"].drop("date")
        library = made if base else merge([library, made])
        if base and library.height:
            full = library.filter(pl.col("latest").list.len() > 0)
            assert full.group_by("listener_id").len()["len"].max() <= most
    assert_frame_equal(library.select(EXACT), day_library(log).select(EXACT))
