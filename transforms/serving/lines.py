"""Shelves as JSON: one line a listener, or one value a row.

    {"listener_id": "ann", "stamp": "...", "changed_at": "...", "shelves": [{"surface": "home", "shelf_id": ..., "items": [...]}]}

A shelf's fields are the table's columns, without the listener, and `changed_at`; of a line it is the latest of its shelves', and
of what is no longer made.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from transforms.serving.changes import KEY

ORDER = ("surface", "home_position", "shelf_id")


def values(shelves: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    """listener_id, surface, shelf_id and `value`, the row as a JSON object, by listener and in the order of each surface."""
    dated = shelves.join(changes.select(*KEY, "changed_at"), on=KEY, how="left").sort("listener_id", *ORDER)
    return dated.select(*KEY, value=pl.struct(pl.all().exclude("listener_id")).struct.json_encode())


def lines(shelves: pl.DataFrame, changes: pl.DataFrame, stamp: datetime) -> pl.DataFrame:
    """listener_id and `line`, one JSON object a listener, sorted."""
    dated = shelves.join(changes.select(*KEY, "changed_at"), on=KEY, how="left").sort("listener_id", *ORDER)
    latest = changes.group_by("listener_id").agg(pl.col("changed_at").max())
    whole = (
        dated.select("listener_id", shelf=pl.struct(pl.all().exclude("listener_id")))
        .group_by("listener_id", maintain_order=True)
        .agg(shelves="shelf")
        .join(latest, on="listener_id", how="left", maintain_order="left")
        .with_columns(stamp=pl.lit(stamp))
    )
    return whole.select(
        "listener_id", line=pl.struct("listener_id", "stamp", "changed_at", "shelves").struct.json_encode()
    )
