"""`forget` in BigQuery: listeners out of every run table of a dataset that still exists, read by a view or not.

One statement a table, with the ids as parameters of the query, never in its text; of refused lines one for some listeners
at a time. A run table carries a label that says what it was loaded from; where the table's rows are those of the redacted
run, the label becomes the redacted run's, so that `publish` finds the table whole. Refused lines are loaded again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from google.cloud import bigquery

from transforms.privacy.forget import prints
from transforms.privacy.forgotten import Forgotten
from transforms.privacy.traces import WORD, Traces
from transforms.serving.targets import target_of
from transforms.tables import bigquery as bq
from transforms.tables.bigquery_client import Target, label, refusals, target
from transforms.tables.manifest import Manifest
from transforms.tables.runs import RUN_MANIFEST
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse, folder

PATTERN = 50  # listeners in one pattern
Parameter = bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter


def forget_copies(
    warehouse: Warehouse, to: str, gone: Forgotten, listeners: Sequence[str], client: bigquery.Client | None = None
) -> tuple[int, int]:
    """Delete listeners from a published copy: a dataset, or a target of `export`.

    Returns:
        tables that held them, and rows (or lines) deleted or changed.

    Raises:
        UserError: there is no such place, or it refused; the same command again goes on.
    """
    if to.startswith("bigquery:"):
        return forget_published(warehouse, to, gone, listeners, client)
    rows = target_of(to).forget(listeners, gone)
    return (1 if rows else 0), rows


def forget_published(
    warehouse: Warehouse, to: str, gone: Forgotten, listeners: Sequence[str], client: bigquery.Client | None = None
) -> tuple[int, int]:
    """Delete listeners from a dataset's run tables.

    Args:
        to: `bigquery:PROJECT.DATASET`.
        gone: the list; whoever is on it is looked for where no listener is named.
        listeners: ids as they are stored.

    Returns:
        tables that held them, and rows deleted or changed.

    Raises:
        UserError: the dataset does not exist, or the service refused; the same command again goes on.
    """
    at = target(to, client)
    tables = rows = 0
    for item in list(at.client.list_tables(f"{at.dataset.project}.{at.dataset.dataset}")):
        parts = bq.run_parts(item.table_id)
        declared = TABLES.get(parts[0]) if parts else None
        if parts is None or declared is None or item.table_type != "TABLE":
            continue
        with refusals(f"forget in {parts[0]} of {parts[1]}"):
            columns = {f.name for f in at.client.get_table(item.reference).schema}
            statement = bq.forget_statement(at.dataset, declared, item.table_id, columns)
            if statement is None:
                continue
            lines = declared.name == "rejects"
            if lines:
                found = sum(_run(at, statement, given) for given in _of_lines(listeners, gone))
            else:
                ids = list(listeners) or _known(at, item.table_id, gone)
                found = _run(at, statement, [bigquery.ArrayQueryParameter("ids", "STRING", ids)]) if ids else 0
            if found:
                tables, rows = tables + 1, rows + found
                _relabel(warehouse, at, item.table_id, folder(declared.name, parts[1]), parts[2], counted=not lines)
    return tables, rows


def _of_lines(listeners: Sequence[str], gone: Forgotten) -> Iterator[list[Parameter]]:
    """Parameters by which refused lines are found, some listeners at a time, since a pattern must not grow too long.

    Nobody named: the prints of everybody on the list; texts are found by the name alone.
    """
    for first in range(0, max(len(listeners), 1), PATTERN):
        some = listeners[first : first + PATTERN]
        yield [
            bigquery.ScalarQueryParameter("traces", "STRING", Traces(some).re2),
            bigquery.ScalarQueryParameter("word", "STRING", WORD),
            bigquery.ArrayQueryParameter("prints", "INT64", list(prints(some) if some else sorted(gone.prints))),
        ]


def _known(at: Target, name: str, gone: Forgotten) -> list[str]:
    """Who of the list a table holds."""
    asked = f"SELECT DISTINCT listener_id FROM `{at.dataset.table(name)}`"  # noqa: S608 - names are checked
    found = at.client.query(asked, location=at.location).result()
    return sorted(gone.among(row["listener_id"] for row in found))


def _run(at: Target, statement: str, given: Sequence[Parameter]) -> int:
    config = bigquery.QueryJobConfig(query_parameters=[p for p in given if f"@{p.name}" in statement])
    job = at.client.query(statement, job_config=config, location=at.location)
    job.result()
    return int(job.num_dml_affected_rows or 0)


def _relabel(warehouse: Warehouse, at: Target, name: str, of_date: str, run_id: str, counted: bool) -> None:
    """Say that a table is its redacted run, if it is; else that it is none, so that publish loads it again.

    Args:
        counted: rows were taken out, so that their number tells; where rows were changed, it does not.
    """
    try:
        manifest = Manifest.from_json(warehouse.store.read(f"{of_date}/run={run_id}/{RUN_MANIFEST}"))
    except FileNotFoundError:
        manifest = None
    counting = f"SELECT COUNT(*) AS n FROM `{at.dataset.table(name)}`"  # noqa: S608 - names are checked
    count = next(iter(at.client.query(counting, location=at.location).result()))["n"]
    whole = counted and manifest is not None and manifest.rows == count
    # a label that is left out of an update stays as it was, so an empty one says that nothing was counted
    label(at, name, content=bq.content_of(manifest) if whole and manifest else "")
