"""BigQuery's view of the one schema: fields, partitioning, clustering, and the requests that publishing sends.

A run is loaded into a table of its own, which nobody reads, by one load job that truncates; consumers read a view, and
the view is replaced in one statement. So a reader sees one whole run or another, never a mix, whatever is killed when.
BigQuery knows microsecond timestamps only, has no list that is null (it reads as an empty one), and reads Parquet lists
as empty unless list inference is on (BigQuery documentation, "Loading Parquet data").

    >>> run_table("shelves", date(2026, 1, 31), "5f1c-1")
    'shelves__20260131__5f1c-1'
    >>> destination("bigquery:music-prod.shelves").table("shelves")
    'music-prod.shelves.shelves'
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import Any

import pyarrow as pa
from google.cloud import bigquery

from transforms.common.errors import UserError
from transforms.tables.manifest import Manifest
from transforms.tables.schema import Table

PROJECT = r"(?:[a-z][a-z0-9.-]{0,61}[a-z0-9]:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
_DESTINATION = re.compile(rf"bigquery:({PROJECT})\.([A-Za-z0-9_]{{1,1024}})")
_RUN_TABLE = re.compile(r"(?P<table>[a-z_]+?)__(?P<day>\d{8})__(?P<run>[A-Za-z0-9-]+)")
_TARGET = re.compile(r"FROM `[^`]+\.(?P<id>[^`.]+)`\s*$")
MOST_CLUSTERED = 4
REPLACES = "replaces"  # label of a run table: the one the view read before it
CONTENT = "content"  # label of a run table: what it was loaded from; set once its rows were counted

_KINDS = {
    "string": "STRING",
    "bool": "BOOLEAN",
    "int32": "INTEGER",
    "int64": "INTEGER",
    "float": "FLOAT",
    "double": "FLOAT",
    "date32[day]": "DATE",
    "timestamp[us, tz=UTC]": "TIMESTAMP",
}


@dataclass(frozen=True)
class Dataset:
    """Where tables are published."""

    project: str
    dataset: str

    def table(self, name: str) -> str:
        """`project.dataset.name`."""
        return f"{self.project}.{self.dataset}.{name}"


def destination(to: str) -> Dataset:
    """Parse `bigquery:PROJECT.DATASET`.

    Raises:
        UserError: it is something else.
    """
    found = _DESTINATION.fullmatch(to)
    if found is None:
        raise UserError(
            f"--to: expected bigquery:PROJECT.DATASET, found {to!r}; write for example bigquery:music-prod.shelves"
        )
    return Dataset(found.group(1), found.group(2))


def field_of(f: pa.Field, meaning: str | None = None) -> bigquery.SchemaField:
    """One column as BigQuery declares it: a list is a REPEATED field of its elements.

    Raises:
        ValueError: a type that BigQuery cannot hold as it is (other time units, lists of lists).
    """
    kind, mode = f.type, "NULLABLE" if f.nullable else "REQUIRED"
    if pa.types.is_list(kind):
        kind, mode = kind.value_type, "REPEATED"
    more: dict[str, Any] = {"description": meaning} if meaning else {}
    if pa.types.is_struct(kind):
        return bigquery.SchemaField(f.name, "RECORD", mode, fields=[field_of(inner) for inner in kind], **more)
    if str(kind) not in _KINDS:
        raise ValueError(f"column {f.name!r}: BigQuery has no type for {kind}")
    return bigquery.SchemaField(f.name, _KINDS[str(kind)], mode, **more)


def fields(table: Table, schema: pa.Schema | None = None) -> list[bigquery.SchemaField]:
    """A table's columns with their meanings; `schema` names the open columns too, where a run has any."""
    meanings = {c.name: c.meaning for c in table.columns}
    return [field_of(f, meanings.get(f.name) or _open_meaning(table, f.name)) for f in schema or table.arrow]


def _open_meaning(table: Table, name: str) -> str | None:
    return next((meaning for prefix, _, meaning in table.open_columns if name.startswith(prefix)), None)


def partitioning(table: Table) -> bigquery.TimePartitioning | None:
    """By the table's own date by day, else by the time in its key by month (late rows must not make thousands)."""
    for column in table.columns:
        if column.type == pa.date32() and not column.nullable:
            return bigquery.TimePartitioning(bigquery.TimePartitioningType.DAY, field=column.name)
    for name in table.key:
        if pa.types.is_timestamp(table.arrow.field(name).type):
            return bigquery.TimePartitioning(bigquery.TimePartitioningType.MONTH, field=name)
    return None


def clustering(table: Table) -> list[str]:
    """The key's first columns, in its order, without the one that partitions."""
    by = partitioning(table)
    return [name for name in table.key if by is None or name != by.field][:MOST_CLUSTERED]


def run_table(table: str, day: date, run_id: str) -> str:
    """Name of the table that holds one run: `<table>__<date>__<run_id>`."""
    return f"{table}__{day:%Y%m%d}__{run_id}"


