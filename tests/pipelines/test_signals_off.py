"""`signals.stored: []`: the rows of a night are those of one that knows no signal, whatever stands in the log's columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.simulate import simulate
from tests.pipelines.signal_world import MADE
from tests.pipelines.world import END, NIGHT
from transforms.simulation.files import log_of
from transforms.tables.warehouse import Warehouse

# Shelves for the next session are of the devices and contexts that sessions name, signals or not, so they are left out here.
SHELVES = tuple(shelf for shelf in MADE.shelves.shelves if not shelf.shelf_id.startswith("next-session-"))
OFF = MADE.model_copy(
    update={
        "bootstrap": MADE.bootstrap.model_copy(update={"nights": 1}),
        "signals": MADE.signals.model_copy(update={"stored": ()}),
        "shelves": MADE.shelves.model_copy(update={"shelves": SHELVES}),
    }
)
COLUMNS = ("context", "shuffle", "platform", "device", "country")  # as the simulated log calls them


def made(world: Path, folder: Path) -> Warehouse:
    ingest(str(folder), "parquet", **log_of(world, "parquet"), end_date=END, settings=OFF)
    night(str(folder), NIGHT, OFF)
    return Warehouse(str(folder))


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, Warehouse]:
    """Of one world: as it is, and with nothing in the columns that are signals by default."""
    folder = tmp_path_factory.mktemp("signals_off")
    world, held = folder / "world", set()
    simulate(50, 300, 24, str(world), 3, end_date=END, format="parquet")
    as_it_is = made(world, folder / "as_it_is")
    for path in sorted((world / "listens").glob("*.parquet")):
        rows = pl.read_parquet(path)
        names = [name for name in COLUMNS if name in rows.columns]
        held |= {name for name in names if rows[name].null_count() < rows.height}
        rows.with_columns(pl.lit(None, rows.schema[name]).alias(name) for name in names).write_parquet(path)
    assert held >= {"shuffle", "platform", "device", "country"}, "the world's log says something there"
    return as_it_is, made(world, folder / "without")


def test_no_table_and_no_feature_of_a_signal_is_made(nights: tuple[Warehouse, Warehouse]) -> None:
    warehouse = nights[0]
    assert not warehouse.dates("listener_signals") and not warehouse.dates("track_signals")
    assert not [c for c in warehouse.read("candidates", NIGHT).columns if "signal" in c]
    assert warehouse.need("shelves", NIGHT).settings["signals"]["declared"] == {}
    assert warehouse.read("listens", NIGHT)["platform"].null_count() < warehouse.read("listens", NIGHT).height


@pytest.mark.parametrize("table", ["candidates", "shelves", "draws"])
def test_rows_are_those_of_a_log_without_the_columns(nights: tuple[Warehouse, Warehouse], table: str) -> None:
    as_it_is, without = (one.read(table, NIGHT) for one in nights)
    columns = [c for c in as_it_is.columns if c not in ("version", "model_version")]  # they hang on the log's bytes
    assert as_it_is.height and as_it_is.select(columns).equals(without.select(columns))
