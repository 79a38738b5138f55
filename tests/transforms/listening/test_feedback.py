"""What stands of feedback: every act and its undoing, in whatever order the rows come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.listening.exclusions import taste
from transforms.listening.feedback import (
    KINDS,
    UNDOES,
    plays_of,
    settled,
    standing,
    unwanted,
    without_pairs,
)
from transforms.listening.library import day_library, merge, saved_library
from transforms.tables.schema import TABLES

START = datetime(2026, 1, 5, tzinfo=UTC)
SCHEMA = TABLES["feedback"].polars


def acts(*rows: tuple[str, str], who: str = "ann") -> pl.DataFrame:
    """(kind, target) one a day, in this order."""
    return pl.DataFrame(
        [{"listener_id": who, "kind": k, "target": t, "at": START + timedelta(n)} for n, (k, t) in enumerate(rows)],
        schema=SCHEMA,
    )


def stand(*rows: tuple[str, str]) -> list[tuple[str, str]]:
    return standing(acts(*rows)).select("kind", "target").rows()


@pytest.mark.parametrize(("undoing", "kind"), UNDOES.items())
def test_every_act_stands_until_it_is_undone_and_again_once_it_is_repeated(undoing: str, kind: str) -> None:
    assert stand((kind, "x")) == [(kind, "x")]
    assert stand((kind, "x"), (undoing, "x")) == []
    assert stand((kind, "x"), (undoing, "x"), (kind, "x")) == [(kind, "x")]
    assert stand((kind, "x"), (undoing, "y")) == [(kind, "x")], "of another target it says nothing"
    assert stand((undoing, "x")) == []


def test_each_act_has_an_undoing() -> None:
    assert set(UNDOES.values()) == {k for k in KINDS if k not in UNDOES}


def test_an_act_may_end_its_opposite() -> None:
    assert stand(("dislike", "x"), ("like", "x")) == [("like", "x")]
    assert stand(("like", "x"), ("dislike", "x")) == [("dislike", "x")]
    assert stand(("follow_artist", "Low"), ("block_artist", "LOW")) == [("block_artist", "LOW")]
    both = [("block_artist", "Low"), ("follow_artist", "Low")]
    assert stand(*both) == both, "a block takes its own undoing"


def test_names_of_artists_are_one_however_they_are_spelt_and_ids_of_tracks_are_not() -> None:
    assert stand(("block_artist", "Simon & Garfunkel"), ("unblock_artist", "simon and garfunkel")) == []
    assert stand(("save", "T1"), ("unsave", "t1")) == [("save", "T1")]


def test_of_two_words_at_one_moment_the_act_stands() -> None:
    rows = acts(("block_track", "x"), ("unblock_track", "x")).with_columns(at=pl.lit(START))
    assert standing(rows).height == standing(rows.reverse()).height == 1


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(["x", "y"])), max_size=12), st.randoms())
def test_the_order_of_rows_does_not_matter(rows: list[tuple[str, str]], random) -> None:
    frame = acts(*rows)
    order = list(range(frame.height))
    random.shuffle(order)
    assert standing(frame).equals(standing(frame[order]))


def library(*plays: str, feedback: pl.DataFrame) -> pl.DataFrame:
    listens = pl.DataFrame(
        [
            {"listener_id": "ann", "track_id": t, "started_at": START + timedelta(hours=n), "ms_played": 200_000}
            for n, t in enumerate(plays)
        ],
        schema={
            c: k
            for c, k in TABLES["listens"].polars.items()
            if c in ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed")
        },
    )
    return merge([day_library(listens), saved_library(feedback)])


@pytest.mark.parametrize("kind", ["save", "like", "own"])
def test_what_is_saved_no_more_is_not_in_the_library_unless_it_was_played(kind: str) -> None:
    done = acts((kind, "a"), (kind, "b"))
    undone = acts((kind, "a"), (kind, "b"), (f"un{kind}", "a"), (f"un{kind}", "b"))
    before = library("a", feedback=done)
    assert settled(before, done).equals(before) and before["saved"].to_list() == [True, True]
    after = settled(library("a", feedback=undone), undone)
    assert after.select("track_id", "saved").rows() == [("a", False)]


def test_a_track_that_was_saved_and_liked_stays_until_both_are_undone() -> None:
    half = acts(("save", "a"), ("like", "a"), ("unsave", "a"))
    assert settled(library(feedback=half), half)["saved"].to_list() == [True]
    whole = acts(("save", "a"), ("like", "a"), ("unsave", "a"), ("unlike", "a"))
    assert settled(library(feedback=whole), whole).is_empty()


TRACKS = pl.DataFrame(
    {
        "track_id": ["a", "a2", "b", "c"],
        "recording_id": ["ra", "ra", "rb", None],
        "artist_ids": [["Low"], ["Low"], ["Can", "LOW"], None],
    }
)


def test_unwanted_is_the_recording_and_everything_by_a_blocked_artist() -> None:
    def of(*rows: tuple[str, str]) -> list[str]:
        return unwanted(standing(acts(*rows)), TRACKS)["track_id"].to_list()

    assert of(("dislike", "a")) == ["a", "a2"] and of(("block_track", "c")) == ["c"]
    assert of(("dislike", "not-in-the-catalog")) == ["not-in-the-catalog"]
    assert of(("block_artist", "low ")) == ["a", "a2", "b"]
    assert of(("dislike", "a"), ("undislike", "a"), ("save", "b"), ("follow_artist", "Low")) == []


def test_what_is_unwanted_says_nothing_of_taste_and_stays_heard() -> None:
    nothing = acts()
    none_out = TABLES["exclusions"].empty()
    mine = taste(library("a", "a", "b", feedback=nothing), none_out)
    out = without_pairs(mine, pl.DataFrame({"listener_id": ["ann"], "track_id": ["a"]}))
    assert out.select("track_id", "plays", "heard", "known").rows() == [("a", 0, 0, True), ("b", 1, 1, True)]
    assert out["latest"].list.len().to_list() == [0, 1]


def test_plays_of_pairs_in_sessions() -> None:
    play = {"ms_played": None, "skipped": None, "completed": None}
    tracks = [{"track_id": t, "started_at": START + timedelta(minutes=n), **play} for n, t in enumerate("aba")]
    sessions = pl.DataFrame(
        {"listener_id": ["ann"], "tracks": [tracks]},
        schema={"listener_id": pl.String, "tracks": TABLES["sessions"].polars["tracks"]},
    )
    found = plays_of(sessions, pl.DataFrame({"listener_id": ["ann", "bob"], "track_id": ["a", "b"]}))
    assert found["started_at"].to_list() == [START, START + timedelta(minutes=2)]
    assert found.schema == TABLES["exclusions"].empty().schema
