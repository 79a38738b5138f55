"""Plays from a shelf, from impressions and listens to the ranker's attributed head and the candidates it scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.rankers.kinds import load
from pipelines.outcomes import outcomes
from pipelines.recommender import ranker_choice, ranker_fit
from pipelines.recommender.artefacts import fetch
from pipelines.recommender.ranker_examples import ATTRIBUTED, examples
from pipelines.train_ranker import train_ranker
from tests.pipelines.tiny import put
from tests.pipelines.world import END, LIGHT, NIGHT, World
from transforms.common.hashing import uniform
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse, days

HORIZON = (END - NIGHT).days
RANKER = LIGHT.ranker.model_copy(update={"kind": "cross", "promote_tolerance": 1.0})
CROSS = LIGHT.model_copy(update={"ranker": RANKER})


def answer(warehouse: Warehouse) -> pl.DataFrame:
    """Show every listener the night's shelves on the next morning; from each shelf they play some of the first items."""
    first = days(NIGHT, END)[1]
    shelves = warehouse.read("shelves", NIGHT).select("listener_id", "surface", "shelf_id", "version", item="items")
    shown = shelves.explode("item").drop_nulls("item").unnest("item")
    at = pl.lit(first).cast(pl.Datetime("us", "UTC")) + pl.duration(hours=7, minutes=pl.col("position"))
    shown = shown.with_columns(item_or_spare=pl.lit("item"), shown_at=at)
    chance = uniform(5, "plays", shown["listener_id"], shown["shelf_id"], shown["track_id"])
    played = shown.filter(pl.Series(chance) < 1 / (1 + pl.col("position"))).unique(["listener_id", "track_id"])
    put(warehouse, "impressions", first, shown.select(*TABLES["impressions"].polars), shards=2)
    listens = played.select(
        *("listener_id", "track_id", "shelf_id"),
        started_at="shown_at",
        ms_played=pl.lit(200_000, dtype=pl.Int32),
        ingested_at="shown_at",
        late=pl.lit(False),
        listen_id=pl.concat_str("listener_id", "track_id"),
    )
    before = warehouse.read("listens", first)
    warehouse.store.delete(f"listens/date={first}")
    put(warehouse, "listens", first, pl.concat([before, listens], how="diagonal"), shards=2)
    return played


@pytest.fixture(scope="module")
def answered(light: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, pl.DataFrame]:
    warehouse = World.copy(light.made, tmp_path_factory.mktemp("answered") / "w")
    warehouse.store.delete(f"impressions/date={days(NIGHT, END)[1]}")
    played = answer(warehouse)
    outcomes(warehouse.url, END, settings=LIGHT, horizons=[HORIZON])
    return warehouse, played


def learned(warehouse: Warehouse) -> pl.DataFrame:
    pairs = [(warehouse.need("candidates", NIGHT), warehouse.need("outcomes", END))]
    return examples(warehouse, pairs, HORIZON, 10**9, 1)


def test_examples_carry_what_was_shown_played_and_how_likely_it_was_drawn(answered: Any) -> None:
    warehouse, played = answered
    found = learned(warehouse)
    shown = found.filter(pl.col("attributed").is_not_null())
    assert 0.4 * played.height < shown["attributed"].sum() < shown.height / 2
    assert found.filter(pl.col("attributed").is_null())["position"].unique().to_list() == [0], "seen by nobody"
    assert shown["position"].min() == 1
    drawn = shown.filter(pl.col("attributed_weight") != 1.0)
    assert drawn.height and (drawn["attributed_weight"] > 1).all(), "1 / propensity of what an open slot drew"


def test_the_ranker_learns_a_head_of_them_and_stores_its_answer(
    answered: Any, light: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, _ = answered
    # after one epoch it beats nothing; what is looked at is its heads, not whether it is used
    chosen = {name: ranker_choice.Choice(used="cross", tried="cross") for name in ranker_choice.LISTS}
    monkeypatch.setattr(ranker_fit, "choose", lambda *_, **__: chosen)
    train_ranker(warehouse.url, END, settings=CROSS, horizon=HORIZON)
    ranker = load(fetch(warehouse.url, warehouse.need("rankers", END), END))
    features = learned(warehouse).select(ranker.names).to_numpy().astype(np.float32)
    p = ranker.heads(features)["p_attributed"]
    assert p.min() > 0 and p.max() < 1 and p.std() > 0
    # the world's own log plays nothing from these shelves, so its ranker has no such head
    own = load(fetch(str(light.made), light.warehouse.need("rankers", NIGHT), NIGHT))
    assert "p_attributed" not in own.heads(np.zeros((1, len(own.names)), np.float32))
    assert (
        light.warehouse.read("candidates", NIGHT)["p_attributed"].null_count()
        == light.warehouse.need("candidates", NIGHT).rows
    )


def test_a_log_that_attributes_nothing_gives_no_such_examples(answered: Any, tmp_path: Path) -> None:
    warehouse, _ = answered
    stored = warehouse.read("outcomes", END)
    silent = Warehouse(str(tmp_path / "silent"))
    put(silent, "outcomes", END, stored.with_columns(pl.col("origin").replace("attributed", "organic")), shards=2)
    place_rows = warehouse.read("candidates", NIGHT)
    put(silent, "candidates", NIGHT, place_rows, shards=2)
    assert not set(ATTRIBUTED) & set(learned(silent).columns)
