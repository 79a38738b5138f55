"""A run's files into a BigQuery table of its own: one load job, truncating, whose rows are then counted.

A warehouse in a bucket is loaded from where it lies; a local one as one file put together from the run's, because several
appending jobs would double rows wherever a job's id is forgotten. A load that was killed is started again and finds what is
done: a job's id follows from the run, and a label says what a table was loaded from.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.exceptions import Conflict, GoogleAPICallError
from google.cloud import bigquery

from transforms.common.errors import UserError
from transforms.tables import bigquery as bq
from transforms.tables.as_of import AsOf
from transforms.tables.bigquery_client import Target, declared, label, refusals
from transforms.tables.manifest import Manifest
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

ATTEMPTS = 20
MOST_SOURCES = 10_000  # that one load job may name


def publishable(past: AsOf, table: str) -> Manifest:
    """The manifest of a table as of the view's date: of that date, or the newest up to it where the table is read so.

    Raises:
        UserError: no such table, nothing on that date, or no rows, which would show consumers an empty table.
    """
    declared(table)
    manifest = (past.newest(table) if TABLES[table].cumulative else None) or past.need(table)
    if not manifest.rows:
        raise UserError(
            f"{table} of {past.day} has no rows; publishing it would show consumers an empty table: make it again first"
        )
    if not re.fullmatch(r"[A-Za-z0-9-]+", manifest.run_id):
        raise UserError(
            f"{table} of {past.day}: expected a run id of letters, digits and dashes, found another; make it again"
        )
    return manifest


def load(warehouse: Warehouse, at: Target, manifest: Manifest, expires: datetime) -> None:
    """Load a run into its own table, unless that is done. The table expires until a view reads it."""
    name = bq.run_table(manifest.table, manifest.date, manifest.run_id)
    with refusals(f"{name}"):
        found = at.get(name)
        if is_whole(found, manifest):
            return
        cleared = found is not None and found.labels.get(bq.CONTENT) == ""  # an earlier load's rows are there no more
        of_table = TABLES[manifest.table]
        schema = _schema(warehouse, manifest)
        empty = bq.table_of(at.dataset, manifest, schema, of_table)
        empty.expires = expires
        at.client.create_table(empty, exists_ok=True)
        config = bq.load_config(of_table, schema)
        rows = -1
        with _sender(warehouse, at, manifest, schema, config) as send:
            for attempt in range(1, ATTEMPTS + 1):
                fresh, rows = _run_job(at, send, bq.job_id(manifest, at.dataset, attempt), name)
                if fresh or (rows == manifest.rows and not cleared):
                    break
        if rows != manifest.rows:
            raise UserError(
                f"{name}: expected {manifest.rows:,} rows as the manifest says, found {rows:,} loaded; the view was "
                "not replaced: check the run's files with `nightshelf status`, then run the same command again"
            )
        label(at, name, content=bq.content_of(manifest))


def is_whole(found: bigquery.Table | None, manifest: Manifest) -> bool:
    return (
        found is not None
        and found.num_rows == manifest.rows
        and found.labels.get(bq.CONTENT) == bq.content_of(manifest)
    )


def _run_job(at: Target, send: Callable[[str], Any], job_id: str, name: str) -> tuple[bool, int]:
    """Run a load job, or wait for the one of that id that runs already: whether it is new, and the table's rows.

    An old job may have failed, or its table may have expired since: then the rows do not match, and the caller goes on
    to the next attempt's id.
    """
    fresh = True
    try:
        job = send(job_id)
    except Conflict:
        fresh = False
        job = at.client.get_job(job_id, location=at.location)
    try:
        job.result()
    except GoogleAPICallError:
        if fresh:
            raise
        return False, -1
    found = at.get(name)
    return fresh, int(found.num_rows or 0) if found else -1


@contextmanager
def _sender(
    warehouse: Warehouse, at: Target, manifest: Manifest, schema: pa.Schema, config: bigquery.LoadJobConfig
) -> Iterator[Callable[[str], Any]]:
    """A function that starts the load job of a given id."""
    into = at.dataset.table(bq.run_table(manifest.table, manifest.date, manifest.run_id))
    if warehouse.url.startswith("gs://"):
        uris = sources_of(warehouse, manifest)
        yield lambda job_id: at.client.load_table_from_uri(
            uris, into, job_id=job_id, job_config=config, location=at.location
        )
        return
    with tempfile.TemporaryFile(prefix="nightshelf-publish-") as whole:
        _join(warehouse, manifest, schema, whole)
        yield lambda job_id: at.client.load_table_from_file(
            whole, into, rewind=True, job_id=job_id, job_config=config, location=at.location
        )


def sources_of(warehouse: Warehouse, manifest: Manifest) -> list[str]:
    """What a load job of a bucket's files names: each file, or beyond MOST_SOURCES every folder of them as one pattern.

    The service counts what a job names (10,000), not the files that a pattern stands for (10 million), so one job, whose rows
    are then counted, still loads a run of any size.

    Raises:
        UserError: a folder holds files that the manifest does not name, which a pattern would load too.
    """
    if len(manifest.files) <= MOST_SOURCES:
        return [f"{warehouse.store.root}/{f.path}" for f in manifest.files]
    named = {f.path for f in manifest.files}
    folders = sorted({path.rpartition("/")[0] for path in named})
    for folder in folders:
        more = sorted(p for p in warehouse.store.paths(folder) if p.endswith(".parquet") and p not in named)
        if more:
            raise UserError(
                f"{folder}: expected only files that the manifest of {manifest.table} names, since more than {MOST_SOURCES:,} "
                f"are loaded by a pattern; found {len(more)} more ({more[0]}): make the table again, or remove them"
            )
    return [f"{warehouse.store.root}/{folder}/*.parquet" for folder in folders]


def _join(warehouse: Warehouse, manifest: Manifest, schema: pa.Schema, out: IO[bytes]) -> None:
    """The run's files as one, a row group at a time; columns that were declared later are null."""
    with pq.ParquetWriter(out, schema, compression="zstd", use_compliant_nested_type=True) as writer:
        for entry in manifest.files:
            file = warehouse.open_parquet(entry.path)
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                for later in (f for f in schema if f.name not in rows.column_names):
                    rows = rows.append_column(later, pa.nulls(rows.num_rows, later.type))
                writer.write_table(rows.select(schema.names).cast(schema))


def _schema(warehouse: Warehouse, manifest: Manifest) -> pa.Schema:
    """Declared columns, and those a run adds where its table is open (a run's files have the same columns)."""
    of_table = TABLES[manifest.table]
    if not of_table.open_columns:
        return of_table.arrow
    return of_table.arrow_for(warehouse.open_parquet(manifest.files[0].path).schema_arrow.names)
