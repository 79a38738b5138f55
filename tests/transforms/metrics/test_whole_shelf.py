"""Whole shelves under another policy: by hand, and where what comes first changes what is left to earn."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from transforms.metrics.counterfactual import estimate
from transforms.metrics.whole_shelf import estimate_shelves, prefix_weights, shelf_evidence


def test_a_slot_is_weighed_with_all_before_it_by_hand() -> None:
    slots = pl.DataFrame(
        {
            "listener_id": ["ann", "ann", "bob", "bob"],
            "shelf_id": ["d"] * 4,
            "slot": [8, 15, 8, 15],
            "propensity": [0.5, 0.25, 0.5, 0.5],
            "target": [1.0, 0.5, 0.5, 0.0],
            "reward": [1.0, 0.0, 1.0, 1.0],
        }
    )
    assert prefix_weights(slots)["weight"].to_list() == [2.0, 4.0, 1.0, 0.0]
    assert prefix_weights(slots)["before"].to_list() == [1.0, 2.0, 1.0, 1.0]
    got = estimate_shelves(slots)
    assert got["logged"].value == 1.5 and got["logged"].n == 2
    assert got["ips"].value == pytest.approx((2 * 1 + 4 * 0 + 1 * 1 + 0) / 2)
    assert got["snips"].value == pytest.approx((2 + 1) / 3 + 0 / 4)
    assert shelf_evidence(slots).effective == pytest.approx(1.0), "bob's shelf is one that the policy never draws"


def world(listeners: int, seed: int) -> tuple[pl.DataFrame, float]:
    """Two open slots. The first draws a or b. After a, listeners are tired: the second earns .2, after b .8.

    Both slots draw their good track with p = .5, the policy always. The first earns .6 with a, .1 with b.
    """
    rng = np.random.default_rng(seed)
    first = rng.random(listeners) < 0.5
    second = rng.random(listeners) < 0.5
    r1 = rng.random(listeners) < np.where(first, 0.6, 0.1)
    r2 = rng.random(listeners) < np.where(first, 0.2, 0.8) * np.where(second, 1.0, 0.5)
    ids = [f"l{n}" for n in range(listeners)]
    parts = [
        {"listener_id": ids, "slot": k, "reward": r.astype(float), "target": t.astype(float)}
        for k, r, t in ((1, r1, first), (2, r2, second))
    ]
    slots = pl.concat([pl.DataFrame(p) for p in parts]).with_columns(shelf_id=pl.lit("d"), propensity=pl.lit(0.5))
    return slots, 0.6 + 0.2


def test_slot_by_slot_misses_what_the_first_slot_does_to_the_second_and_whole_shelves_do_not() -> None:
    slots, truth = world(20_000, 1)
    whole = estimate_shelves(slots)
    assert whole["ips"].value == pytest.approx(truth, abs=0.04) and whole["snips"].value == pytest.approx(
        truth, abs=0.04
    )
    alone = 2 * estimate(slots)["ips"].value
    assert alone == pytest.approx(0.6 + 0.5, abs=0.04), "as if the second slot still followed the first at random"


def test_the_interval_of_a_whole_shelf_holds_the_truth_as_often_as_it_says() -> None:
    inside = {"ips": 0, "snips": 0}
    for seed in range(100):
        slots, truth = world(200, seed)
        for name, found in estimate_shelves(slots).items():
            if name in inside:
                inside[name] += found.low <= truth <= found.high
    assert all(0.89 <= n / 100 <= 0.99 for n in inside.values()), inside


def test_a_model_that_is_right_takes_the_noise_out() -> None:
    slots, truth = world(500, 3)
    p = pl.when(pl.col("slot") == 1)
    first = slots.filter(slot=1).select("listener_id", a="target")
    slots = slots.join(first, on="listener_id")
    slots = slots.with_columns(
        predicted=p.then(pl.when(pl.col("target") == 1).then(0.6).otherwise(0.1)).otherwise(
            pl.when(pl.col("a") == 1).then(0.2).otherwise(0.8) * pl.when(pl.col("target") == 1).then(1.0).otherwise(0.5)
        ),
        expected=p.then(0.6).otherwise(pl.when(pl.col("a") == 1).then(0.2).otherwise(0.8)),
    )
    got = estimate_shelves(slots)
    assert got["dr"].high - got["dr"].low < 0.9 * (got["ips"].high - got["ips"].low)
    assert got["dr"].low <= truth <= got["dr"].high
