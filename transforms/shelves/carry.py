"""Carrying a weekly shelf between its refresh days, and what stays away after it was shown.

A weekly shelf is a promise for a week: between refresh days its items stay where they are, with the date they were
chosen and the propensities they were drawn with, so that what was shown can be judged by the draw that showed it. Only
the rules run again. An item they remove is replaced, in its place, by the next spare that still passes; a replacement
was not drawn, so its propensity is null. A row that was fallback or empty is not carried: the listener may have a
history now.

Example, refresh on Mondays: Tuesday's row of items a b c and spares d e, of which b was blocked since, becomes
a d c and e; refresh_date stays Monday.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from transforms.shelves.rows import CARRIED, as_rows
from transforms.shelves.settings import Night, ShelfSettings, last_refresh

# What a carried row keeps of how it stood; null for other rows.
AS_CARRIED: dict[str, pl.DataType] = {
    "shelf_id": pl.String(),
    "refresh_date": pl.Date(),
    "spare": pl.Boolean(),
    "position": pl.Int32(),
    "score": pl.Float32(),
    "propensity": pl.Float32(),
}


def carried_rows(
    previous: pl.DataFrame, shelves: tuple[ShelfSettings, ...], night: Night, order_columns: list[str]
) -> pl.DataFrame:
    """Items and spares of the shelves that are not due yet, one row each.

    Args:
        previous: rows of table `shelves` of earlier nights.
        shelves: the settings' shelves.
        night: the night being made.
        order_columns: the order columns of `as_rows`.

    Returns:
        Rows with shelf_id, refresh_date, spare, position, score and propensity as they stood.
    """
    since = {s.shelf_id: last_refresh(s.refresh, night.date) for s in shelves if s.refresh != "daily"}
    due = pl.col("shelf_id").replace_strict(since, default=None, return_dtype=pl.Date)
    newest = (
        previous.filter(pl.col("shelf_id").is_in(list(since)) & (pl.col("run_date") < night.date))
        .sort("run_date")
        .unique(["listener_id", "shelf_id"], keep="last", maintain_order=True)
        .filter((pl.col("status") == "personal") & (pl.col("refresh_date") >= due))
    )
    parts = []
    for column, spare in (("items", False), ("spares", True)):
        struct = (
            newest.select("listener_id", "shelf_id", "refresh_date", column)
            .explode(column, keep_nulls=False)
            .unnest(column)
            .with_columns(spare=pl.lit(spare))
        )
        parts.append(struct)
    return as_rows(pl.concat(parts), CARRIED, order_columns, tuple(AS_CARRIED))


def shown_lately(previous: pl.DataFrame, shelves: tuple[ShelfSettings, ...], night: Night) -> pl.DataFrame:
    """(shelf_id, listener_id, track_id) of the items that stood on a shelf within its cool-down."""
    days = {s.shelf_id: s.cool_down_days for s in shelves if s.cool_down_days}
    cool = pl.col("shelf_id").replace_strict(days, default=None, return_dtype=pl.Int32)
    age = (pl.lit(night.date) - pl.col("run_date")).dt.total_days()
    return (
        previous.filter((age > 0) & (age <= cool))
        .select("shelf_id", "listener_id", "items")
        .explode("items", keep_nulls=False)
        .select("shelf_id", "listener_id", track_id=pl.col("items").struct.field("track_id"))
        .unique(maintain_order=True)
    )


def repair(
    items: list[int], spares: list[int], keeps: Mapping[int, bool], taken: set[int], recording: list[int]
) -> tuple[list[int], list[int]]:
    """Run the rules over one carried shelf.

    Args:
        items: rows of its items in order.
        spares: rows of its spares in order.
        keeps: by row, whether it passes the rules today.
        taken: recordings already on the surface; what is kept is added.
        recording: by row, its recording.

    Returns:
        The items now and the spares left.
    """

    def stays(row: int) -> bool:
        if not keeps[row] or recording[row] in taken:
            return False
        taken.add(recording[row])
        return True

    kept = [row if stays(row) else None for row in items]
    rest = [row for row in spares if stays(row)]
    now: list[int] = []
    for row in kept:
        if row is not None:
            now.append(row)
        elif rest:
            now.append(rest.pop(0))
    return now, rest


def refresh_dates(carried: pl.DataFrame) -> dict[tuple[str, str], dt.date]:
    """(listener_id, shelf_id) -> the date its items were chosen."""
    heads = carried.select("listener_id", "shelf_id", "refresh_date").unique()
    return {(listener, shelf): date for listener, shelf, date in heads.iter_rows()}
