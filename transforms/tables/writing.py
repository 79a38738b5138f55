"""Files of a run: written whole, named by their content, cut into row groups that end between listeners.

A bundle that is retried writes the same file again, so a run never holds a row twice.

    entry = write_frame(run, shard=3, frame=sessions)      # None for no rows
"""

from __future__ import annotations

import os
import re
import tempfile
from datetime import date
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.common.errors import UserError
from transforms.tables.manifest import FileEntry
from transforms.tables.order import ordered
from transforms.tables.runs import Run
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

_FILE = re.compile(
    r"(?P<table>\w+)/date=(?P<day>[\d-]{10})/run=(?P<run>[^/]+)/shard-(?P<shard>\d+)-of-(?P<shards>\d+)-\w+\.parquet"
)
ROW_GROUP = 100_000
WRITES = 4  # tries to write a file that somebody takes away before it has its name
ROW_GROUPS = {"shelves": 200 * 8, "candidates": 50_000}


def write_frame(
    run: Run, shard: int, frame: pl.DataFrame, batch: str | None = None, presorted: bool = False
) -> FileEntry | None:
    """Write one sorted file of a run's shard; None for a frame without rows.

    Rows are sorted by the table's key (`presorted`: they are already) and row groups end between listeners, so that
    readers never meet half a listener.

    Raises:
        ValueError: the frame does not conform to the table's schema.
        UserError: the disk is full or cannot be written.
    """
    if not frame.height:
        return None
    table = TABLES[run.table]
    arrow = table.conform(frame if presorted else ordered(frame, table.key))
    try:
        return _write(run, shard, arrow, table.key[0], batch)
    except OSError as error:
        raise UserError(
            f"cannot write {run.table} of {run.day} ({os.strerror(error.errno or 0)}); nothing was committed: make room "
            "or check access, then run the same command again"
        ) from error


def _write(run: Run, shard: int, arrow: pa.Table, group_by: str, batch: str | None) -> FileEntry:
    for _ in range(WRITES - 1):
        try:
            return _write_once(run, shard, arrow, group_by, batch)
        except FileNotFoundError:  # a `forget` beside us takes away what looks like a killed write's rest
            continue
    return _write_once(run, shard, arrow, group_by, batch)


def _write_once(run: Run, shard: int, arrow: pa.Table, group_by: str, batch: str | None) -> FileEntry:
    local_root = None if "://" in run.warehouse else Path(run.warehouse) / run.folder
    if local_root is not None:
        local_root.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=".writing-", suffix=".tmp", dir=local_root)
    os.close(handle)
    try:
        with pq.ParquetWriter(
            scratch,
            arrow.schema,
            compression="zstd",
            compression_level=1,
            write_page_checksum=True,
            use_compliant_nested_type=True,
            use_dictionary=_worth_a_dictionary(arrow.schema, group_by),  # type: ignore[arg-type]
        ) as out:
            for start, stop in row_groups(arrow.column(group_by), ROW_GROUPS.get(run.table, ROW_GROUP)):
                out.write_table(arrow.slice(start, stop - start), row_group_size=max(1, stop - start))
        digest = sha256()
        with open(scratch, "rb") as done:
            while block := done.read(1 << 20):
                digest.update(block)
        name = f"{run.folder}/shard-{shard:05d}-of-{run.shards:05d}-{digest.hexdigest()[:16]}.parquet"
        size = os.path.getsize(scratch)
        os.chmod(scratch, 0o644)
        Warehouse(run.warehouse).store.adopt(scratch, name)
    finally:
        Path(scratch).unlink(missing_ok=True)
    return FileEntry(path=name, shard=shard, rows=arrow.num_rows, bytes=size, sha256=digest.hexdigest(), batch=batch)


def rewrite(warehouse: Warehouse, path: str, arrow: pa.Table) -> FileEntry | None:
    """Write other rows of a committed file beside it, in the same run and shard; None for no rows.

    The schema stays the file's own. No manifest is changed, and the file stays until somebody deletes it.

    Args:
        path: of a file that `write_frame` wrote.
        arrow: rows in the file's order.

    Raises:
        UserError: the disk is full or cannot be written.
    """
    found = _FILE.fullmatch(path)
    if found is None:
        raise ValueError(f"{path} is not a file of a run")
    if not arrow.num_rows:
        return None
    run = Run(
        warehouse=warehouse.url,
        table=found["table"],
        day=date.fromisoformat(found["day"]),
        version="",
        run_id=found["run"],
        shards=int(found["shards"]),
        inputs={},
        settings={},
        token=None,
    )
    try:
        return _write(run, int(found["shard"]), arrow, TABLES[run.table].key[0], None)
    except OSError as error:
        raise UserError(
            f"cannot write {run.table} of {run.day} ({os.strerror(error.errno or 0)}); nothing was changed yet: make room "
            "or check access, then run the same command again"
        ) from error


def _worth_a_dictionary(schema: pa.Schema, group_by: str) -> list[str]:
    """Columns that repeat few values: words, and the id that rows stand together by.

    Of other ids, times and counts a dictionary of a row group is nearly as long as the column: it doubles the time of
    writing, and compression alone leaves fewer bytes.
    """
    return [f.name for f in schema if f.name == group_by or (pa.types.is_string(f.type) and not f.name.endswith("_id"))]


def row_groups(keys: pa.ChunkedArray, size: int) -> list[tuple[int, int]]:
    """Cut sorted keys into ranges of about `size` rows that never cut equal keys apart.

    >>> row_groups(pa.chunked_array([["a", "a", "b", "b", "c"]]), 3)
    [(0, 4), (4, 5)]
    """
    series = pl.Series(pl.from_arrow(keys))
    cuts = [0]
    while cuts[-1] < len(series):
        stop = min(cuts[-1] + size, len(series))
        if stop < len(series):
            stop = int(series.search_sorted(series[stop - 1], side="right"))
        cuts.append(stop)
    return list(pairwise(cuts))
