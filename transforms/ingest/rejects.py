"""Refused lines of a batch, spread over shards so that no worker ever holds them all.

A line has no listener to be split by (often it could not be read), so runs of LINES lines of a file go together, by the
hash of file and run: the same rows in the same shard however the input was cut into pieces, and few shards a piece.

    rejects of a piece -> by_shard -> group by shard -> refused -> one sorted file a shard

    >>> rows = pl.DataFrame({"file_no": [0, 0], "line": [1, 9], "reason": ["broken", "future"], "raw": ["x", None]})
    >>> [(shard, part.height) for shard, part in by_shard(rows, 1)]
    [(0, 2)]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from transforms.common.errors import LostCount
from transforms.common.hashing import stable_hash
from transforms.tables.chunks import check_shards
from transforms.tables.schema import TABLES

LINES = 1 << 16


def by_shard(rejects: pl.DataFrame, shards: int) -> list[tuple[int, pl.DataFrame]]:
    """Rows by shard, in shard order; shards without rows are left out.

    Args:
        rejects: file_no, line, reason, raw.
        shards: a power of two.
    """
    if not rejects.height:
        return []
    at = stable_hash(rejects["file_no"], rejects["line"] // LINES, purpose="rejects") % check_shards(shards)
    parts = rejects.with_columns(pl.Series("_shard", at.astype("int32"))).partition_by(
        "_shard", as_dict=True, include_key=False, maintain_order=True
    )
    return sorted(((int(key[0]), part) for key, part in parts.items()), key=lambda pair: pair[0])  # type: ignore[call-overload]


def refused(frames: Iterable[pl.DataFrame], names: Sequence[str], batch: str) -> pl.DataFrame:
    """Table `rejects` of one shard, sorted by file, line, reason and text.

    Args:
        frames: file_no, line, reason, raw, in any order.
        names: the batch's files, by number.
        batch: its id.
    """
    files = pl.DataFrame({"file_no": range(len(names)), "file": names}, schema={"file_no": pl.Int32, "file": pl.String})
    empty = TABLES["rejects"].empty().drop("batch", "file").with_columns(file_no=pl.lit(0, dtype=pl.Int32))
    rows = pl.concat([empty, *frames], how="diagonal").join(files, on="file_no", how="left").drop("file_no")
    return rows.with_columns(batch=pl.lit(batch)).sort("file", "line", "reason", "raw")


def check_kept(kept: int, counted: int) -> None:
    """Hold the refused lines that were kept against those that were counted.

    Raises:
        LostCount: they differ.
    """
    if kept != counted:
        raise LostCount(
            f"ingest lost count of what it refused: {counted} rejects were counted, but {kept} kept; nothing was committed"
        )
