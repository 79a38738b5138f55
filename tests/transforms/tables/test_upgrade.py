"""A table gains a column: what was written before it reads with nulls, alone and beside what has it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from tests.transforms.tables.test_chunks import people, put
from transforms.tables import schema
from transforms.tables.chunks import read_chunks
from transforms.tables.schema import TABLES, Column
from transforms.tables.specs import specs
from transforms.tables.warehouse import Warehouse

OLD, NEW = date(2026, 1, 1), date(2026, 1, 2)


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Ann and bob on the old date without the column, on the new one with it."""
    warehouse = Warehouse(str(tmp_path))
    put(warehouse, "listeners", people(["ann", "bob"]), 2, OLD)
    more = Column("plan", pa.string(), "what the listener pays", True)
    table = replace(TABLES["listeners"], columns=(*TABLES["listeners"].columns, more))
    monkeypatch.setitem(schema.TABLES, "listeners", table)
    put(warehouse, "listeners", people(["ann", "bob", "cid"]).with_columns(plan=pl.lit("family")), 2, NEW)
    return warehouse


def test_a_date_from_before_reads_with_nulls(warehouse: Warehouse) -> None:
    assert warehouse.read("listeners", OLD)["plan"].to_list() == [None, None]
    assert warehouse.read("listeners", OLD, ["listener_id", "plan"]).columns == ["listener_id", "plan"]
    assert "plan" not in warehouse.read("listeners", OLD, ["listener_id"]).columns
    assert set(warehouse.read("listeners", NEW)["plan"]) == {"family"}


def test_a_job_that_asks_for_it_finds_it_in_every_chunk(warehouse: Warehouse) -> None:
    for dates in ([OLD], [OLD, NEW]):
        tables = {"listeners": [warehouse.need("listeners", d) for d in dates]}
        asked = {"listeners": ["listener_id", "plan"]}
        chunks = [c for s in specs(warehouse, 2, tables) for c in read_chunks(s, asked)]
        rows = pl.concat([c["listeners"].select("listener_id", "plan") for c in chunks])
        assert rows.filter(pl.col("plan").is_null()).height == 2
        assert rows.filter(pl.col("plan") == "family").height == (3 if NEW in dates else 0)
