"""Plays out of taste: which acts cover, and what remains of library and sessions without them."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.transforms.listens import DAY1, MINUTE, at, listens, logs, play
from transforms.listening.exclusions import acts, covered, still_out, taste, union, without_plays
from transforms.listening.library import LISTEN_COLUMNS, day_library, with_activation
from transforms.listening.sessions import sessionize
from transforms.tables.schema import TABLES

LOG = listens(
    play("ann", "a", at(1, 9, 0), 3 * MINUTE, completed=True),
    play("ann", "b", at(1, 9, 4), 3 * MINUTE, skipped=True),
    play("ann", "a", at(2, 9, 0), 3 * MINUTE),
    play("ann", "c", at(2, 9, 4), 3 * MINUTE),
    play("bob", "a", at(1, 9, 0), 3 * MINUTE),
).with_columns(device_id=pl.Series(["speaker", "phone", "phone", "speaker", "speaker"]))
SESSIONS = sessionize(LOG, through=DAY1 + timedelta(2))


def asked(*targets: str) -> pl.DataFrame:
    return acts(said(*(("exclude_from_taste", target, 5) for target in targets), ("save", "phone", 1)))


def said(*words: tuple[str, str, int]) -> pl.DataFrame:
    """Feedback of ann, filed on the day it was said: (kind, target, day of January)."""
    rows = [("ann", kind, target, at(day, 20), at(day, 0).date()) for kind, target, day in words]
    return pl.DataFrame(rows, schema=["listener_id", "kind", "target", "at", "date"], orient="row")


def starts(*targets: str) -> list[tuple]:
    return covered(LOG, SESSIONS, asked(*targets)).select("listener_id", "track_id", "started_at").rows()


def test_a_device_covers_all_that_its_listener_played_on_it():
    assert starts("speaker") == [("ann", "a", at(1, 9, 0)), ("ann", "c", at(2, 9, 4))]
    assert starts("nothing of hers") == []


def test_a_session_covers_its_plays():
    second = SESSIONS.filter((pl.col("listener_id") == "ann") & (pl.col("started_at") == at(2, 9)) & ~pl.col("open"))
    assert starts(second["session_id"].item()) == [("ann", "a", at(2, 9, 0)), ("ann", "c", at(2, 9, 4))]


def test_a_time_range_covers_what_starts_in_it():
    assert starts("2026-01-01T09:04:00Z/2026-01-02T09:04:00Z") == [("ann", "b", at(1, 9, 4)), ("ann", "a", at(2, 9, 0))]
    assert starts("2026-01-01/2026-01-02") == starts("2026-01-01T01:00:00+01:00/2026-01-02T00:00:00")
    assert starts("2026-01-02/2026-01-01") == starts("rack/2") == []


def test_what_two_acts_cover_is_out_once_for_each_of_them():
    both = covered(LOG, SESSIONS, asked("speaker", "2026-01-01/2026-01-02"))
    assert both["track_id"].to_list() == ["a", "a", "b", "c"], "so that undoing one leaves the other"
    assert_frame_equal(union([both, both.reverse()]), both)
    assert dict(both.schema) == TABLES["exclusions"].polars


def test_what_was_heard_stays_known_but_is_no_taste():
    out = covered(LOG, SESSIONS, asked("speaker"))
    left = taste(day_library(LOG), out)
    assert left.select("listener_id", "track_id", "plays", "heard", "completions", "known").rows() == [
        ("ann", "a", 1, 1, 0, True),
        ("ann", "b", 1, 1, 0, True),
        ("ann", "c", 0, 0, 0, True),  # never to be called new to her, and nothing she likes
        ("bob", "a", 1, 1, 0, True),
    ]
    assert left["latest"].to_list()[0] == [at(2, 9, 0)]
    assert left.row(2, named=True)["last_played_at"] is None
    weighed = with_activation(left, DAY1 + timedelta(3))
    assert weighed["activation"].is_null().to_list() == [False, False, True, False]
    assert weighed["decayed_plays"][2] == 0


@settings(max_examples=60)
@given(logs(most=30), st.integers(0, 2**30))
def test_taste_equals_the_library_of_the_plays_that_are_left(log, draw):
    """Up to eight plays a pair nothing is approximated; `known` is as if nothing were excluded."""
    whole = day_library(log)
    log = log.join(whole.filter(pl.col("plays") <= 8), on=["listener_id", "track_id"], how="semi")
    whole = whole.filter(pl.col("plays") <= 8)
    out = log.filter(pl.Series([bool(draw >> (n % 30) & 1) for n in range(log.height)], dtype=pl.Boolean))
    rest = log.join(out, on=["listener_id", "track_id", "started_at"], how="anti")
    left = taste(whole, pl.concat([out.select(LISTEN_COLUMNS)] * 2))
    columns = ["listener_id", "track_id", "plays", "heard", "completions", "skips", "last_played_at", "latest"]
    assert_frame_equal(left.filter(pl.col("plays") > 0).select(columns), day_library(rest).select(columns))
    assert left.height == whole.height
    assert left["known"].to_list() == (whole["heard"] > 0).to_list()


def test_older_plays_left_alone_by_eight_excluded_ones_are_aged_by_what_is_known():
    old = listens(*(play("ann", "a", at(1, 9, n)) for n in range(3)))
    new = listens(*(play("ann", "a", at(3, 9, n)) for n in range(9)))
    left = taste(day_library(pl.concat([old, new])), new.select(LISTEN_COLUMNS))
    assert left.select("plays", "last_played_at").row(0) == (3, at(3, 9, 1))
    assert left["latest"].to_list() == [[]]
    young, exact = (with_activation(f, DAY1 + timedelta(5))["decayed_plays"][0] for f in (left, day_library(old)))
    assert exact < young < 3


def test_a_session_keeps_its_other_plays_and_goes_without_any():
    out = covered(LOG, SESSIONS, asked("phone", "2026-01-02/2026-01-03"))
    left = without_plays(SESSIONS, out)
    tracks = [(r["listener_id"], [p["track_id"] for p in r["tracks"]], r["plays"], r["skips"]) for r in left.to_dicts()]
    assert tracks == [("ann", ["a"], 1, 0), ("bob", ["a"], 1, 0)]
    assert left.schema == SESSIONS.schema
    assert_frame_equal(without_plays(SESSIONS, out.clear()), SESSIONS)
    narrow = SESSIONS.select("listener_id", "session_id", "open", "tracks")
    assert without_plays(narrow, out).columns == narrow.columns


OUT, IN = "exclude_from_taste", "include_in_taste"


def left_out(*words: tuple[str, str, int]) -> list[str]:
    """Tracks of what is still out, after everything was excluded that was ever named."""
    every = covered(LOG, SESSIONS, asked("speaker", "2026-01-01/2026-01-02"))
    return still_out(every, said((OUT, "speaker", 3), (OUT, "2026-01-01/2026-01-02", 3), *words))["track_id"].to_list()


def test_an_act_that_is_taken_back_covers_nothing_any_more():
    assert acts(said((OUT, "speaker", 3), (IN, "speaker", 4))).is_empty()
    again = acts(said((OUT, "speaker", 3), (IN, "speaker", 4), (OUT, "speaker", 5)))
    assert again.select("target", "date", "again").rows() == [("speaker", at(3, 0).date(), at(5, 0).date())]


def test_what_was_out_counts_again_once_it_is_taken_back_and_only_what_nothing_else_covers():
    assert left_out() == ["a", "a", "b", "c"], "the first play is on the speaker and in the range"
    assert left_out((IN, "speaker", 4)) == ["a", "b"]
    assert left_out((IN, "speaker", 4), (IN, "2026-01-01/2026-01-02", 4)) == []
    assert left_out((IN, "speaker", 4), (OUT, "speaker", 5)) == ["a", "a", "b", "c"]
    assert left_out((IN, "phone", 4)) == ["a", "a", "b", "c"], "of another target it undoes nothing"


def test_rows_from_before_acts_could_be_undone_stay_out():
    old = covered(LOG, SESSIONS, asked("speaker")).with_columns(target=pl.lit(None, dtype=pl.String))
    assert still_out(old, said((OUT, "speaker", 3), (IN, "speaker", 4))).height == old.height == 2
