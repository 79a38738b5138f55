"""Rankers: one interface, a planted signal found, unknown labels masked, missing features harmless."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.rankers.calibration import Platt
from models.rankers.kinds import fit, load
from models.rankers.ranker import Ranker
from models.settings import CrossSettings, Kind, RankerSettings, TreesSettings
from transforms.common.errors import UserError

NAMES = [f"f_{i}" for i in range(6)]
KINDS: list[Kind] = ["blend", "linear", "halfway", "cross", "average", "trees", "ensemble"]


def nights(groups: int = 120, size: int = 40, seed: int = 0) -> pl.DataFrame:
    """Listens follow f_0, against f_1, and f_2 times f_3; the rest is noise. Half the completions are unknown."""
    rng = np.random.default_rng(seed)
    n = groups * size
    x = rng.standard_normal((n, 6)).astype(np.float32)
    logit = 2 * x[:, 0] - x[:, 1] + 1.5 * x[:, 2] * x[:, 3] - 3
    listened = rng.random(n) < 1 / (1 + np.exp(-logit))
    known = rng.random(n) < 0.5
    completed = pl.Series(listened & (rng.random(n) < 0.5)).zip_with(
        pl.Series(known), pl.Series([None], dtype=pl.Boolean)
    )
    frame = pl.DataFrame(x, schema=NAMES).with_columns(
        group=np.repeat(np.arange(groups) * 7 + 3, size),
        listened=pl.Series(listened),
        completed=completed,
        saved=pl.lit(None, dtype=pl.Boolean),
        weight=pl.lit(1.0),
    )
    return frame.sample(fraction=1.0, shuffle=True, seed=seed)


def settings(kind: Kind) -> RankerSettings:
    return RankerSettings(
        kind=kind,
        blend="^f_[04]$",
        cross=CrossSettings(epochs=3, steps=1, hidden=(16,)),
        trees=TreesSettings(rounds=60, least_rows=20),
    )


def auc_in_groups(ranker: Ranker, frame: pl.DataFrame) -> float:
    """Share of (listened, not listened) pairs of a group in the right order."""
    scored = frame.with_columns(s=pl.Series(ranker.score(frame.select(NAMES).to_numpy())))
    pairs = scored.filter("listened").join(scored.filter(~pl.col("listened")), on="group", suffix="_other")
    return float((pairs["s"] > pairs["s_other"]).mean())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fitted() -> dict[str, Ranker]:
    return {kind: fit(nights(), NAMES, settings(kind), seed=1) for kind in KINDS}


def test_a_planted_signal_is_found_and_learning_beats_the_blend(fitted: dict[str, Ranker]) -> None:
    held_out = nights(seed=9)
    auc = {kind: auc_in_groups(r, held_out) for kind, r in fitted.items()}
    assert 0.65 < auc["blend"] < auc["linear"] - 0.05
    assert auc["linear"] > 0.8
    assert auc["cross"] > auc["linear"] - 0.01


def test_trees_find_the_product_that_a_line_cannot_and_start_from_the_blend(fitted: dict[str, Ranker]) -> None:
    held_out = nights(seed=9)
    auc = {kind: auc_in_groups(fitted[kind], held_out) for kind in ("linear", "trees", "ensemble")}
    assert auc["trees"] > auc["linear"] + 0.02 and auc["ensemble"] > auc["linear"] + 0.01
    x = held_out.select(NAMES).to_numpy()
    none = settings("trees").model_copy(update={"trees": TreesSettings(rounds=1, least_rows=10**6)})
    order, blend = (fit(nights(), NAMES, s, seed=1).score(x) for s in (none, settings("blend")))
    assert np.array_equal(np.argsort(order, kind="stable"), np.argsort(blend, kind="stable")), "no tree can grow"


def test_without_lightgbm_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(UserError, match=r"pip install 'nightshelf\[trees\]', or set ranker.kind to linear"):
        fit(nights(10), NAMES, settings("trees"), seed=1)


def test_the_cross_ranker_finds_the_product_that_a_line_cannot(fitted: dict[str, Ranker]) -> None:
    longer = RankerSettings(
        kind="cross", cross=CrossSettings(epochs=12, steps=1, learning_rate=5e-3, dropout=0, batch_rows=512)
    )
    cross, held_out = fit(nights(400), NAMES, longer, seed=1), nights(seed=9)
    assert auc_in_groups(cross, held_out) > auc_in_groups(fitted["linear"], held_out) + 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_scores_the_same(kind: Kind, fitted: dict[str, Ranker], tmp_path: Path) -> None:
    x = nights(5).select(NAMES).to_numpy()
    fitted[kind].save(tmp_path)
    again = load(tmp_path)
    assert np.array_equal(again.score(x), fitted[kind].score(x))
    assert np.array_equal(again.contributions(x), fitted[kind].contributions(x))
    assert {k: v.tolist() for k, v in again.heads(x).items()} == {
        k: v.tolist() for k, v in fitted[kind].heads(x).items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_feature_counts_as_usual(kind: Kind, fitted: dict[str, Ranker]) -> None:
    ranker = fitted[kind]
    missing = np.full((1, 6), np.nan, np.float32)
    usual = ranker.inputs.mean[None, :].copy()
    assert np.array_equal(ranker.score(missing), ranker.score(usual))
    assert ranker.contributions(missing).tolist() == [[0.0] * 6]
    infinite = np.float32([[np.inf, -np.inf, np.nan, 0, 0, 0]])
    assert np.isfinite(ranker.score(infinite)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_add_up_to_the_score(kind: Kind, fitted: dict[str, Ranker]) -> None:
    x = nights(5).select(NAMES).to_numpy()
    ranker = fitted[kind]
    average = ranker.score(np.full((1, 6), np.nan, np.float32))
    assert np.allclose(ranker.contributions(x).sum(axis=1), ranker.score(x) - average, atol=0.02)


def test_heads_are_calibrated_and_unknown_labels_are_masked(fitted: dict[str, Ranker]) -> None:
    held_out = nights(seed=9)
    heads = fitted["cross"].heads(held_out.select(NAMES).to_numpy())
    assert set(heads) == {"p_listened", "p_completed"}, "nothing is known of saves, so there is no such head"
    assert abs(heads["p_listened"].mean() - held_out["listened"].mean()) < 0.02
    # Were unknown completions taken as 0, the head would come out at half of the truth.
    assert abs(heads["p_completed"].mean() - held_out["completed"].mean()) < 0.02
    assert set(fitted["linear"].heads(held_out.select(NAMES).to_numpy())) == {"p_listened"}


def test_the_order_of_rows_does_not_matter_to_the_linear_ranker_nor_does_a_group_without_positives() -> None:
    frame = nights(30)
    dull = frame.head(50).with_columns(group=pl.lit(10_000), listened=pl.lit(False), weight=pl.lit(1e-9))
    weights = [
        fit(f, NAMES, settings("linear"), 1).score(np.eye(6, dtype=np.float32)) for f in (frame, frame.reverse())
    ]
    assert np.allclose(weights[0], weights[1], atol=1e-3)
    with_dull = fit(pl.concat([frame, dull], how="vertical_relaxed"), NAMES, settings("linear"), 1)
    assert np.allclose(weights[0], with_dull.score(np.eye(6, dtype=np.float32)), atol=1e-2)


def test_weights_undo_what_was_not_stored() -> None:
    """Keeping a third of the negatives at weight 3 gives nearly the ranker of all of them."""
    frame = nights(300).sort("group", "f_0")
    kept = frame.filter(pl.col("listened") | (pl.int_range(pl.len()) % 3 == 0)).with_columns(
        weight=pl.when("listened").then(1.0).otherwise(3.0)
    )
    whole, part = (fit(f, NAMES, settings("linear"), 1).weights for f in (frame, kept))  # type: ignore[attr-defined]
    assert np.allclose(whole, part, atol=0.15)


def test_without_a_positive_it_is_the_blend() -> None:
    ranker = fit(nights(5).with_columns(listened=pl.lit(False)), NAMES, settings("cross"), 1)
    assert ranker.kind == "blend"
    assert ranker.heads(np.zeros((2, 6), np.float32)) == {}


def test_no_rows_to_score(fitted: dict[str, Ranker]) -> None:
    nothing = np.zeros((0, 6), np.float32)
    for ranker in fitted.values():
        assert ranker.score(nothing).shape == (0,)
        assert ranker.contributions(nothing).shape == (0, 6)
        assert all(p.shape == (0,) for p in ranker.heads(nothing).values())


def test_the_same_seed_gives_the_same_bytes(fitted: dict[str, Ranker], tmp_path: Path) -> None:
    fitted["cross"].save(tmp_path / "a")
    fit(nights(), NAMES, settings("cross"), seed=1).save(tmp_path / "b")
    for file in ("ranker.json", "cross.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_missing_columns_are_named() -> None:
    with pytest.raises(UserError, match="f_5"):
        fit(nights(3).drop("f_5"), NAMES, settings("linear"), 1)


def test_platt_never_reverses_an_order_and_few_positives_are_no_certainty() -> None:
    wrong = Platt.fit(np.float32([0, 1, 2, 3]), np.float32([1, 1, 0, 0]), np.ones(4, np.float32))
    assert wrong.slope == 0
    sure = Platt.fit(np.float32([-1, 1]), np.float32([0, 1]), np.ones(2, np.float32))
    assert 0.5 < sure(np.float32([1]))[0] < 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_nan_in_training_is_as_usual_too(kind: Kind) -> None:
    """A feature that is sometimes missing, and one that always is, teach nothing wrong and break nothing."""
    gaps = pl.when(pl.int_range(pl.len()) % 3 == 0).then(float("nan")).otherwise(pl.col("f_4")).cast(pl.Float32)
    frame = nights(40).with_columns(f_4=gaps, f_5=pl.lit(float("nan"), dtype=pl.Float32))
    ranker = fit(frame, NAMES, settings(kind), 1)
    scores = ranker.score(frame.select(NAMES).to_numpy())
    assert np.isfinite(scores).all() and scores.std() > 0
    assert all(np.isfinite(p).all() for p in ranker.heads(frame.select(NAMES).to_numpy()).values())
    assert not ranker.contributions(frame.select(NAMES).to_numpy())[:, 5].any()


def test_whoever_calibrates_on_one_night_is_learned_from_on_none() -> None:
    from models.rankers.examples import Examples
    from models.rankers.kinds import held_out

    n = 400
    rows = pl.DataFrame(
        {"group": np.arange(n), "owner": np.arange(n) % 100, "f_a": np.zeros(n), "listened": [True] * n}
    )
    data = Examples.read(rows, ["f_a"])
    held = held_out(data, 0.3, 1)
    by_owner = (
        pl.DataFrame({"owner": data.owner[data.group_of], "held": held})
        .group_by("owner")
        .agg(pl.col("held").n_unique())
    )
    assert by_owner["held"].unique().to_list() == [1], "all of a listener's lists, or none"
    assert 0.15 < held.mean() < 0.45
