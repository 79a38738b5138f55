"""The one schema as BigQuery declares it, and the requests that publishing sends."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from transforms.common.errors import UserError
from transforms.tables import bigquery as bq
from transforms.tables.manifest import FileEntry, Manifest
from transforms.tables.schema import TABLES

DAY = date(2026, 1, 31)
INTO = bq.Dataset("music-prod", "shelves")


def manifest(*hashes: str, run_id: str = "5f1c-1") -> Manifest:
    files = tuple(FileEntry(path=f"f{n}", rows=1, bytes=1, sha256=h) for n, h in enumerate(hashes))
    return Manifest(
        table="shelves", date=DAY, version="5f1c", run_id=run_id, schema_version=1, shards=1, rows=1, files=files
    )


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_declared_table_has_a_bigquery_schema_with_every_meaning(name: str) -> None:
    table = TABLES[name]
    made = bq.fields(table)
    assert [(f.name, f.description) for f in made] == [(c.name, c.meaning) for c in table.columns]
    assert len(bq.clustering(table)) <= 4
    by = bq.partitioning(table)
    assert by is None or by.field not in bq.clustering(table)


def test_a_shelf_is_a_row_of_repeated_records() -> None:
    fields = {f.name: f for f in bq.fields(TABLES["shelves"])}
    assert (fields["listener_id"].field_type, fields["listener_id"].mode) == ("STRING", "REQUIRED")
    assert fields["home_score"].mode == "NULLABLE"
    assert (fields["items"].field_type, fields["items"].mode) == ("RECORD", "REPEATED")
    inner = {f.name: (f.field_type, f.mode) for f in fields["items"].fields}
    assert inner["artist_ids"] == ("STRING", "REPEATED") and inner["position"] == ("INTEGER", "REQUIRED")
    assert inner["last_heard_at"] == ("TIMESTAMP", "NULLABLE")


def test_tables_are_partitioned_by_their_date_and_clustered_by_their_key() -> None:
    shelves, listens = bq.partitioning(TABLES["shelves"]), bq.partitioning(TABLES["listens"])
    assert shelves is not None and (shelves.type_, shelves.field) == ("DAY", "run_date")
    assert listens is not None and (listens.type_, listens.field) == ("MONTH", "started_at")
    assert bq.clustering(TABLES["shelves"]) == ["listener_id", "shelf_id"]
    assert bq.partitioning(TABLES["tracks"]) is None


def test_a_type_that_bigquery_cannot_hold_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="'at'.*no type for timestamp"):
        bq.field_of(pa.field("at", pa.timestamp("ns", tz="UTC")))


def test_open_columns_keep_their_meaning() -> None:
    table = TABLES["candidates"]
    made = {f.name: f for f in bq.fields(table, table.arrow_for([*table.arrow.names, "rank_als", "f_plays"]))}
    assert made["rank_als"].description == "rank within a source, from 1; null = not retrieved by it"
    assert made["f_plays"].field_type == "FLOAT"


def test_the_load_request_replaces_and_infers_lists() -> None:
    sent = bq.load_config(TABLES["shelves"], TABLES["shelves"].arrow).to_api_repr()["load"]
    assert sent["sourceFormat"] == "PARQUET" and sent["writeDisposition"] == "WRITE_TRUNCATE"
    assert sent["parquetOptions"] == {"enableListInference": True}
    assert sent["createDisposition"] == "CREATE_NEVER"
    assert sent["clustering"] == {"fields": ["listener_id", "shelf_id"]}
    assert sent["timePartitioning"] == {"type": "DAY", "field": "run_date"}


def test_a_job_id_follows_the_content_the_place_and_the_attempt_only() -> None:
    one = bq.job_id(manifest("aa", "bb"), INTO, 1)
    assert one == bq.job_id(manifest("aa", "bb"), INTO, 1)
    others = {
        bq.job_id(manifest("aa", "bb"), INTO, 2),
        bq.job_id(manifest("aa", "cc"), INTO, 1),
        bq.job_id(manifest("aa", "bb", run_id="5f1c-2"), INTO, 1),
        bq.job_id(manifest("aa", "bb"), bq.Dataset("music-prod", "other"), 1),
    }
    assert one not in others and len(others) == 4
    assert set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")


def test_the_view_is_one_statement_and_says_what_it_reads() -> None:
    run = bq.run_table("shelves", DAY, "5f1c-1")
    statement = bq.view_statement(INTO, TABLES["shelves"], run)
    assert statement.startswith("CREATE OR REPLACE VIEW `music-prod.shelves.shelves` ") and ";" not in statement[-5:]
    assert bq.target_of(statement) == run == "shelves__20260131__5f1c-1"
    assert bq.run_parts(run) == ("shelves", DAY, "5f1c-1")
    assert bq.target_of("SELECT 1 FROM `music-prod.other.plays`") is None


@pytest.mark.parametrize(
    "wrong", ["bigquery:music", "music-prod.shelves", "bigquery:music-prod.a`b", "bigquery:A.b", ""]
)
def test_a_destination_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(UserError, match="expected bigquery:PROJECT.DATASET"):
        bq.destination(wrong)
