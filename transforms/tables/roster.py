"""How many listeners a night knows of: who is in its library, and who had joined by its date.

Shares of listeners (whose histories are learned from, whose candidates are kept) follow from this number. It is counted
as of the night, not read off the newest `listeners` table, whose rows include people who joined later. A launcher counts it, so
it looks at no more than `FEW` shards: listeners are spread over shards by hash, so some shards tell how many all hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import polars as pl
import pyarrow.parquet as pq

from transforms.tables.manifest import Heading
from transforms.tables.specs import a_few, specs
from transforms.tables.warehouse import Warehouse, reading


def roster_size(
    warehouse: Warehouse, library: Sequence[Heading], listeners: Heading | None, day: date, enough: int
) -> int:
    """Listeners of the library as of `day`, and those of `listeners` who had joined by then.

    Only ids are read, a shard at a time, of at most `FEW` shards, and nothing at all where the tables have no more than `enough`
    rows.

    Args:
        library: the library's base and deltas as of `day`.
        listeners: table `listeners`; None = count the library alone.
        enough: the exact number matters only beyond it.

    Returns:
        the number if it exceeds `enough`, exact of up to `FEW` shards and else what `FEW` of them say of all; otherwise some
        number up to `enough` and not below the exact one.
    """
    read = [*library, *([listeners] if listeners else [])]
    most = sum(m.rows for m in read)
    if most <= enough or not read:
        return most
    shards = min(m.shards for m in read)
    total = 0
    every = specs(warehouse, shards, {"library": library, "listeners": [listeners] if listeners else []})
    looked_at = a_few(every)
    for spec in looked_at:
        parts = [
            ids
            for table, files in spec.parts.items()
            for part in files
            for ids in _ids(warehouse, part.path, day if table == "listeners" else None)
        ]
        total += pl.concat(parts).n_unique() if parts else 0
    return total * shards // len(looked_at)


def _ids(warehouse: Warehouse, path: str, joined_by: date | None) -> Iterator[pl.Series]:
    """Distinct listener ids of a file, row group by row group."""
    if joined_by is not None:
        with reading(path):
            rows = pl.DataFrame(pl.from_arrow(warehouse.open_parquet(path).read(columns=["listener_id", "joined_on"])))
        joined = pl.col("joined_on").is_null() | (pl.col("joined_on") <= joined_by)
        yield rows.filter(joined)["listener_id"].cast(pl.String)
        return
    meta = warehouse.open_parquet(path).metadata
    # a row group has few listeners: its dictionary is all there is to look at
    source = warehouse.store.open(path)
    file = pq.ParquetFile(source, metadata=meta, read_dictionary=["listener_id"], page_checksum_verification=True)
    for group in range(meta.num_row_groups):
        with reading(path):
            column = file.read_row_group(group, columns=["listener_id"]).unify_dictionaries().column(0)
        yield pl.Series("listener_id", pl.from_arrow(column.combine_chunks().dictionary)).cast(pl.String)
