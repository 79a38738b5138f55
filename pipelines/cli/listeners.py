"""`nightshelf listeners`: ids to try, for somebody who looks at a warehouse for the first time.

A sample is by hash and spread over activity: of listeners sorted by plays, one from each of as many equal parts.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from transforms.common.errors import UserError
from transforms.common.hashing import uniform
from transforms.tables.warehouse import Warehouse


def sample(warehouse: str, count: int, day: date | None = None) -> pl.DataFrame:
    """Some listeners of a night: `listener_id`, `personal` (shelves of their own), `shelves`.

    Args:
        count: how many, at most.
        day: the night; the newest when None.

    Raises:
        UserError: there is no such night.
    """
    stored = Warehouse(warehouse)
    manifest = stored.newest("shelves", date.max) if day is None else stored.need("shelves", day)
    if manifest is None:
        raise UserError("the warehouse has no shelves yet; make a night first with `nightshelf run --date D`")
    files = sorted(manifest.files, key=lambda file: (file.shard, file.path))[:1]  # a shard is a sample by hash already
    rows = pl.concat(stored.read_files(files, ["listener_id", "status"]) or [pl.DataFrame()])
    if rows.is_empty():
        raise UserError(
            f"nobody has shelves in the night of {manifest.date}; ingest a log and make a night of a later date"
        )
    by = rows.group_by("listener_id").agg(personal=(pl.col("status") == "personal").sum(), shelves=pl.len())
    by = by.with_columns(pl.Series("draw", uniform(0, "sample of listeners", by["listener_id"])))
    ranked = by.sort("personal", "draw", descending=[True, False])
    step = max(1, ranked.height // max(count, 1))
    return ranked.gather_every(step).head(count).drop("draw")
