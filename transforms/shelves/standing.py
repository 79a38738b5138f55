"""What later nights need of earlier shelves, as one small table a night: `carried`.

A night reads of earlier nights what stands on a weekly shelf until its next refresh, what a mix was made of, and which
tracks cool down because they stood on a shelf lately. The newest row of a listener's shelf says the first, the newest personal
row the second; of all others only their tracks matter, each at the last date it stood there. So one table takes the place of
four weeks of shelves, and the next one follows from it and the night alone:

    carried(day) = pruned(carried(day before) + shelves(day))

    >>> item = {"track_id": "t1", "position": 1}
    >>> row = {"listener_id": "ann", "shelf_id": "mix", "status": "personal", "refresh_date": date(2026, 1, 1), "spares": []}
    >>> nights = [{**row, "run_date": date(2026, 1, day), "items": [{**item, "track_id": t} for t in tracks]}
    ...           for day, tracks in ((1, ("t1", "t2")), (2, ("t2",)), (3, ("t3",)))]
    >>> kept = pruned(pl.DataFrame(nights, schema=COLUMNS), date(2026, 1, 3), days=28)
    >>> [(day.day, [i["track_id"] for i in items]) for day, items in kept.select("run_date", "items").iter_rows()]
    [(1, ['t1']), (2, ['t2']), (3, ['t3'])]
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from transforms.tables.schema import TABLES

COLUMNS = TABLES["carried"].polars
SHELF = ["listener_id", "shelf_id"]
_ITEM = COLUMNS["items"].inner  # type: ignore[attr-defined]


def carried(earlier: pl.DataFrame, shelves: pl.DataFrame, day: date, days: int) -> pl.DataFrame:
    """Table `carried` of a night, for the listeners of some rows of its shelves.

    Args:
        earlier: table `carried` of the night before, or table `shelves` of any nights before, of these listeners at least.
        shelves: table `shelves` of the night.
        days: that a later night looks back, at most.

    Returns:
        `COLUMNS`, sorted by listener, shelf and date; a row for every shelf, and others that still say something.
    """
    mine = earlier.join(shelves.select("listener_id").unique(), on="listener_id", how="semi")
    return pruned(pl.concat([narrowed(mine), narrowed(shelves)]), day, days)


def narrowed(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of table `carried`, of rows of `shelves` or of `carried`."""
    return rows.select(_narrow(name) if name in ("items", "spares") else pl.col(name) for name in COLUMNS)


def pruned(rows: pl.DataFrame, day: date, days: int) -> pl.DataFrame:
    """Rows of nights up to `day`, without what no later night within `days` reads.

    Whole are the newest row of each shelf and its newest personal one. Of older ones there remain the tracks that stood on no
    later row of the shelf, without spares; a row with none left is gone.
    """
    rows = rows.filter(pl.col("run_date") > day - timedelta(days))
    personal = pl.when(pl.col("status") == "personal").then("run_date").max().over(SHELF)
    newest = pl.col("run_date").max().over(SHELF)
    marked = rows.with_columns(whole=(pl.col("run_date") == newest) | (pl.col("run_date") == personal).fill_null(False))
    old = marked.filter(~pl.col("whole"))
    if not old.height:
        return rows.sort(*SHELF, "run_date")
    stood = marked.select(*SHELF, "run_date", "status", "refresh_date", "whole", track_id=_track_ids()).explode(
        "track_id"
    )
    last = stood.drop_nulls("track_id").filter(pl.col("run_date") == pl.col("run_date").max().over(*SHELF, "track_id"))
    left = (
        last.filter(~pl.col("whole"))
        .with_columns(item=pl.struct(_only_track(name, kind) for name, kind in _fields()))
        .group_by(*SHELF, "run_date", "status", "refresh_date", maintain_order=True)
        .agg(items="item")
        .with_columns(spares=pl.lit([], dtype=COLUMNS["spares"]))
    )
    whole = marked.filter("whole").select(*COLUMNS)
    return pl.concat([whole, left.select(*COLUMNS)]).sort(*SHELF, "run_date")


def _fields() -> list[tuple[str, pl.DataType]]:
    return [(field.name, field.dtype) for field in _ITEM.fields]


def _only_track(name: str, kind: pl.DataType) -> pl.Expr:
    return pl.col("track_id") if name == "track_id" else pl.lit(None, dtype=kind).alias(name)


def _track_ids() -> pl.Expr:
    return pl.col("items").list.eval(pl.element().struct.field("track_id"))


def _narrow(column: str) -> pl.Expr:
    fields = [pl.element().struct.field(name).cast(kind) for name, kind in _fields()]
    return pl.col(column).list.eval(pl.struct(fields))
