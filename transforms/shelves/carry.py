"""Carrying a weekly shelf between its refresh days.

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

import numpy as np
import polars as pl

from transforms.common.compiled import compiled
from transforms.shelves.cadence import last_refresh
from transforms.shelves.settings import NightContext
from transforms.shelves.shelf import ShelfSettings

CARRIED_COLUMNS: dict[str, pl.DataType] = {
    "listener": pl.UInt32(),
    "shelf": pl.Int32(),
    "track_id": pl.String(),
    "refresh_date": pl.Date(),
    "spare": pl.Boolean(),
    "position": pl.Int32(),
    "score": pl.Float32(),
    "propensity": pl.Float32(),
    "source": pl.String(),
    "reason": pl.String(),
    "reason_ref": pl.String(),
}


def carried_items(
    previous: pl.DataFrame, shelves: tuple[ShelfSettings, ...], night: NightContext, ahead: np.ndarray
) -> pl.DataFrame:
    """Items and spares of the shelves that are not due yet, one row each.

    Args:
        previous: rows of table `shelves` of earlier nights, with the listener's number in `listener`.
        shelves: the settings' shelves.
        night: the night being made.
        ahead: int64 by listener, 1 where the next date has begun when the night ends (see `cadence`).

    Returns:
        `CARRIED_COLUMNS`; `shelf` is the shelf's number in the settings, the others as they stood.
    """
    weekly = [(number, s) for number, s in enumerate(shelves) if s.refresh != "daily"]
    if not weekly:
        return pl.DataFrame(schema=CARRIED_COLUMNS)
    numbers = {s.shelf_id: number for number, s in weekly}
    dates = [night.date + dt.timedelta(days=days) for days in (0, 1)]
    since, tomorrow = ({s.shelf_id: last_refresh(s.refresh, date) for _, s in weekly} for date in dates)
    days = pl.Series(ahead).gather(previous["listener"].to_numpy())
    due = (
        pl.when(pl.col("ahead") > 0)
        .then(pl.col("shelf_id").replace_strict(tomorrow, default=None, return_dtype=pl.Date) - pl.duration(days=1))
        .otherwise(pl.col("shelf_id").replace_strict(since, default=None, return_dtype=pl.Date))
    )
    newest = (
        previous.with_columns(ahead=days)
        .filter(pl.col("shelf_id").is_in(list(since)) & (pl.col("run_date") < night.date))
        .sort("run_date")
        .unique(["listener", "shelf_id"], keep="last", maintain_order=True)
        .filter((pl.col("status") == "personal") & (pl.col("refresh_date") >= due))
        .with_columns(shelf=pl.col("shelf_id").replace_strict(numbers, default=None, return_dtype=pl.Int32))
    )
    return pl.concat(
        newest.select("listener", "shelf", "refresh_date", column)
        .explode(column, keep_nulls=False)
        .unnest(column)
        .with_columns(spare=pl.lit(spare))
        .select(pl.col(name).cast(dtype) for name, dtype in CARRIED_COLUMNS.items())
        for column, spare in (("items", False), ("spares", True))
    )


@compiled
def repair(
    items: np.ndarray, spares: np.ndarray, keeps: np.ndarray, piece: np.ndarray, taken: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Run the rules over one carried shelf.

    Args:
        items: rows of its items in order.
        spares: rows of its spares in order.
        keeps: bool by row, whether it passes the rules today.
        piece: by row, the number of the listener's recording.
        taken: bool by piece, whether the surface holds it already; what is kept is added.

    Returns:
        The items now and the spares left.
    """
    stays = np.zeros(len(items), np.bool_)
    for n in range(len(items)):
        if keeps[items[n]] and not taken[piece[items[n]]]:
            taken[piece[items[n]]] = True
            stays[n] = True
    rest = np.empty(len(spares), np.int64)
    left = 0
    for row in spares:
        if keeps[row] and not taken[piece[row]]:
            taken[piece[row]] = True
            rest[left] = row
            left += 1
    now = np.empty(len(items), np.int64)
    count = used = 0
    for n in range(len(items)):
        if stays[n]:
            now[count] = items[n]
            count += 1
        elif used < left:
            now[count] = rest[used]
            used += 1
            count += 1
    return now[:count], rest[used:left]
