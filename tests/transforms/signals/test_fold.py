"""Sums of signals: by hand, and the same whatever way listeners are cut into chunks."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from tests.transforms.signals.worlds import DAY, PLAN, SIGNALS, VOLUME, at, drawn, values
from transforms.signals.declared import Signal
from transforms.signals.fold import OTHERS, SCALE, VALUES, add, listener_sums, track_sums

PLAYS = pl.DataFrame(
    {
        "listener_id": ["ann", "ann", "ann", "bob"],
        "track_id": ["a", "b", "a", "a"],
        "started_at": pl.Series([at(9), at(10), at(8), at(12)], dtype=pl.Datetime("us", "UTC")),
        "date": [DAY] * 4,
        "signal_number_volume": [10.0, 30.0, 20.5, None],
        "signal_text_mood": ["calm", "loud", "calm", "loud"],
        "signal_text_tags": ["Rock; pop", None, "rock", ""],
    }
)


def test_a_listener_by_hand() -> None:
    found = {(who, s, v): rest for who, s, v, *rest in listener_sums(PLAYS, SIGNALS).drop("date").iter_rows()}
    assert found["ann", "volume", ""] == [3, round(60.5 * SCALE), 30.0, at(10)]
    assert found["ann", "mood", "calm"][0] == 2 and found["ann", "mood", "loud"][0] == 1
    assert found["ann", "tags", "rock"][0] == 2 and found["ann", "tags", "pop"][0] == 1
    assert ("bob", "volume", "") not in found and found["bob", "mood", "loud"][0] == 1


def test_a_listeners_value_counts_for_what_is_played_while_it_holds() -> None:
    held = values(
        ("ann", "plan", "", at(0, DAY - timedelta(9)), None, "free"),
        ("ann", "plan", "", at(9.5), None, "paid"),
        ("ann", "plan", "", at(23), None, "free"),
        ("bob", "plan", "", at(13), None, "paid"),  # an hour after bob's only play
    )
    found = {(t, v): n for _, t, _, v, n, _ in track_sums(PLAYS, {"plan": PLAN}, held).iter_rows()}
    assert found == {("a", "free"): 2, ("b", "paid"): 1}
    late = held.with_columns(date=pl.lit(DAY + timedelta(1)))  # filed a day after the plays, so it says nothing of them
    assert not track_sums(PLAYS, {"plan": PLAN}, late).height
    assert track_sums(PLAYS, {"plan": PLAN}, held.with_columns(date=pl.lit(DAY - timedelta(1)))).height == 2


@pytest.mark.parametrize("seed", range(5))
def test_chunks_may_be_cut_anywhere(seed: int) -> None:
    plays = drawn(seed)
    held = values(*((f"listener {n}", "plan", "", at(n), None, "paid" if n % 2 else "free") for n in range(8)))
    whole = add([track_sums(plays, SIGNALS, held)])
    assert set(whole["signal"]) == {"mood", "plan", "tags", "volume"}
    people = plays["listener_id"].unique().sort()
    for parts in (2, 3):
        cut = [
            plays.filter(pl.col("listener_id").is_in(people[k::parts].implode())).sample(
                fraction=1.0, shuffle=True, seed=seed
            )
            for k in range(parts)
        ]
        assert add([track_sums(part, SIGNALS, held) for part in cut[::-1]]).equals(whole)
        mine = pl.concat([listener_sums(part, SIGNALS) for part in cut])
        assert mine.sort("date", "listener_id", "signal", "value").equals(listener_sums(plays, SIGNALS))


def test_rare_values_are_counted_together() -> None:
    many = pl.concat([PLAYS.head(1).with_columns(signal_text_mood=pl.lit(f"m{n:02}")) for n in range(VALUES + 4)])
    plays = pl.concat([many, PLAYS.head(1).with_columns(signal_text_mood=pl.lit("m19"))])
    mood = {"mood": SIGNALS["mood"]}
    for found in (listener_sums(plays, mood), add([track_sums(plays, mood)])):
        counts = dict(found.select("value", "n").iter_rows())
        assert counts["m19"] == 2 and len(counts) == VALUES + 1
        assert counts[OTHERS] == 4 and sum(counts.values()) == plays.height


def test_a_column_that_no_file_has_says_nothing() -> None:
    nowhere = {"else": Signal(column="e", kind="number", of="listen"), "volume": VOLUME}
    assert set(listener_sums(PLAYS, nowhere)["signal"]) == {"volume"}
    assert not listener_sums(PLAYS.clear(), nowhere).height and not track_sums(PLAYS.clear(), nowhere).height
