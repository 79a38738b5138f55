"""Job `publish`: a committed run into BigQuery, whole or not at all, and back again.

    run's files -> one load job, truncating -> <table>__<date>__<run_id> -> rows counted -> view <table> replaced

It does not go through Beam: the service reads the files. A warehouse in a bucket is loaded from where it lies; a local
one as one file put together from the run's, because several appending jobs would double rows wherever a job's id is
forgotten. Every table is loaded and counted before the first view is replaced. What the view read before stays, with an
expiry, for `rollback`. A publish that was killed is started again and finds what is done.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.exceptions import Conflict, GoogleAPICallError, NotFound
from google.cloud import bigquery

from pipelines.runtime.check import require
from transforms.common.errors import UserError
from transforms.gates.settings import GateSettings
from transforms.tables import bigquery as bq
from transforms.tables.manifest import Manifest
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

KEEP_DAYS = 7
ATTEMPTS = 20
NEWEST = ("tracks", "listeners")


@dataclass(frozen=True)
class Published:
    """What a view reads now. `changed` is False where it read that already."""

    table: str
    run_table: str
    rows: int
    changed: bool

    def __str__(self) -> str:
        word = "reads" if self.changed else "already reads"
        return f"{self.table} {word} {self.run_table}, {self.rows:,} rows"


@dataclass(frozen=True)
class Target:
    """A dataset, the client to it, and its location."""

    client: bigquery.Client
    dataset: bq.Dataset
    location: str | None

    def get(self, name: str) -> bigquery.Table | None:
        """A table of the dataset, None where there is none."""
        try:
            return self.client.get_table(self.dataset.table(name))
        except NotFound:
            return None


def client_of(project: str) -> bigquery.Client:
    """A client with the machine's credentials; `BIGQUERY_EMULATOR_HOST` is honoured."""
    if os.environ.get("BIGQUERY_EMULATOR_HOST"):
        from google.auth.credentials import AnonymousCredentials

        return bigquery.Client(project, credentials=AnonymousCredentials())
    return bigquery.Client(project)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn the service's refusal into a sentence; its message may quote a row, so only its reason is kept."""
    try:
        yield
    except GoogleAPICallError as error:
        reasons = sorted({str(e.get("reason")) for e in error.errors if isinstance(e, dict) and e.get("reason")})
        reason = ", ".join(reasons) or type(error).__name__
        raise UserError(
            f"{what}: BigQuery refused ({error.code}, {reason}); the view was not replaced: look at the job in the "
            "console, mend it, and run the same command again"
        ) from None


def publish(
    warehouse: str,
    day: date,
    to: str,
    tables: Sequence[str] = ("shelves",),
    *,
    keep_days: int = KEEP_DAYS,
    gates: GateSettings | None = None,
    accept_gates: bool = False,
    client: bigquery.Client | None = None,
    now: datetime | None = None,
) -> list[Published]:
    """Load the current runs of a date, count their rows, then point the views at them.

    Args:
        warehouse: folder or bucket URL.
        day: the night; `tracks` and `listeners` are their newest up to it.
        to: `bigquery:PROJECT.DATASET`; the dataset exists.
        tables: published in this order, so name last what consumers enter by.
        keep_days: days until a run table that no view reads expires.
        gates: thresholds of the checks before anything is loaded; None = defaults.
        accept_gates: publish even if one fails.
        client, now: given by tests.

    Raises:
        GateFailed: the night fails a check that nobody accepted; nothing was loaded.
        UserError: a table that is not there or is empty, a row count that does not match, or a refusal by the
            service; no view was replaced, or (a refusal between two) the earlier ones of `tables` were.
    """
    place = Warehouse(warehouse)
    expires = (now or datetime.now(UTC)) + timedelta(days=keep_days)
    manifests = [_manifest(place, table, day) for table in tables]
    require(place, manifests, gates or GateSettings(), accept_gates)
    at = target(to, client)
    for manifest in manifests:
        _load(place, at, manifest, expires)
    return [_show(at, m.table, bq.run_table(m.table, m.date, m.run_id), expires, remember=True) for m in manifests]


def rollback(
    to: str,
    tables: Sequence[str] = ("shelves",),
    *,
    day: date | None = None,
    keep_days: int = KEEP_DAYS,
    client: bigquery.Client | None = None,
    now: datetime | None = None,
) -> list[Published]:
    """Point the views back at what they read before.

    Args:
        day: the date to withdraw: a view that reads another date is left alone, so that the command may be repeated.

    Raises:
        UserError: a view that does not exist, or nothing to go back to.
    """
    at = target(to, client)
    expires = (now or datetime.now(UTC)) + timedelta(days=keep_days)
    steps: list[tuple[str, str]] = []
    for table in tables:
        _declared(table)
        with told(f"rollback of {table}"):
            steps.append((table, _before(at, table, day)))
    return [_show(at, table, run, expires, remember=False) for table, run in steps]


def target(to: str, client: bigquery.Client | None) -> Target:
    """The dataset that `bigquery:PROJECT.DATASET` names.

    Raises:
        UserError: it does not exist, or cannot be looked at.
    """
    dataset = bq.destination(to)
    made = client or client_of(dataset.project)
    with told(to):
        try:
            found = made.get_dataset(f"{dataset.project}.{dataset.dataset}")
        except NotFound:
            name = to.removeprefix("bigquery:")
            raise UserError(f"--to: expected a dataset that exists, found no {name}; create it first") from None
    return Target(made, dataset, found.location)


def _declared(table: str) -> None:
    if table not in TABLES:
        raise UserError(f"--table: expected one of {', '.join(TABLES)}, found {table!r}")


