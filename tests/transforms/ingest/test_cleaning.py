"""Cleaning one shard: duplicates, implausible days, filing; nothing lost or invented, in any order."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.ingest.cleaning import Cleaned, IngestSettings, clean, hex_text

DAY = datetime(2026, 1, 5, tzinfo=UTC)
AT = datetime(2026, 1, 6, tzinfo=UTC)


def plays(*rows: tuple[str, str, float], **columns: list[Any]) -> pl.DataFrame:
    """(listener, track, seconds after DAY) rows."""
    frame = pl.DataFrame(
        {
            "listener_id": [r[0] for r in rows],
            "track_id": [r[1] for r in rows],
            "started_at": [DAY + timedelta(seconds=r[2]) for r in rows],
            "file_no": pl.Series([0] * len(rows), dtype=pl.Int32),
            "line": pl.Series(range(1, len(rows) + 1), dtype=pl.Int64),
        },
        schema_overrides={"listener_id": pl.String, "track_id": pl.String, "started_at": pl.Datetime("us", "UTC")},
    )
    return frame.with_columns(pl.Series(name, values) for name, values in columns.items())


def cleaned(
    frame: pl.DataFrame, stored: pl.DataFrame | None = None, closed: date | None = None, **over: Any
) -> Cleaned:
    return clean(frame, stored, IngestSettings(**over), closed, AT)


def kept(done: Cleaned) -> list[tuple[str, str, float]]:
    rows = done.listens.select("listener_id", "track_id", "started_at").iter_rows()
    return [(listener, track, (at - DAY).total_seconds()) for listener, track, at in rows]


def test_an_exact_duplicate_goes() -> None:
    done = cleaned(plays(("ann", "t1", 0), ("ann", "t1", 0), ("bob", "t1", 0)))
    assert kept(done) == [("ann", "t1", 0), ("bob", "t1", 0)]
    assert done.duplicates == 1


def test_a_near_duplicate_is_measured_from_the_previous_raw_play() -> None:
    done = cleaned(plays(("ann", "t1", 0), ("ann", "t1", 4), ("ann", "t1", 8), ("ann", "t1", 14)))
    assert kept(done) == [("ann", "t1", 0), ("ann", "t1", 14)]
    assert done.duplicates == 2


def test_another_track_between_does_not_hide_a_near_duplicate() -> None:
    done = cleaned(plays(("ann", "t1", 0), ("ann", "t2", 1), ("ann", "t3", 2), ("ann", "t1", 5)))
    assert kept(done) == [("ann", "t1", 0), ("ann", "t2", 1), ("ann", "t3", 2)]


def test_the_window_is_a_setting_and_zero_means_exact_only() -> None:
    frame = plays(("ann", "t1", 0), ("ann", "t1", 0), ("ann", "t1", 1))
    assert kept(cleaned(frame, near_duplicate_s=0)) == [("ann", "t1", 0), ("ann", "t1", 1)]


def test_of_equal_plays_the_one_that_knows_more_stays() -> None:
    frame = plays(("ann", "t1", 0), ("ann", "t1", 0), ("ann", "t1", 0), ms_played=[None, 9000, 4000])
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        assert cleaned(frame[order]).listens["ms_played"].to_list() == [9000]


def test_a_day_with_more_playing_time_than_it_has_is_refused_whole() -> None:
    hours = 3_600_000
    frame = plays(
        ("bot", "t1", 0),
        ("bot", "t2", 60),
        ("bot", "t3", 90_000),
        ("ann", "t1", 0),
        ms_played=[20 * hours, 5 * hours, 1000, 1000],
    )
    done = cleaned(frame)
    assert kept(done) == [("ann", "t1", 0), ("bot", "t3", 90_000)]
    assert done.rejects.select("line", "reason").rows() == [(1, "implausible_day"), (2, "implausible_day")]
    assert done.rejects["raw"].str.starts_with("sha256:").all()


def test_duplicates_do_not_make_a_day_implausible() -> None:
    frame = plays(("ann", "t1", 0), ("ann", "t1", 0), ("ann", "t1", 0), ms_played=[40_000_000] * 3)
    assert kept(cleaned(frame)) == [("ann", "t1", 0)]


def test_beyond_the_daily_cap_the_first_listens_stay() -> None:
    done = cleaned(plays(("ann", "c", 20), ("ann", "a", 0), ("ann", "b", 10), ("ann", "a", 86_400)), day_cap=2)
    assert kept(done) == [("ann", "a", 0), ("ann", "b", 10), ("ann", "a", 86_400)]
    assert done.rejects.select("line", "reason").rows() == [(1, "over_daily_cap")]


def stored(*rows: tuple[str, str, float]) -> pl.DataFrame:
    return plays(*rows).select("listener_id", "track_id", "started_at", pl.lit(None, dtype=pl.Int32).alias("ms_played"))


def test_what_is_stored_is_not_taken_again_nor_what_stands_just_before_it() -> None:
    done = cleaned(
        plays(("ann", "t1", 0), ("ann", "t1", 103), ("ann", "t1", 97), ("ann", "t2", 100)),
        stored(("ann", "t1", 0), ("ann", "t1", 100)),
    )
    assert kept(done) == [("ann", "t2", 100)]
    assert done.duplicates == 3


def test_stored_listens_count_towards_the_cap() -> None:
    done = cleaned(plays(("ann", "a", 30), ("ann", "b", 60)), stored(("ann", "x", 90)), day_cap=2)
    assert kept(done) == [("ann", "a", 30)]


def test_a_listen_of_a_closed_date_is_filed_under_the_oldest_open_one() -> None:
    done = cleaned(plays(("ann", "t1", 0), ("ann", "t1", 2 * 86_400)), closed=date(2026, 1, 5))
    assert done.listens.select("date", "late").rows() == [(date(2026, 1, 6), True), (date(2026, 1, 7), False)]
    assert done.listens["started_at"][0] == DAY


def test_the_id_of_a_listen_is_a_function_of_listener_track_and_start() -> None:
    one = cleaned(plays(("ann", "t1", 0), ("ann", "t2", 60))).listens["listen_id"]
    other = cleaned(plays(("bob", "t9", 5), ("ann", "t2", 60), ("ann", "t1", 0))).listens["listen_id"]
    assert one.to_list() == other.to_list()[:2]
    assert other.n_unique() == 3 and other.str.len_chars().to_list() == [16] * 3


def test_hex_text() -> None:
    import numpy as np

    assert hex_text(np.array([0, 255, 2**64 - 1], dtype=np.uint64)).to_list() == [
        "0" * 16,
        "00000000000000ff",
        "f" * 16,
    ]


def test_no_plays() -> None:
    done = cleaned(plays())
    assert done.listens.height == done.rejects.height == done.duplicates == 0


ROWS = st.lists(
    st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from(["a", "b", "c"]), st.integers(0, 40)), max_size=40
)


def by_hand(rows: list[tuple[str, str, int]], within: int) -> list[tuple[str, str, float]]:
    """The rule, one play at a time."""
    last: dict[tuple[str, str], int] = {}
    out = []
    for listener, track, at in sorted(rows, key=lambda r: r[2]):
        if at - last.get((listener, track), -(10**9)) > within:
            out.append((listener, track, float(at)))
        last[listener, track] = at
    return sorted(out, key=lambda r: (r[0], r[2], r[1]))


@settings(max_examples=150)
@given(ROWS, st.integers(0, 10), st.randoms())
def test_duplicates_are_those_of_the_rule_in_any_order(
    rows: list[tuple[str, str, int]], within: int, random: Any
) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    done = cleaned(plays(*shuffled), near_duplicate_s=within)
    assert kept(done) == by_hand(rows, within)
    assert done.duplicates == len(rows) - done.listens.height
    assert done.listens.drop("listen_id").equals(
        cleaned(plays(*rows), near_duplicate_s=within).listens.drop("listen_id")
    )


@settings(max_examples=100)
@given(ROWS, ROWS, st.integers(1, 10), st.sampled_from([None, date(2026, 1, 4), date(2026, 1, 5)]))
def test_nothing_is_lost_or_invented(
    rows: list[tuple[str, str, int]], before: list[tuple[str, str, int]], cap: int, closed: date | None
) -> None:
    frame = plays(*rows, ms_played=[(30 - r[2]) * 1_000_000 if r[2] < 30 else None for r in rows])
    frame = frame.with_columns(pl.col("ms_played").cast(pl.Int32))
    done = cleaned(frame, stored(*before), closed, day_cap=cap)
    assert done.listens.height + done.rejects.height + done.duplicates == len(rows)
    assert set(kept(done)) <= set(rows) - set(before)
    assert set(done.rejects["line"]) <= set(frame["line"])
    assert done.listens.group_by("listener_id", pl.col("started_at").dt.date()).len()["len"].max() or cap >= 0
