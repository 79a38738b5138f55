"""First places by a compiled walk are those of a sort; numbers stand for recordings."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from transforms.evaluation.coding import Codes
from transforms.evaluation.facts import MeasureFacts
from transforms.evaluation.places import lister

VALUES = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.5, float("nan"), -3.0]))


def sorted_lists(candidates: pl.DataFrame, top: int) -> dict[str, pl.DataFrame]:
    """The same by a stable sort of everything."""
    known = candidates.filter(pl.col("order").is_not_null()).sort("listener_id", "order", maintain_order=True)
    kinds = {"unheard": ~pl.col("heard_before"), "repeat": pl.col("heard_before"), "all": pl.lit(True)}
    place = pl.int_range(1, pl.len() + 1).over("listener_id")
    return {
        kind: known.filter(which).select("listener_id", "track_id", rank=place).filter(pl.col("rank") <= top)
        for kind, which in kinds.items()
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), VALUES), max_size=40), st.integers(1, 6))
def test_first_places_are_those_of_a_stable_sort(rows: list[tuple[str, bool, float | None]], top: int) -> None:
    candidates = pl.DataFrame(
        {
            "listener_id": [who for who, _, _ in rows],
            "track_id": [f"t{n}" for n in range(len(rows))],
            "heard_before": [heard for _, heard, _ in rows],
            "order": [order for _, _, order in rows],
        },
        schema={"listener_id": pl.String, "track_id": pl.String, "heard_before": pl.Boolean, "order": pl.Float64},
    ).sort("listener_id", maintain_order=True)
    found = lister(candidates, top)(pl.col("order"))
    wanted = sorted_lists(candidates, top)
    for kind in wanted:
        assert_frame_equal(found[kind], wanted[kind])


def test_codes_stand_for_recordings_and_leave_others_out() -> None:
    facts = MeasureFacts(
        recordings=pl.DataFrame({"track_id": ["a", "a2"], "recording_id": ["A", "A"]}),
        popularity=pl.DataFrame({"item": ["A"], "listeners": [1]}),
        credits=pl.DataFrame(schema={"item": pl.String, "artist_id": pl.String}),
        listeners=1,
    )
    by_track = pl.DataFrame({"listener_id": ["bob", "ann", "ann"], "track_id": ["a2", "new", "a"], "rank": [1, 1, 2]})
    by_item = pl.DataFrame({"listener_id": ["ann"], "item": ["Z"], "rank": [1]})
    codes = Codes.of(pl.Series(["ann"]), facts, items=[by_item["item"]], tracks=[by_track["track_id"]])
    names = codes.items["item"]
    coded = codes.coded(by_track)
    # bob is none of those measured; a recording that is known has the same number whatever else is listed
    assert list(zip(names.gather(coded["item"]), coded["rank"], strict=True)) == [("new", 1), ("A", 2)]
    assert coded["item"].to_list()[1] == facts.items.row(0)[1] == 0
    assert names.gather(codes.coded(by_item)["item"]).to_list() == ["Z"]
