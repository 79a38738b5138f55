"""The bench of Home in the live world: on the first day, when every order meets the same listeners, who knows all is best."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipelines.live import Plan
from tests.benchmarks.home_live import IDS, ORDERS, Makers, run, shelves_frame
from transforms.simulation.live_settings import LiveSettings


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, np.ndarray]]:
    return run(listeners=30, tracks=200, days=2, seed=1, leaves=0.5, logs="page")


def test_on_the_first_day_nobody_beats_who_knows_every_chance(found: dict) -> None:
    best = found["oracle"]["any"][0]
    for how in ORDERS:
        assert (found[how]["any"][0] <= best + 1e-12).all(), how
        assert found[how]["chances"][0].shape == (30, len(IDS))
        assert np.array_equal(found[how]["chances"][0], found["oracle"]["chances"][0], equal_nan=True)
    assert best.mean() > found["settings"]["any"][0].mean()


def test_before_anything_was_seen_what_is_learned_is_the_order_of_the_settings(found: dict) -> None:
    assert np.allclose(found["greedy"]["any"][0], found["settings"]["any"][0])
    assert not np.allclose(found["greedy"]["any"][1], found["settings"]["any"][1])


def test_a_page_is_logged_whole_for_whoever_was_shown_any_of_it() -> None:
    world = Plan(12, 200, 1, history=10).world(LiveSettings(opens={"home": 0.7}, logs="page"))
    chosen = Makers(world).chosen(world.morning())
    order = np.broadcast_to(np.arange(len(IDS)), chosen.shape[:2])
    shelves = shelves_frame(world, chosen, order, np.zeros_like(order), world.first_live)
    shown = world.day(world.morning(), world.first_live, shelves)[1].impressions
    item = ["listener_id", "shelf_id", "track_id"]
    stood = (
        shelves.explode("items", keep_nulls=False).with_columns(pl.col("items").struct.field("track_id")).select(item)
    )
    there = stood.filter(pl.col("listener_id").is_in(shown["listener_id"].unique().implode()))
    assert 0 < there.height < stood.height
    assert shown.select(item).unique().sort(item).equals(there.sort(item))
