"""The sample of sessions that neighbours are looked up in: bounded, by hash, in order of time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from transforms.next_in_session.sample import as_log, in_time, newest, sampled
from transforms.tables.schema import TABLES

FIRST = date(2026, 1, 1)


def sessions(count: int) -> pl.DataFrame:
    """One session of two plays a listener, a day apart, with the columns that are read."""
    rows = []
    for n in range(count):
        at = datetime(2026, 1, 1, 9, tzinfo=UTC) + timedelta(days=n % 5)
        play = {"started_at": at, "ms_played": None, "skipped": None, "completed": None}
        tracks = [{"track_id": f"t{n % 7}", **play}, {"track_id": "x", **play}]
        rows.append({"listener_id": f"l{n}", "session_id": f"s{n}", "started_at": at, "tracks": tracks})
    schema = {c: TABLES["sessions"].polars[c] for c in ("listener_id", "session_id", "started_at", "tracks")}
    return pl.DataFrame(rows, schema=schema)


def test_the_newest_dates_that_hold_enough_are_read_and_a_share_of_them_kept() -> None:
    counts = [(FIRST + timedelta(n), 100) for n in range(5)]
    assert newest(counts, 250) == (date(2026, 1, 3), 250 / 300)
    assert newest(counts, 10_000) == (FIRST, 1.0)
    assert newest([(FIRST, 0)], 5) == (FIRST, 1.0)


def test_a_session_is_in_the_sample_by_its_hash_whoever_else_is_there() -> None:
    whole = sampled(sessions(400), FIRST, 0.5, seed=1)
    assert 150 < whole.height < 250
    halves = [sampled(part, FIRST, 0.5, seed=1) for part in (sessions(400)[:100], sessions(400)[100:])]
    assert_frame_equal(pl.concat(halves), whole)
    assert whole["session_id"].to_list() != sampled(sessions(400), FIRST, 0.5, seed=2)["session_id"].to_list()


def test_rows_are_those_of_the_table_and_older_or_empty_sessions_are_left_out() -> None:
    plays = sessions(10).with_columns(
        tracks=pl.when(pl.col("session_id") == "s9").then(pl.col("tracks").list.head(0)).otherwise("tracks")
    )
    found = sampled(plays, date(2026, 1, 5), 1.0, seed=0)
    assert found["session_id"].to_list() == ["s4"]
    assert found["tracks"].to_list() == [["t4", "x"]]
    assert found.schema == TABLES["session_sample"].polars


def test_the_log_is_in_order_of_time_whatever_order_the_rows_came_in() -> None:
    found = sampled(sessions(20), FIRST, 1.0, seed=0)
    ordered = in_time(found)
    assert ordered["started_at"].is_sorted()
    assert_frame_equal(in_time(found.sample(fraction=1.0, shuffle=True, seed=3)), ordered)
    log = as_log(ordered, lambda ids: ids.str.len_chars().to_numpy().astype(np.int32))
    assert len(log) == 20
    assert log.items.tolist() == [2, 1] * 20


def test_an_empty_sample_is_an_empty_log() -> None:
    none = TABLES["session_sample"].empty()
    assert len(as_log(in_time(none), lambda ids: np.zeros(len(ids), np.int32))) == 0
