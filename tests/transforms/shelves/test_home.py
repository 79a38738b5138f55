"""The order of shelves on a surface, and reasons."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.transforms.shelves.worlds import MONDAY, candidate, frame, make, roster
from transforms.common.errors import UserError
from transforms.shelves.home import Looks, home_order
from transforms.shelves.reasons import sentence
from transforms.shelves.settings import NightContext, ShelfSettings, ShelvesSettings

FOUR = tuple(ShelfSettings(shelf_id=name, title=name) for name in "abcd")
MANY = [f"l{i}" for i in range(6000)]


def settled(listeners: list[str], shelves: tuple[ShelfSettings, ...], swap: float) -> pl.DataFrame:
    """Where shelves stand for whom nothing was learned."""
    there = {shelf.shelf_id: np.ones(len(listeners), np.bool_) for shelf in shelves}
    return home_order(listeners, there, Looks(), ShelvesSettings(shelves=shelves, home_swap=swap), NightContext(MONDAY))


def test_shelves_stand_in_the_order_of_the_settings() -> None:
    home = settled(["ann"], FOUR, 0.0)
    assert home["shelf_id"].to_list() == list("abcd")
    assert home["home_position"].to_list() == [1, 2, 3, 4]
    assert home["home_propensity"].to_list() == [None] * 4


def test_a_swap_exchanges_two_neighbours_and_leaves_the_rest() -> None:
    home = settled(MANY, FOUR, 0.1)
    orders = home.sort("listener_id", "home_position").group_by("listener_id").agg("shelf_id")["shelf_id"].to_list()
    assert {"".join(order) for order in orders} == {"abcd", "bacd", "acbd", "abdc"}


def test_the_stored_probability_of_a_position_is_how_often_it_happens() -> None:
    home = settled(MANY, FOUR, 0.3)
    seen = home.group_by("shelf_id", "home_position").agg(
        share=pl.len() / len(MANY), p=pl.col("home_propensity").first(), one=pl.col("home_propensity").n_unique()
    )
    assert seen["one"].to_list() == [1] * seen.height
    for share, p in seen.select("share", "p").iter_rows():
        assert share == pytest.approx(p, abs=0.03)
    a = seen.filter((pl.col("shelf_id") == "a") & (pl.col("home_position") == 1))
    assert a["p"][0] == pytest.approx(1 - 0.3 / 3)


def test_each_surface_has_an_order_of_its_own() -> None:
    shelves = (*FOUR[:2], ShelfSettings(shelf_id="now", title="Now", surface="now-playing"))
    home = settled(["ann"], shelves, 0.1).filter(pl.col("shelf_id") == "now")
    assert (home["home_position"][0], home["home_propensity"][0]) == (1, None)


def test_greedy_swaps_nothing() -> None:
    block = frame(candidate("a", 1.0))
    made = make(
        block, NightContext(MONDAY, greedy=True), settings=ShelvesSettings(home_swap=1.0), roster=roster(*MANY[:50])
    )
    first = made.shelves.filter(pl.col("home_position") == 1, pl.col("surface") == "home")
    assert first["shelf_id"].unique().to_list() == ["discover-weekly"]


def test_reasons_in_words() -> None:
    assert sentence("because_you_played", "Roads") == "because you played Roads"
    assert sentence("because_you_played", None) == "because of what you play"
    assert sentence("popular_in", "DE") == "popular in DE"
    assert sentence(None, "x") == ""
    assert sentence("lunar_phase", None) == "lunar phase", "a reason that only its source knows"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shelves": (FOUR[0], FOUR[0])}, "found twice: a"),
        ({"home_swap": 2.0}, "home_swap"),
        ({"shelves": ()}, "shelves"),
        ({"no_such_key": 1}, "no_such_key"),
    ],
)
def test_wrong_settings_name_themselves(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShelvesSettings(**wrong)


def test_an_unknown_shelf_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="discover-weekly, release-radar"):
        ShelvesSettings().shelf("lunar-phase")
