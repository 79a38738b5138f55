"""What outcomes say of preference: rewards by hand, and what was looked at and what may not have been."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.outcomes.preferences import READ, SHOWN, shown
from transforms.outcomes.rewards import Reward, RewardSettings
from transforms.tables.schema import TABLES

NIGHT = date(2026, 1, 20)


def outcome(track: str, rank: int, **over: object) -> dict[str, object]:
    row = {"night": NIGHT, "listener_id": "ann", "track_id": track, "horizon": 1, "stage": "shown", "shelf_id": "radio"}
    return {**row, "rank": rank, "inclusion": 1.0, "listened": False, "heard_before": False, **over}


PLAYED = {"listened": True, "origin": "attributed", "completed": True, "skipped": False}


def table(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=TABLES["outcomes"].polars).select(READ)


def found(*rows: dict[str, object], rewards: RewardSettings | None = None) -> dict[str, tuple[float, bool, bool]]:
    out = shown(table(*rows), rewards or RewardSettings(), 1)
    assert dict(out.schema) == SHOWN
    return {track: values for track, *values in out.select("track_id", "reward", "played", "looked_at").iter_rows()}  # type: ignore[misc]


def test_what_stands_above_a_play_was_passed_over_and_what_stands_below_says_nothing() -> None:
    rows = [outcome("above", 1), outcome("song", 2, **PLAYED), outcome("below", 3)]
    other = [outcome("elsewhere", 1, shelf_id="mix"), outcome("skipped", 9, shelf_id="mix", skipped=True)]
    assert found(*rows, *other) == {
        "above": [0.0, False, True],
        "song": [1.0, True, True],
        "below": [0.0, False, False],
        "elsewhere": [0.0, False, False],  # no play names its shelf
        "skipped": [-1.0, False, True],
    }


def test_a_play_that_came_from_elsewhere_tells_nothing_of_the_shelf() -> None:
    own = {**PLAYED, "origin": "organic"}
    assert found(outcome("above", 1), outcome("song", 2, **own)) == {
        "above": [0.0, False, False],
        "song": [1.0, True, True],
    }


def test_rewards_are_the_weighted_sum_of_the_labels_that_hold() -> None:
    everything = {**PLAYED, "saved": True, "returned": True, "adopted": True}
    assert found(outcome("song", 1, **everything))["song"][0] == 1 + 2 + 1 + 1
    unknown = {**PLAYED, "completed": None, "skipped": None, "saved": None}
    assert found(outcome("song", 1, **unknown))["song"][0] == 0, "what the log cannot know counts nothing"
    own = RewardSettings(rewards={"kept": Reward(term="mid_term", label="returned", weight=5.0)})
    assert found(outcome("song", 1, **everything), rewards=own)["song"][0] == 5
    late = RewardSettings(rewards={"days": Reward(term="long_term", days=7)})
    assert found(outcome("song", 1, **everything), rewards=late)["song"][0] == 0


@pytest.mark.parametrize("over", [{"stage": "candidate"}, {"stage": "placed"}, {"stage": "missed"}, {"horizon": 7}])
def test_only_what_was_shown_and_of_the_horizon_is_there(over: dict[str, object]) -> None:
    assert found(outcome("song", 1, **{**PLAYED, **over})) == {}


STAGES = ("candidate", "placed", "shown", "missed")


@given(
    st.lists(
        st.tuples(st.sampled_from(STAGES), st.booleans(), st.booleans(), st.booleans(), st.sampled_from("ab")),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_no_track_without_an_impression_is_ever_there(drawn: list[tuple[str, bool, bool, bool, str]]) -> None:
    rows = [
        outcome(
            f"t{n}",
            n + 1,
            stage=stage,
            listened=heard,
            origin="attributed" if heard and named else None,
            skipped=skipped,
            shelf_id=shelf,
        )
        for n, (stage, heard, skipped, named, shelf) in enumerate(drawn)
    ]
    mine = found(*rows)
    assert set(mine) == {f"t{n}" for n, one in enumerate(drawn) if one[0] == "shown"}
    for n, (stage, heard, skipped, _, shelf) in enumerate(drawn):
        if stage != "shown" or heard or skipped:
            continue
        below = any(s == "shown" and h and named and at == shelf for s, h, _, named, at in drawn[n + 1 :])
        assert mine[f"t{n}"][2] == below
