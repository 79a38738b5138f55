"""Which row groups of a sorted file may hold some values, by the bounds its footer keeps: the others are not read."""

from __future__ import annotations

import polars as pl
import pyarrow.parquet as pq


def groups_holding(metadata: pq.FileMetaData, values: pl.Series, column: int = 0) -> list[int]:
    """Numbers of the row groups whose bounds do not rule out all of the values.

    Args:
        values: strings, sorted; none = no row group.
        column: number of the column they are of; one without bounds may hold anything.
    """
    return [g for g in range(metadata.num_row_groups) if _may_hold(metadata.row_group(g).column(column), values)]


def _may_hold(chunk: pq.ColumnChunkMetaData, values: pl.Series) -> bool:
    held = chunk.statistics
    if held is None or not held.has_min_max:
        return True
    return bool(values.search_sorted(held.min, side="left") < values.search_sorted(held.max, side="right"))
