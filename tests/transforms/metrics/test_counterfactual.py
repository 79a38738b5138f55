"""Counterfactual estimators: by hand, and unbiased in a world where the truth is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from transforms.metrics.counterfactual import (
    estimate,
    evidence,
    logged_slots,
    pool_rows,
    softmax_policy,
    weights,
)


def test_worked_by_hand() -> None:
    logged = pl.DataFrame(
        {
            "listener_id": ["a", "b", "c", "d"],
            "reward": [1.0, 0.0, 1.0, 1.0],
            "propensity": [0.5, 0.25, 0.01, 1.0],
            "target": [0.25, 0.5, 0.9, 0.0],
        }
    )
    assert weights(logged).tolist() == [0.5, 2.0, 90.0, 0.0], "a clipped weight would bias the estimate"
    got = estimate(logged)
    assert got["logged"].value == 0.75
    assert got["ips"].value == pytest.approx((0.5 + 0 + 90 + 0) / 4)
    assert got["snips"].value == pytest.approx(90.5 / 92.5)
    assert evidence(logged).effective == pytest.approx(92.5**2 / (0.25 + 4 + 8100))


def test_doubly_robust_equals_the_model_where_the_model_is_right() -> None:
    logged = pl.DataFrame(
        {
            "listener_id": ["a", "b"],
            "reward": [1.0, 0.0],
            "propensity": [0.5, 0.5],
            "target": [1.0, 1.0],
            "predicted": [1.0, 0.0],
            "expected": [1.0, 0.0],
        }
    )
    assert estimate(logged)["dr"].value == 0.5


def test_a_slot_that_was_not_drawn_is_refused() -> None:
    logged = pl.DataFrame({"listener_id": ["a"], "reward": [1.0], "propensity": [None], "target": [1.0]})
    with pytest.raises(ValueError, match="drawn slots only"):
        estimate(logged.with_columns(pl.col("propensity").cast(pl.Float64)))


def simulated_draws(rng: np.random.Generator, listeners: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pools of four tracks with random scores, drawn by a softmax; reward 1 with a chance that rises with the track."""
    chance = np.array([0.1, 0.3, 0.5, 0.8])
    scores = rng.normal(0, 1, (listeners, 4))
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    drawn = (p.cumsum(axis=1) < rng.random((listeners, 1))).sum(axis=1).clip(0, 3)
    rows = np.arange(listeners)
    draws = pl.DataFrame(
        {
            "listener_id": [f"l{i}" for i in rows],
            "shelf_id": ["discover-weekly"] * listeners,
            "slot": [1] * listeners,
            "track_id": [f"t{j}" for j in drawn],
            "propensity": p[rows, drawn],
            "pool": [
                [{"track_id": f"t{j}", "score": scores[i, j], "probability": p[i, j]} for j in range(4)] for i in rows
            ],
        }
    )
    rewards = draws.select("listener_id", "shelf_id", "track_id").with_columns(
        reward=pl.Series((rng.random(listeners) < chance[drawn]).astype(float))
    )
    return draws, rewards


def test_ips_and_dr_are_unbiased_in_a_simulated_draw() -> None:
    """The policy that draws all four alike would earn the mean chance, .425; the logged policy's own pools differ."""
    truth, found = 0.425, {"ips": [], "snips": [], "dr": []}  # type: ignore[var-annotated]
    rng = np.random.default_rng(11)
    for _ in range(30):
        draws, rewards = simulated_draws(rng, 250)
        pools = softmax_policy(pool_rows(draws), tau=1e9)
        wrong_model = pools.with_columns(predicted=pl.lit(0.4))
        got = estimate(logged_slots(draws, wrong_model, rewards))
        for name, values in found.items():
            values.append(got[name].value)
    for name, values in found.items():
        error = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values) - truth) < 3.5 * error + (0.01 if name == "snips" else 0), name


def test_the_greedy_policy_takes_the_best_of_every_pool() -> None:
    draws, _ = simulated_draws(np.random.default_rng(0), 20)
    pools = softmax_policy(pool_rows(draws), tau=0.0)
    best = pools.filter(pl.col("target") == 1.0)
    assert best["listener_id"].n_unique() == len(best) == 20
    assert best.sort("listener_id")["score"].to_list() == pytest.approx(
        pools.group_by("listener_id").agg(pl.col("score").max()).sort("listener_id")["score"].to_list()
    )
    even = softmax_policy(pool_rows(draws), tau=1.0, epsilon=1.0)
    assert even["target"].unique().to_list() == [0.25]


def test_only_shown_slots_are_used() -> None:
    draws, rewards = simulated_draws(np.random.default_rng(0), 10)
    got = logged_slots(draws, softmax_policy(pool_rows(draws), tau=1.0), rewards.head(4))
    assert len(got) == 4
    assert got["target"].to_list() == pytest.approx(got["propensity"].to_list())
