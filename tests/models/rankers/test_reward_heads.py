"""Reward heads: calibrated chances of each label, apart for discoveries and repeats, and the same after saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from models.rankers.reward_heads import RewardHeads

NAMES = ["f_a", "f_heard"]


def examples(n: int = 6000) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    a, heard = rng.normal(size=n), rng.random(n) < 0.4
    chance = 1 / (1 + np.exp(-np.where(heard, -1.0 - a, -2.0 + 1.5 * a)))
    done = rng.random(n) < chance
    return pl.DataFrame(
        {
            "f_a": a.astype(np.float32),
            "f_heard": heard.astype(np.float32),
            "weight": np.ones(n, np.float32),
            "completed": done,
            "saved": [None] * n,
            "skipped": [False] * n,
            "truth": chance,
        },
        schema_overrides={"saved": pl.Boolean},
    )


def test_a_head_gives_the_chance_of_its_label_in_either_list() -> None:
    data = examples()
    heads = RewardHeads.fit(data, NAMES, ("completed", "saved", "skipped", "returned"), seed=1)
    assert set(heads.weights) == {"completed"}, "of the others nothing is known, or nothing ever happens"
    found = heads.chances(data)["h_completed"]
    assert np.abs(found - data["truth"].to_numpy()).mean() < 0.02
    for flag in (0, 1):
        here = (data["f_heard"] == flag).to_numpy()
        assert abs(found[here].mean() - data["completed"].to_numpy()[here].mean()) < 1e-3


def test_thinned_negatives_are_made_up_for() -> None:
    data = examples(20_000)
    kept = data["completed"].to_numpy() | (np.random.default_rng(1).random(len(data)) < 0.25)
    thin = data.filter(pl.Series(kept)).with_columns(weight=pl.when("completed").then(1.0).otherwise(4.0))
    found = RewardHeads.fit(thin, NAMES, ("completed",), seed=1).chances(data)["h_completed"]
    assert abs(found.mean() - data["completed"].to_numpy().mean()) < 0.02


def test_heads_are_the_same_after_saving_and_a_missing_feature_counts_as_usual(tmp_path: Path) -> None:
    data = examples()
    heads = RewardHeads.fit(data, NAMES, ("completed",), seed=1)
    heads.save(tmp_path)
    again = RewardHeads.load(tmp_path)
    assert again is not None and np.array_equal(again.chances(data)["h_completed"], heads.chances(data)["h_completed"])
    usual = data.with_columns(f_a=pl.lit(float(heads.inputs.mean[0]), dtype=pl.Float32))
    assert np.allclose(heads.chances(data.drop("f_a"))["h_completed"], heads.chances(usual)["h_completed"])
    assert RewardHeads.load(tmp_path / "nowhere") is None
