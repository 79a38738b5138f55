"""Discoveries: first plays and the days after them, by hand, and the same whether folded day by day or at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.outcomes.discoveries import fold, traces
from transforms.tables.schema import TABLES

FIRST = date(2026, 1, 1)
RECORDINGS = pl.DataFrame({"track_id": ["song", "remaster", "other"], "recording_id": ["song", "song", "other"]})
NOBODY = TABLES["discoveries"].empty()
HEARD = pl.DataFrame(schema={"listener_id": pl.String, "track_id": pl.String})


def plays(rows: list[tuple[str, str, int, str | None]], ms: int = 90_000) -> pl.DataFrame:
    """(listener, track, day from 0, shelf)."""
    return pl.DataFrame(
        {
            "listener_id": [r[0] for r in rows],
            "track_id": [r[1] for r in rows],
            "started_at": [
                datetime(2026, 1, 1, 9, tzinfo=UTC) + timedelta(r[2], minutes=n) for n, r in enumerate(rows)
            ],
            "ms_played": [ms] * len(rows),
            "skipped": [False] * len(rows),
            "completed": [None] * len(rows),
            "shelf_id": [r[3] for r in rows],
        },
        schema_overrides={
            **dict.fromkeys(("listener_id", "track_id", "shelf_id"), pl.String),
            **{"started_at": pl.Datetime("us", "UTC"), "ms_played": pl.Int64},
            **dict.fromkeys(("skipped", "completed"), pl.Boolean),
        },
    )


def on(day: int) -> date:
    return FIRST + timedelta(day)


def test_a_first_play_and_the_days_that_the_listener_came_back_on() -> None:
    rows = [
        ("ann", "song", 2, "discover-weekly"),
        ("ann", "song", 2, None),  # the same day is no return
        ("ann", "remaster", 3, None),  # another version of the recording is one
        ("ann", "song", 5, None),
        ("ann", "other", 0, None),  # before discoveries count: it is known, and no discovery
        ("ann", "other", 4, None),
        ("bob", "song", 5, None),
    ]
    found = fold(plays(rows), RECORDINGS, HEARD, NOBODY, on(1), on(6), 120)
    assert found.select("listener_id", "recording_id", "shelf_id", "discovered_on").rows() == [
        ("ann", "song", "discover-weekly", on(2)),
        ("bob", "song", "", on(5)),
    ]
    assert traces(found["days_heard"].to_numpy(), 4).tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]


def test_what_was_heard_before_is_no_discovery_and_a_sample_of_it_neither() -> None:
    heard = pl.DataFrame({"listener_id": ["ann"], "track_id": ["remaster"]})
    assert fold(plays([("ann", "song", 1, None)]), RECORDINGS, heard, NOBODY, on(0), on(2), 120).is_empty()
    assert fold(plays([("ann", "song", 1, None)], ms=2000), RECORDINGS, HEARD, NOBODY, on(0), on(2), 120).is_empty()


def test_a_trace_that_left_the_window_is_gone() -> None:
    found = fold(plays([("ann", "song", 1, None)]), RECORDINGS, HEARD, NOBODY, on(0), on(122), 120)
    assert found.is_empty()
    assert fold(plays([("ann", "song", 2, None)]), RECORDINGS, HEARD, NOBODY, on(0), on(122), 120).height == 1


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ann", "bob"]),
            st.sampled_from(["song", "remaster", "other"]),
            st.integers(0, 70),
            st.sampled_from([None, "mix"]),
        ),
        max_size=25,
    ),
    st.sets(st.integers(1, 69), max_size=6),
)
def test_folding_day_by_day_equals_folding_at_once(
    rows: list[tuple[str, str, int, str | None]], cuts: set[int]
) -> None:
    log = plays(rows)
    at_once = fold(log, RECORDINGS, HEARD, NOBODY, on(0), on(70), 120)
    so_far, since = NOBODY, 0
    for last in [*sorted(cuts), 70]:
        inside = (pl.col("started_at").dt.date() >= on(since)) & (pl.col("started_at").dt.date() <= on(last))
        before = log.filter(pl.col("started_at").dt.date() < on(since)).select("listener_id", "track_id").unique()
        so_far = fold(log.filter(inside), RECORDINGS, before, so_far, on(since), on(last), 120)
        since = last + 1
    assert so_far.equals(at_once)
    assert np.all(so_far["days_heard"].to_numpy() >= 0), "59 days fit an integer"
