"""BigQuery as a source: a table's mapped columns exported to Parquet beside the warehouse's tables, then read as Parquet.

Ingest splits, counts and remembers files, so a table becomes files once and everything after is the Parquet adapter.
Only the mapped columns leave BigQuery. A table has no content hash; its identity is its name, the time it was last
modified and the columns asked for, so an unchanged table is a file that was ingested already. A warehouse in a bucket
is exported to by the service (an extract job), a local one by reading rows. The export names people, so it is removed
as soon as the ingest ends, and one that a kill left behind before the next begins.

    --format bigquery --input music-prod.logs.plays --mapping plays.yaml --tracks bigquery:music-prod.logs.catalog
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from transforms.common.errors import UserError
from transforms.formats.files import InputFile
from transforms.formats.mapping import IDENTITY, Mapping
from transforms.formats.signal_tables import ROLE, of_tables
from transforms.tables.schema import TABLES
from transforms.tables.store import Store

if TYPE_CHECKING:
    from google.cloud import bigquery

FOLDER = "imports"
PREFIX = "bigquery:"
PROJECT = r"(?:[a-z][a-z0-9.-]{0,61}[a-z0-9]:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
_TABLE = re.compile(rf"(?:{PREFIX})?({PROJECT}\.[A-Za-z0-9_]{{1,1024}}\.[\w-]{{1,1024}})")


@dataclass(frozen=True)
class Export:
    """A table to be read: which columns, and who it is (`identity` stands for a file's content hash)."""

    table: str
    role: str
    columns: tuple[str, ...]
    identity: str
    rows: int

    @property
    def folder(self) -> str:
        """Where its files are put, relative to the warehouse; a table of two roles has two folders."""
        name = self.table.replace(":", "_")
        return f"{FOLDER}/{name}" if self.role == "log" else f"{FOLDER}/{self.role}/{name}"


def table_name(given: str) -> str:
    """`project.dataset.table` from what a user gave.

    Raises:
        UserError: it is no table's name.
    """
    found = _TABLE.fullmatch(given)
    if found is None:
        raise UserError(f"--input: expected a BigQuery table as project.dataset.table, found {given!r}.")
    return found.group(1)


def describe(client: bigquery.Client, given: str, role: str, mapping: Mapping | None) -> Export:
    """Look a table up and choose its columns.

    Args:
        client: to BigQuery.
        given: the table's name.
        role: `log`, or the table of ours that it holds rows of.
        mapping: which column of a log is which, and the signals of a table of signals; None = they are called like ours.

    Raises:
        UserError: there is no such table, it is a view, or it lacks a mapped column.
    """
    from google.api_core.exceptions import GoogleAPICallError

    name = table_name(given)
    try:
        found = client.get_table(name)
    except GoogleAPICallError as error:
        raise UserError(f"{name}: expected a BigQuery table that can be read, found none ({error.code}).") from None
    if found.table_type != "TABLE":
        raise UserError(
            f"{name}: expected a table, found a {str(found.table_type).lower()}; store its rows in a table first."
        )
    have = [f.name for f in found.schema]
    if role == ROLE:
        declared = of_tables(mapping.signals if mapping else {})
        mapped: Iterable[str] = ("listener_id", "track_id", "at", *(one.column for one in declared.values()))
    else:
        mapped = (mapping or IDENTITY).present(have, name).values() if role == "log" else TABLES[role].arrow.names
    wanted = set(mapped)
    columns = tuple(c for c in have if c in wanted)
    modified = found.modified.isoformat() if found.modified else found.etag
    text = json.dumps([name, modified, found.num_rows, columns])
    return Export(name, role, columns, sha256(text.encode()).hexdigest(), int(found.num_rows or 0))


def export(client: bigquery.Client, wanted: Export, store: Store) -> list[InputFile]:
    """Write a table's columns as Parquet under the warehouse.

    Returns:
        The files; the first carries the table's identity, so that the ledger knows the table again.

    Raises:
        UserError: fewer or more rows came than the table has.
    """
    store.delete(wanted.folder)
    if store.root.startswith("gs://"):
        _extract(client, wanted, store)
    else:
        _download(client, wanted, Path(store.root) / wanted.folder)
    paths = [p for p in store.paths(wanted.folder) if p.endswith(".parquet")]
    files = []
    for n, path in enumerate(paths):
        identity = wanted.identity if not n else sha256(f"{wanted.identity}/{n}".encode()).hexdigest()
        name = wanted.table if len(paths) == 1 else f"{wanted.table}/{n}"
        files.append(InputFile(f"{store.root}/{path}", name, identity, 0, wanted.role))
    rows = sum(_rows(store, path) for path in paths)
    if rows != wanted.rows:
        raise UserError(
            f"{wanted.table}: expected {wanted.rows:,} rows, found {rows:,} exported; the table changed meanwhile (rows "
            "still in its streaming buffer count neither way): run the same command again."
        )
    return files


def remove(exports: Sequence[Export], store: Store) -> None:
    """Delete what `export` wrote."""
    for one in exports:
        store.delete(one.folder)


def extract_request(wanted: Export, root: str) -> tuple[str, str, bigquery.ExtractJobConfig]:
    """Source, destination and configuration of the extract job."""
    from google.cloud import bigquery

    config = bigquery.ExtractJobConfig(
        destination_format=bigquery.DestinationFormat.PARQUET, compression=bigquery.Compression.SNAPPY
    )
    return wanted.table, f"{root}/{wanted.folder}/part-*.parquet", config


def _extract(client: bigquery.Client, wanted: Export, store: Store) -> None:
    # An extract job writes all columns; the Parquet adapter then reads the mapped ones only.
    source, uri, config = extract_request(wanted, store.root)
    client.extract_table(source, uri, job_config=config).result()


def _download(client: bigquery.Client, wanted: Export, folder: Path) -> None:
    table = client.get_table(wanted.table)
    chosen = [f for f in table.schema if f.name in wanted.columns]
    folder.mkdir(parents=True, exist_ok=True)
    rows = client.list_rows(table, selected_fields=chosen)
    writer: pq.ParquetWriter | None = None
    try:
        for batch in rows.to_arrow_iterable():
            writer = writer or pq.ParquetWriter(folder / "part-000000000000.parquet", batch.schema, compression="zstd")
            writer.write_batch(batch)
    finally:
        if writer is not None:
            writer.close()


def _rows(store: Store, path: str) -> int:
    return int(pq.ParquetFile(store.open(path)).metadata.num_rows)
