"""Table `carried`: a night that reads it makes the shelves that it would make of four weeks of shelves."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.nightly import night
from pipelines.recommender.earlier import earlier_shelves
from pipelines.recommender.night import Asked
from pipelines.score import score
from tests.pipelines.world import LIGHT, NIGHT, World
from transforms.tables.as_of import as_of
from transforms.tables.upkeep import rollback, unpin
from transforms.tables.warehouse import Warehouse

LAST = NIGHT + timedelta(2)


@pytest.fixture(scope="module")
def nights(light: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three nights in a row, all by the models of the first."""
    made = light.copy(light.made, tmp_path_factory.mktemp("carried") / "warehouse")
    for day in (NIGHT + timedelta(1), LAST):
        night(made.url, day, LIGHT, fit_date=NIGHT, accept_gates=True)
    return Path(made.url)


def shelves(warehouse: Warehouse, day: date) -> pl.DataFrame:
    """The night's shelves as they are shown; versions follow from what was read, so they differ."""
    return warehouse.read("shelves", day).drop("version").sort("listener_id", "shelf_id")


def test_a_night_reads_one_date_of_it_and_no_shelves(nights: Path) -> None:
    warehouse = Warehouse(str(nights))
    read = {key for key in warehouse.need("shelves", LAST).inputs if key.startswith(("shelves@", "carried@"))}
    assert read == {f"carried@{LAST - timedelta(1)}"}
    found = earlier_shelves(as_of(warehouse.url, LAST), 28)
    assert [m.date for m in found.tables["carried"]] == [LAST - timedelta(1)] and found.tables["shelves"] == []


def test_the_shelves_are_those_that_four_weeks_of_shelves_make(light: World, nights: Path, tmp_path: Path) -> None:
    warehouse = World.copy(nights, tmp_path / "warehouse")
    by_table, kept = shelves(warehouse, LAST), warehouse.read("carried", LAST)
    for table, day in (("carried", LAST - timedelta(1)), ("carried", LAST), ("shelves", LAST)):
        warehouse.store.delete(f"{table}/date={day}")
    score(warehouse.url, LAST, settings=LIGHT, asked=Asked(fit_date=NIGHT), accept_gates=True)
    read = {key for key in warehouse.need("shelves", LAST).inputs if key.startswith(("shelves@", "carried@"))}
    assert read == {f"shelves@{NIGHT + timedelta(n)}" for n in range(2)}
    assert_frame_equal(shelves(warehouse, LAST), by_table)
    assert_frame_equal(warehouse.read("carried", LAST), kept)
    carried = by_table.filter(pl.col("refresh_date") < LAST)
    assert carried.height, "nothing is carried in this world, so the comparison says nothing of it"


def test_after_a_rollback_the_shelves_themselves_are_read(nights: Path, tmp_path: Path) -> None:
    warehouse = World.copy(nights, tmp_path / "warehouse")
    before = LAST - timedelta(1)
    first = warehouse.need("shelves", before)
    changed = LIGHT.model_copy(update={"shelves": LIGHT.shelves.model_copy(update={"home_swap": 0.0})})
    score(warehouse.url, before, settings=changed, asked=Asked(fit_date=NIGHT), accept_gates=True)
    assert earlier_shelves(as_of(warehouse.url, LAST), 28).tables["carried"]
    rollback(warehouse, "shelves", before)
    unpin(warehouse, "shelves", before)
    assert warehouse.need("shelves", before).run_id == first.run_id
    found = earlier_shelves(as_of(warehouse.url, LAST), 28)
    assert found.tables["carried"] == [] and [m.date for m in found.tables["shelves"]] == [NIGHT, before]


def test_a_longer_look_back_than_it_was_made_by_reads_the_shelves(nights: Path) -> None:
    found = earlier_shelves(as_of(str(nights), LAST), LIGHT.candidates.shelf_days + 1)
    assert found.tables["carried"] == [] and len(found.tables["shelves"]) == 2


def test_a_night_in_the_rankers_order_alone_leaves_none(nights: Path, tmp_path: Path) -> None:
    warehouse = World.copy(nights, tmp_path / "warehouse")
    for table in ("carried", "shelves"):
        warehouse.store.delete(f"{table}/date={LAST}")
    score(warehouse.url, LAST, settings=LIGHT, asked=Asked(fit_date=NIGHT, greedy=True), accept_gates=True)
    assert warehouse.current("carried", LAST) is None
    found = earlier_shelves(as_of(warehouse.url, LAST + timedelta(1)), 28)
    assert [m.date for m in found.tables["shelves"]] == [NIGHT + timedelta(n) for n in range(3)]