def _manifest(place: Warehouse, table: str, day: date) -> Manifest:
    _declared(table)
    manifest = (place.newest(table, day) if table in NEWEST else None) or place.need(table, day)
    if not manifest.rows:
        raise UserError(
            f"{table} of {day} has no rows; publishing it would show consumers an empty table: make it again first"
        )
    if not re.fullmatch(r"[A-Za-z0-9-]+", manifest.run_id):
        raise UserError(
            f"{table} of {day}: expected a run id of letters, digits and dashes, found another; make it again"
        )
    return manifest


def _load(place: Warehouse, at: Target, manifest: Manifest, expires: datetime) -> None:
    """Load a run into its own table, unless that is done. The table expires until a view reads it."""
    name = bq.run_table(manifest.table, manifest.date, manifest.run_id)
    with told(f"{name}"):
        found = at.get(name)
        if _whole(found, manifest):
            return
        cleared = found is not None and found.labels.get(bq.CONTENT) == ""  # an earlier load's rows are there no more
        declared = TABLES[manifest.table]
        schema = _schema(place, manifest)
        empty = bq.table_of(at.dataset, manifest, schema, declared)
        empty.expires = expires
        at.client.create_table(empty, exists_ok=True)
        config = bq.load_config(declared, schema)
        rows = -1
        with _sender(place, at, manifest, schema, config) as send:
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


def _whole(found: bigquery.Table | None, manifest: Manifest) -> bool:
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
    place: Warehouse, at: Target, manifest: Manifest, schema: pa.Schema, config: bigquery.LoadJobConfig
) -> Iterator[Callable[[str], Any]]:
    """A function that starts the load job of a given id."""
    into = at.dataset.table(bq.run_table(manifest.table, manifest.date, manifest.run_id))
    if place.url.startswith("gs://"):
        uris = [f"{place.store.root}/{f.path}" for f in manifest.files]
        yield lambda job_id: at.client.load_table_from_uri(
            uris, into, job_id=job_id, job_config=config, location=at.location
        )
        return
    with tempfile.TemporaryFile(prefix="nightshelf-publish-") as whole:
        _join(place, manifest, schema, whole)
        yield lambda job_id: at.client.load_table_from_file(
            whole, into, rewind=True, job_id=job_id, job_config=config, location=at.location
        )


def _join(place: Warehouse, manifest: Manifest, schema: pa.Schema, out: IO[bytes]) -> None:
    """The run's files as one, a row group at a time."""
    with pq.ParquetWriter(out, schema, compression="zstd", use_compliant_nested_type=True) as writer:
        for entry in manifest.files:
            file = place.open_parquet(entry.path)
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group).select(schema.names).cast(schema))


def _schema(place: Warehouse, manifest: Manifest) -> pa.Schema:
    """Declared columns, and those a run adds where its table is open (a run's files have the same columns)."""
    declared = TABLES[manifest.table]
    if not declared.open_columns:
        return declared.arrow
    return declared.arrow_for(place.open_parquet(manifest.files[0].path).schema_arrow.names)


def _show(at: Target, table: str, run: str, expires: datetime, remember: bool) -> Published:
    """Point a view at a run table that is whole, in one statement; then let the others expire.

    The table loses its expiry before the view reads it, and the one replaced gets its own only afterwards, so that a
    kill in between leaves a table too many, never a view without one.
    """
    with told(f"view {table}"):
        before = _shown(at, table)
        changed = before != run
        label(at, run, keep=True, **({bq.REPLACES: before} if changed and remember else {}))
        if changed:
            at.client.query(bq.view_statement(at.dataset, TABLES[table], run), location=at.location).result()
        _expire(at, table, run, expires)
        found = at.get(run)
    return Published(table, run, int(found.num_rows or 0) if found else 0, changed)


def label(at: Target, run: str, keep: bool = False, **labels: str | None) -> None:
    """Set labels of a run table; `keep` takes its expiry away."""
    found = at.client.get_table(at.dataset.table(run))
    found.labels = bq.labels_with(found.labels, **labels)
    if keep:
        found.expires = None
    at.client.update_table(found, ["labels", "expires"] if keep else ["labels"])


def _expire(at: Target, table: str, shown: str, expires: datetime) -> None:
    """Give an expiry to every other run table of a table that has none."""
    for item in at.client.list_tables(f"{at.dataset.project}.{at.dataset.dataset}"):
        parts = bq.run_parts(item.table_id)
        if parts is None or parts[0] != table or item.table_id == shown or item.table_type != "TABLE":
            continue
        found = at.get(item.table_id)
        if found is not None and found.expires is None:
            found.expires = expires
            at.client.update_table(found, ["expires"])


def _shown(at: Target, table: str) -> str | None:
    """The run table that a view reads; None where there is no view yet.

    Raises:
        UserError: something else stands under the view's name.
    """
    asked = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("name", "STRING", table)])
    rows = list(at.client.query(bq.view_question(at.dataset), job_config=asked, location=at.location).result())
    target = bq.target_of(rows[0][0]) if rows else None
    if target is None and (rows or at.get(table) is not None):
        raise UserError(
            f"{at.dataset.table(table)}: expected the view that publish made, found something else; rename it, or "
            "publish into another dataset"
        )
    return target


def _before(at: Target, table: str, day: date | None) -> str:
    """What a view goes back to."""
    current = _shown(at, table)
    if current is None:
        raise UserError(f"{at.dataset.table(table)}: expected a published view, found none; publish first")
    parts = bq.run_parts(current)
    if day is not None and parts is not None and parts[1] != day:
        return current
    found = at.get(current)
    earlier = found.labels.get(bq.REPLACES) if found else None
    if not earlier or at.get(earlier) is None:
        raise UserError(
            f"{at.dataset.table(table)} reads {current}, and what it read before is gone or never was; publish an "
            "earlier date instead"
        )
    return earlier
