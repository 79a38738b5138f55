"""Draws: the probabilities are those of the formula, and draws happen as often as they say."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transforms.shelves.worlds import MONDAY, candidate, frame, make, one_shelf, shelf, tracks
from transforms.common.hashing import stable_hash
from transforms.shelves.exploration import draw, draw_state, open_positions, probabilities
from transforms.shelves.settings import ExplorationSettings, NightContext


def test_probabilities_by_hand() -> None:
    """Scores ln 3 and 0 give softmax 3/4 and 1/4; with epsilon .2 over two tracks: .8 * 3/4 + .1 = .7 and .3."""
    p = probabilities(np.array([math.log(3), 0.0]), 0.2, 1.0)
    assert p == pytest.approx([0.7, 0.3])


def test_tau_stretches_scores() -> None:
    p = probabilities(np.array([2 * math.log(3), 0.0]), 0.0, 2.0)
    assert p == pytest.approx([0.75, 0.25])


def test_a_track_without_score_counts_as_the_lowest() -> None:
    p = probabilities(np.array([1.0, 0.0, np.nan]), 0.0, 1.0)
    assert p[2] == p[1]
    assert probabilities(np.array([np.nan]), 0.0, 1.0).tolist() == [1.0]


@given(pool=st.lists(st.floats(-50, 50), min_size=1, max_size=8), epsilon=st.floats(0, 1), tau=st.floats(0.01, 10))
def test_a_pool_sums_to_one_and_no_track_falls_below_the_floor(pool: list[float], epsilon: float, tau: float) -> None:
    p = probabilities(np.array(pool), epsilon, tau)
    assert p.sum() == pytest.approx(1.0)
    assert (p >= epsilon / len(pool) - 1e-12).all()


def test_draws_happen_as_often_as_their_probability_says() -> None:
    n, p = 20_000, probabilities(np.array([1.5, 1.0, 0.0, -1.0]), 0.1, 1.0)
    listeners, tracks = stable_hash([f"l{i}" for i in range(n)]), stable_hash(["a", "b", "c", "d"])
    state = draw_state(3, MONDAY, "discover", 8)
    share = np.bincount([draw(p, listener, tracks, state) for listener in listeners], minlength=4) / n
    assert share == pytest.approx(p, abs=float(4 * np.sqrt(0.25 / n)))


def test_the_order_of_a_pool_does_not_matter() -> None:
    p, tracks, state = np.array([0.0, 0.5, 0.5, 0.0]), stable_hash(["a", "b", "c", "d"]), draw_state(3, MONDAY, "d", 8)
    for listener in stable_hash([f"l{i}" for i in range(50)]):
        chosen = tracks[draw(p, listener, tracks, state)]
        assert chosen == tracks[::-1][draw(p[::-1].copy(), listener, tracks[::-1].copy(), state)]


@pytest.mark.parametrize(("size", "slots", "positions"), [(30, 3, [8, 15, 23]), (20, 3, [5, 10, 15]), (5, 0, [])])
def test_open_slots_are_spread(size: int, slots: int, positions: list[int]) -> None:
    assert open_positions(size, slots) == positions


_FIVE = frame(*(candidate(name, score) for name, score in zip("abcde", (5.0, 4.0, 1.0, 0.5, 0.0), strict=True)))
_SETTINGS = one_shelf(size=3, open_slots=1, spares=1)


def test_fixed_slots_hold_the_best_and_the_open_one_draws_from_the_rest() -> None:
    """Slots 1 and 3 hold a and b, slot 2 draws from c, d, e; the spare is the best that is left."""
    made = make(_FIVE, settings=_SETTINGS)
    row, drawn = shelf(made), made.draws.row(0, named=True)
    assert [row["items"][0]["track_id"], row["items"][2]["track_id"]] == ["a", "b"]
    assert [p["track_id"] for p in drawn["pool"]] == ["c", "d", "e"]
    assert (drawn["slot"], drawn["track_id"]) == (2, row["items"][1]["track_id"])
    assert [item["explored"] for item in row["items"]] == [False, True, False]
    assert [item["propensity"] is None for item in row["items"]] == [True, False, True]
    left = [name for name in "cde" if name != drawn["track_id"]]
    assert row["spares"][0]["track_id"] == left[0]
    assert row["spares"][0]["propensity"] is None


def test_the_stored_propensity_is_the_formulas() -> None:
    made = make(_FIVE, settings=_SETTINGS)
    drawn, item = made.draws.row(0, named=True), shelf(made)["items"][1]
    weight = [math.exp(score) for score in (1.0, 0.5, 0.0)]
    p = [0.9 * w / sum(weight) + 0.1 / 3 for w in weight]
    assert [x["probability"] for x in drawn["pool"]] == pytest.approx(p, rel=1e-5)
    assert item["propensity"] == drawn["propensity"] == pytest.approx(p["cde".index(drawn["track_id"])], rel=1e-5)


def test_assembled_shelves_show_a_track_as_often_as_its_propensity() -> None:
    """Over many listeners with the same candidates, by slot: shown = the mean propensity, for every track."""
    n = 3000
    listeners = pl.DataFrame({"listener_id": [f"l{i}" for i in range(n)]})
    block = _FIVE.drop("listener_id").join(listeners, how="cross").select(_FIVE.columns)
    settings = one_shelf(size=3, open_slots=2).model_copy(
        update={"exploration": ExplorationSettings(epsilon=0.2, tau=2.0)}
    )
    roster = listeners.with_columns(market=pl.lit("DE"), explicit_ok=pl.lit(True))
    made = make(block, roster=roster, settings=settings)
    pools = made.draws.select("slot", "listener_id", drawn="track_id", pool="pool").explode("pool").unnest("pool")
    for row in (
        pools.group_by("slot", "track_id")
        .agg(expected=pl.col("probability").sum() / n, shown=(pl.col("drawn") == pl.col("track_id")).sum() / n)
        .iter_rows(named=True)
    ):
        assert row["shown"] == pytest.approx(row["expected"], abs=4 * 0.5 / math.sqrt(n)), row
    assert made.draws["slot"].unique().sort().to_list() == [1, 2]


def test_the_second_draw_is_conditional_on_the_first() -> None:
    settings = one_shelf(size=4, open_slots=2, artist_cap=None)
    draws = make(_FIVE, settings=settings).draws
    first, second = draws.iter_rows(named=True)
    assert first["track_id"] not in [x["track_id"] for x in second["pool"]]
    assert len(second["pool"]) == len(first["pool"]) - 1


def test_a_drawn_track_respects_the_cap_of_what_is_placed() -> None:
    same = {"artist_ids": ["nina"]}
    made = make(
        frame(candidate("a", 9.0, **same), candidate("b", 8.0, **same), candidate("c", 7.0), candidate("d", 1.0)),
        settings=one_shelf(size=3, open_slots=1, artist_cap=1),
    )
    assert [x["track_id"] for x in made.draws.row(0, named=True)["pool"]] == ["d"]
    assert tracks(made) == ["a", "d", "c"]


def test_a_short_shelf_has_no_gap_and_no_draw() -> None:
    made = make(_FIVE.head(2), settings=one_shelf(size=10, open_slots=3))
    assert tracks(made) == ["a", "b"]
    assert [item["position"] for item in shelf(made)["items"]] == [1, 2]
    assert made.draws.is_empty()


def test_greedy_draws_nothing() -> None:
    made = make(_FIVE, NightContext(MONDAY, "v1", greedy=True), settings=_SETTINGS)
    assert tracks(made) == ["a", "b", "c"]
    assert made.draws.is_empty()


def test_another_date_or_seed_draws_anew() -> None:
    nights = [NightContext(MONDAY, "v1", seed=seed) for seed in range(12)]
    later = [NightContext(MONDAY + dt.timedelta(days=days), "v1") for days in range(12)]
    for some in (nights, later):
        assert len({make(_FIVE, night, settings=_SETTINGS).draws["track_id"][0] for night in some}) > 1


def test_a_pool_holds_one_track_a_recording() -> None:
    block = frame(candidate("a", 9.0), candidate("b", 8.0, recording_id="r"), candidate("b2", 7.0, recording_id="r"))
    made = make(block, settings=one_shelf(size=2, open_slots=1))
    assert [x["track_id"] for x in made.draws.row(0, named=True)["pool"]] == ["b"]


def test_open_slots_must_leave_room() -> None:
    with pytest.raises(ValueError, match="open_slots"):
        one_shelf(size=3, open_slots=3)
