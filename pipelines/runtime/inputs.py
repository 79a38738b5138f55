"""The input files of an ingest: files as they are, BigQuery tables exported for as long as the ingest takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from transforms.formats.files import InputFile, find, identify
from transforms.formats.mapping import Mapping as ColumnMapping
from transforms.ingest.batch import ledger
from transforms.ingest.request import BIGQUERY
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from google.cloud import bigquery

    from transforms.formats.bigquery import Export


@contextmanager
def gathered(
    warehouse: Warehouse,
    fmt: str,
    inputs: Sequence[str],
    others: Mapping[str, str | None],
    mapping: ColumnMapping | None,
    client: bigquery.Client | None = None,
    keep: bool = False,
) -> Iterator[tuple[list[InputFile], list[str]]]:
    """Files to ingest, and the names of tables that were ingested as they are now.

    Args:
        inputs: files or globs of the log; tables where the format is `bigquery`.
        others: role -> file, or `bigquery:project.dataset.table`.
        client: to BigQuery; None = one with the machine's credentials, if a table is named at all.
        keep: leave the exports, because a job that was only described will read them; the table's next ingest removes them.

    Raises:
        UserError: a file or table that is not there; the exports are removed.
    """
    files = [] if fmt == BIGQUERY else identify(find(inputs))
    tables = [(name, "log") for name in inputs] if fmt == BIGQUERY else []
    for role, path in others.items():
        if path and path.startswith(f"{BIGQUERY}:"):
            tables.append((path, role))
        elif path:
            files += identify(find([path]), role)
    if not tables:
        yield files, []
        return
    from transforms.formats import bigquery as source
    from transforms.tables.bigquery_client import client_of

    known, seen = [], ledger(warehouse)
    exports: list[Export] = []
    try:
        for name, role in tables:
            at = client or client_of(source.table_name(name).split(".")[0])
            one = source.describe(at, name, role, mapping)
            source.remove([one], warehouse.store)  # what a kill left behind
            if (one.identity, role) in seen:
                known.append(one.table)
                continue
            exports.append(one)
            files += source.export(at, one, warehouse.store)
        yield files, known
    except BaseException:
        source.remove(exports, warehouse.store)
        raise
    if not keep:
        source.remove(exports, warehouse.store)
