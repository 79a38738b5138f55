"""What a report reads of the shelves: everything of a small night, whole shards of a large one."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.pipelines.tiny import LISTENERS, NIGHT, build
from transforms.gates.history import MEASURED
from transforms.reporting.standing import standing
from transforms.tables.chunks import shard_of
from transforms.tables.warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return build(tmp_path)


def test_a_small_night_is_read_whole(warehouse: Warehouse) -> None:
    found = standing(warehouse, warehouse.need("shelves", NIGHT))
    assert sorted(found.rows["listener_id"].unique()) == sorted(LISTENERS) and found.listeners == len(LISTENERS)
    assert found.statuses == {"discover-weekly": {"personal": len(LISTENERS)}} and found.note == ""


def test_of_a_large_night_whole_shards_are_read_and_the_gates_counts_tell_the_rest(warehouse: Warehouse) -> None:
    shelves = warehouse.need("shelves", NIGHT)
    counts = {"listeners": 12, "rows": 12, "status discover-weekly personal": 11, "status discover-weekly empty": 1}
    counted = shelves.model_copy(update={"extra": {MEASURED: {"counts": counts, "examples": {}}}})
    found = standing(warehouse, counted, whole=1)
    (shard,) = {f.shard for f in found.files}
    there = pl.Series(LISTENERS).filter(pl.Series(shard_of(pl.Series(LISTENERS), shelves.shards) == shard))
    assert sorted(found.rows["listener_id"].unique()) == sorted(there) and 0 < len(there) < len(LISTENERS)
    assert found.listeners == 12 and found.statuses == {"discover-weekly": {"empty": 1, "personal": 11}}
    assert found.note == f"read of {len(there)} listeners, those of 1 of {shelves.shards} shards"


def test_a_large_night_that_nobody_counted_is_estimated_from_its_sample(warehouse: Warehouse) -> None:
    shelves = warehouse.need("shelves", NIGHT)
    found = standing(warehouse, shelves.model_copy(update={"extra": {}}), whole=1)
    assert found.listeners == shelves.rows and found.note
    assert found.statuses == {"discover-weekly": {"personal": found.rows.height}}


def test_a_night_without_shelves_has_none_standing(warehouse: Warehouse) -> None:
    nothing = standing(warehouse, None)
    assert nothing.rows.is_empty() and nothing.statuses == {} and nothing.listeners == 0
    assert nothing.files == ()
