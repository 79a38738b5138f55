"""What one load job names, however many files a run has."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.common.errors import UserError
from transforms.tables import bigquery_load
from transforms.tables.bigquery_load import _join, sources_of
from transforms.tables.manifest import FileEntry, Manifest
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

DAY = date(2026, 1, 31)


def made(warehouse: Warehouse, count: int) -> Manifest:
    folder = "shelves/date=2026-01-31/run=5f1c-1"
    files = tuple(FileEntry(path=f"{folder}/s{n}.parquet", shard=n, rows=1, bytes=1, sha256="x") for n in range(count))
    for file in files:
        warehouse.store.write(file.path, b"x")
    return Manifest(
        table="shelves",
        date=DAY,
        version="5f1c",
        run_id="5f1c-1",
        schema_version=1,
        shards=count,
        rows=count,
        files=files,
    )


def test_beyond_what_a_job_may_name_a_folder_is_one_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery_load, "MOST_SOURCES", 3)
    warehouse = Warehouse(str(tmp_path))
    few, many = made(warehouse, 3), made(warehouse, 4)
    assert len(sources_of(warehouse, few)) == 3
    assert sources_of(warehouse, many) == [f"{warehouse.store.root}/shelves/date=2026-01-31/run=5f1c-1/*.parquet"]


def test_a_pattern_must_not_load_what_the_manifest_does_not_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bigquery_load, "MOST_SOURCES", 3)
    warehouse = Warehouse(str(tmp_path))
    many = made(warehouse, 4)
    warehouse.store.write("shelves/date=2026-01-31/run=5f1c-1/of-an-attempt.parquet", b"x")
    with pytest.raises(UserError, match="1 more"):
        sources_of(warehouse, many)


def test_a_run_of_before_a_column_was_declared_is_loaded_with_nulls(tmp_path: Path) -> None:
    warehouse, schema = Warehouse(str(tmp_path)), TABLES["artists"].arrow
    manifest = made(warehouse, 1).model_copy(update={"table": "artists"})
    older = schema.remove(schema.get_field_index("aliases"))
    rows = pa.Table.from_pylist([{"artist_id": "q", "name": "Queen"}], older)
    pq.write_table(rows, tmp_path / manifest.files[0].path)
    whole, nullable = io.BytesIO(), pa.schema([f.with_nullable(True) for f in schema])
    _join(warehouse, manifest, nullable, whole)
    assert pq.read_table(whole).to_pylist() == [{"artist_id": "q", "name": "Queen", "aliases": None}]
