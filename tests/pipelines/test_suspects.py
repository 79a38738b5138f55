"""A machine among the listeners: told by its behaviour in the fold, answered without personal shelves, learned from by nobody."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.runtime.config import Settings
from transforms.tables.warehouse import Warehouse

FIRST = date(2026, 1, 1)
NIGHT = FIRST + timedelta(6)
SETTINGS = Settings.model_validate(
    {
        "shards": 1,
        "models": {"als": {"factors": 8, "iterations": 2}, "use_two_tower": False, "use_sequence": False},
        "candidates": {"per_source": 40},
        "bootstrap": {"nights": 1, "days_apart": 2},
        "outcomes": {"horizons": [2]},
        "ranker": {"kind": "blend"},
    }
)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Ten people of twenty tracks, and a machine that plays forty of its own, one every three minutes to the second."""
    folder = tmp_path_factory.mktemp("machines")
    rows = []
    for day in range(7):
        start = datetime.combine(FIRST + timedelta(day), datetime.min.time(), UTC) + timedelta(hours=9)
        for n in range(10):
            heard = [f"t{(3 * n + day * 2 + k) % 20}" for k in range(6)]
            rows += [(f"u{n}", t, start + timedelta(seconds=230 * k + 11 * (k * n % 5))) for k, t in enumerate(heard)]
        rows += [("machine", f"spam{k % 40}", start + timedelta(seconds=180 * k)) for k in range(100)]
    log = pl.DataFrame(rows, schema=["listener_id", "track_id", "started_at"], orient="row")
    log.write_parquet(folder / "log.parquet")
    url = str(folder / "warehouse")
    ingest(url, "parquet", [str(folder / "log.parquet")], end_date=NIGHT, settings=SETTINGS)
    night(url, NIGHT, SETTINGS)
    return Warehouse(url)


def test_it_stands_in_the_table_with_its_reason_and_nobody_else_does(warehouse: Warehouse) -> None:
    for n in range(7):
        found = warehouse.read("suspects", FIRST + timedelta(n))
        assert found.select("listener_id", "reason", "plays").rows() == [("machine", "regular_gaps", 100)]


def test_its_plays_are_kept_and_train_nothing(warehouse: Warehouse) -> None:
    listens = warehouse.read("listens", NIGHT)
    assert (listens["listener_id"] == "machine").sum() == 100
    for table, column in (("track_stats", "track_id"), ("co_listens", "track_a"), ("track_embeddings", "track_id")):
        assert not warehouse.read(table, NIGHT)[column].str.starts_with("spam").any(), table
    assert "machine" not in warehouse.read("candidates", NIGHT)["listener_id"].to_list()


def test_it_is_answered_with_what_everybody_gets_and_told_why(warehouse: Warehouse) -> None:
    shelves = warehouse.read("shelves", NIGHT)
    mine = shelves.filter(listener_id="machine")
    assert mine.height == len(SETTINGS.shelves.shelves) and "personal" not in mine["status"].to_list()
    assert set(mine["status_reason"]) == {"the plays look like a machine's (regular gaps)"}
    people = shelves.filter(pl.col("listener_id") != "machine")
    assert "personal" in people["status"].to_list()
    shown = people.select(pl.col("items").list.explode()).unnest("items")["track_id"]
    assert not shown.str.starts_with("spam").any()