def run_parts(name: str) -> tuple[str, date, str] | None:
    """Table, date and run id of a run table's name; None for any other name."""
    found = _RUN_TABLE.fullmatch(name)
    if found is None:
        return None
    return found["table"], date.fromisoformat(found["day"]), found["run"]


def content_of(manifest: Manifest) -> str:
    """What a run table is loaded from, in 16 hex characters: a run whose files were redacted has another."""
    text = json.dumps([[f.sha256, f.rows] for f in manifest.files])
    return blake2b(text.encode(), digest_size=8).hexdigest()


def job_id(manifest: Manifest, dataset: Dataset, attempt: int) -> str:
    """Id of a load job: the same run loaded into the same dataset is the same job, so the service starts it once."""
    where = blake2b(dataset.table("").encode(), digest_size=4).hexdigest()
    name = run_table(manifest.table, manifest.date, manifest.run_id)
    return f"nightshelf_{name}_{content_of(manifest)}_{where}_{attempt}"


def table_of(dataset: Dataset, manifest: Manifest, schema: pa.Schema, table: Table) -> bigquery.Table:
    """The empty run table to create: schema, partitioning, clustering, what it is."""
    made = bigquery.Table(
        dataset.table(run_table(manifest.table, manifest.date, manifest.run_id)), schema=fields(table, schema)
    )
    made.time_partitioning = partitioning(table)
    made.clustering_fields = clustering(table)
    made.description = f"{table.name} of {manifest.date}, run {manifest.run_id}: one row per {table.row}"
    made.labels = {"nightshelf": table.name, "version": manifest.version}
    return made


def load_config(table: Table, schema: pa.Schema) -> bigquery.LoadJobConfig:
    """Load Parquet, replacing whatever an earlier attempt left, with nested repeated fields read as lists."""
    parquet = bigquery.ParquetOptions()
    parquet.enable_list_inference = True
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        schema=fields(table, schema),
        labels={"nightshelf": table.name},
    )
    config.parquet_options = parquet
    config.time_partitioning = partitioning(table)
    config.clustering_fields = clustering(table)
    return config


def view_statement(dataset: Dataset, table: Table, run: str) -> str:
    """The one statement that shows a run to consumers."""
    what = json.dumps(f"{table.name}: one row per {table.row}. Reads {run}; replaced by every publish.")
    rows = f"SELECT * FROM `{dataset.table(run)}`"  # noqa: S608 - names are checked when they are made
    return f"CREATE OR REPLACE VIEW `{dataset.table(table.name)}` OPTIONS(description={what}) AS {rows}"


def forget_statement(dataset: Dataset, table: Table, run: str, columns: Collection[str] = ()) -> str | None:
    """The statement that takes listeners (`@ids`) out of a run table; None for a table that names none.

    A refused line keeps its row, without its text where that gives one of them away
    (pattern `@traces`) or the line bears one of their `@prints`; a file's name that does becomes `@word`.

    Args:
        columns: of the run table; one that was loaded before there were prints has no `listener_print`.
    """
    into, names = f"`{dataset.table(run)}`", table.arrow.names
    if "listener_id" in names:
        return f"DELETE FROM {into} WHERE listener_id IN UNNEST(@ids)"  # noqa: S608 - names are checked
    if table.name == "rejects":
        raw, file = "COALESCE(REGEXP_CONTAINS(raw, @traces), FALSE)", "REGEXP_CONTAINS(file, @traces)"
        kept = [f"file = IF({file}, @word, file)"]
        if "listener_print" in columns:
            mine = "COALESCE(listener_print IN UNNEST(@prints), FALSE)"
            kept.append(f"listener_print = IF({mine}, NULL, listener_print)")
            raw = f"({raw} OR {mine})"
        return f"UPDATE {into} SET raw = IF({raw}, NULL, raw), {', '.join(kept)} WHERE {raw} OR {file}"  # noqa: S608
    return None


def view_question(dataset: Dataset) -> str:
    """The query that asks what a view (`@name`) reads."""
    views = f"`{dataset.project}.{dataset.dataset}`.INFORMATION_SCHEMA.VIEWS"
    return f"SELECT view_definition FROM {views} WHERE table_name = @name"  # noqa: S608 - names are checked


def target_of(definition: str) -> str | None:
    """The run table that a view's definition reads; None for a view that is not ours.

    >>> target_of("SELECT * FROM `music.shelves.shelves__20260131__5f1c-1`")
    'shelves__20260131__5f1c-1'
    """
    found = _TARGET.search(definition.strip())
    return found["id"] if found and run_parts(found["id"]) else None


def labels_with(labels: Mapping[str, str], **more: str | None) -> dict[str, str]:
    """Labels with some set; None leaves one out."""
    return {k: v for k, v in {**labels, **more}.items() if v is not None}
