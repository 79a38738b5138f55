"""`forget` in BigQuery: listeners out of every run table of a dataset that still exists, read by a view or not.

One statement a table, with the ids as a parameter of the query, never in its text. A run table carries a label that says
what it was loaded from; where the table's rows are those of the redacted run, the label becomes the redacted run's, so
that `publish` finds the table whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.cloud import bigquery

from pipelines.publish import Target, label, target, told
from transforms.forget import prints
from transforms.forgotten import Forgotten
from transforms.tables import bigquery as bq
from transforms.tables.manifest import Manifest
from transforms.tables.runs import RUN_MANIFEST
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse, folder


def forget_published(
    place: Warehouse, to: str, gone: Forgotten, listeners: Sequence[str], client: bigquery.Client | None = None
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
        with told(f"forget in {parts[0]} of {parts[1]}"):
            ids = list(listeners) or _known(at, item.table_id, declared.name, gone)
            columns = (
                {f.name for f in at.client.get_table(item.reference).schema} if declared.name == "rejects" else set()
            )
            statement = bq.forget_statement(at.dataset, declared, item.table_id, columns) if ids else None
            found = _run(at, statement, ids) if statement else 0
            if found:
                tables, rows = tables + 1, rows + found
                _relabel(place, at, item.table_id, folder(declared.name, parts[1]), parts[2])
    return tables, rows


def _known(at: Target, name: str, table: str, gone: Forgotten) -> list[str]:
    """Who of the list a table holds."""
    if "listener_id" not in TABLES[table].arrow.names:
        return []
    asked = f"SELECT DISTINCT listener_id FROM `{at.dataset.table(name)}`"  # noqa: S608 - names are checked
    found = at.client.query(asked, location=at.location).result()
    return sorted(gone.among(row["listener_id"] for row in found))


def _run(at: Target, statement: str, ids: Sequence[str]) -> int:
    given = [bigquery.ArrayQueryParameter("ids", "STRING", list(ids))]
    if "@prints" in statement:
        given.append(bigquery.ArrayQueryParameter("prints", "INT64", list(prints(ids))))
    config = bigquery.QueryJobConfig(query_parameters=given)
    job = at.client.query(statement, job_config=config, location=at.location)
    job.result()
    return int(job.num_dml_affected_rows or 0)


def _relabel(place: Warehouse, at: Target, name: str, of_date: str, run_id: str) -> None:
    """Say that a table is its redacted run, if it is; else that it is none, so that publish loads it again."""
    try:
        manifest = Manifest.from_json(place.store.read(f"{of_date}/run={run_id}/{RUN_MANIFEST}"))
    except FileNotFoundError:
        manifest = None
    counting = f"SELECT COUNT(*) AS n FROM `{at.dataset.table(name)}`"  # noqa: S608 - names are checked
    count = next(iter(at.client.query(counting, location=at.location).result()))["n"]
    whole = manifest is not None and manifest.rows == count
    # a label that is left out of an update stays as it was, so an empty one says that nothing was counted
    label(at, name, content=bq.content_of(manifest) if whole and manifest else "")
