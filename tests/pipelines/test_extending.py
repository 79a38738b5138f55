"""The table of docs/extending.md, of the page's own blocks: its rows, its page, its fields, and a listener forgotten in it."""

from __future__ import annotations

import importlib
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

import pipelines
import transforms.listening
from pipelines.forget import forget
from tests.pipelines.test_plugin import code
from tests.pipelines.tiny import LISTENERS, SETTINGS, listens_of, put
from transforms.tables import bigquery, docs, schema_made
from transforms.tables.schema import TABLES, Table
from transforms.tables.warehouse import Warehouse

DAY = date(2026, 1, 20)
ROOMS = {"transforms.listening": transforms.listening, "pipelines": pipelines}


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """The page's declaration among the others, and its two files where they can be imported."""
    (block,) = code("python", "# transforms/tables/schema_made.py")
    table: Table = eval(block, dict(vars(schema_made)))
    monkeypatch.setitem(TABLES, table.name, table)
    for name, room in ROOMS.items():
        path = f"{name.replace('.', '/')}/{table.name}.py"
        (block,) = code("python", f"# {path}")
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(block)
        monkeypatch.setattr(room, "__path__", [*room.__path__, str((tmp_path / path).parent)])
        monkeypatch.delitem(sys.modules, f"{name}.{table.name}", raising=False)
    return table


def test_a_table_follows_from_its_declaration_its_step_and_its_job(declared: Table, tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path / "w"))
    for ago in range(3):
        put(warehouse, "listens", DAY - timedelta(ago), listens_of(DAY - timedelta(ago)))
    job = importlib.import_module("pipelines.track_days")
    try:
        job.track_days(warehouse.url, DAY, settings=SETTINGS)
        made = warehouse.read("track_days", DAY)
        played = pl.concat(listens_of(DAY - timedelta(ago)).with_columns(ago=ago) for ago in range(3))
        expected = played.group_by("listener_id", "track_id").agg(days=pl.col("ago").n_unique().cast(pl.Int32))
        assert made.sort(declared.key).equals(expected.sort(declared.key)) and made["days"].max() == 3
        version = warehouse.need("track_days", DAY).version

        job.track_days(warehouse.url, DAY, settings=SETTINGS)
        assert warehouse.need("track_days", DAY).version == version, "nothing moved, so nothing is made again"

        assert "\n## track_days\n" in docs.page()
        assert [f.name for f in bigquery.fields(declared)] == ["listener_id", "track_id", "days"]

        forget(warehouse.url, [LISTENERS[0]], today=DAY)
        left = warehouse.read("track_days", DAY)
        assert LISTENERS[0] not in set(left["listener_id"]) and left["listener_id"].n_unique() == len(LISTENERS) - 1
    finally:
        for name in ROOMS:
            sys.modules.pop(f"{name}.track_days", None)
