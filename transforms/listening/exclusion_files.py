"""Which plays of a shard are out of taste, from its files: only the row groups that hold listeners who excluded something.

Of the days since the last table, all listeners with an act of exclusion are looked at; of the days before, only those who
made one since. The tables are far larger than what is needed of them, so they are never read whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from transforms.listening.exclusions import KIND, UNDO, acts, covered, union
from transforms.listening.library import LISTEN_COLUMNS
from transforms.tables.as_of import AsOf
from transforms.tables.chunks import Spec, shard_of
from transforms.tables.manifest import Heading
from transforms.tables.row_groups import groups_holding
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

COLUMNS = {
    "feedback": ("listener_id", "kind", "target", "at"),
    "listens": (*LISTEN_COLUMNS, "device_id"),
    "sessions": ("listener_id", "session_id", "tracks"),
}


@dataclass(frozen=True)
class ExclusionPlan:
    """What is looked at: feedback and plays by table, and since when acts are new."""

    since: date
    tables: dict[str, list[Heading]]


def plan_exclusions(past: AsOf, reach: int) -> ExclusionPlan | None:
    """What to read for the plays that acts up to the view's date cover, beyond the tables before; None without any act.

    Args:
        reach: days that an act reaches back.
    """
    before = past.newest("exclusions", before=past.day)
    feedback = past.every("feedback")
    fresh = [m for m in feedback if (before is None or m.date > before.date) and _has_acts(past.warehouse, m)]
    if before is None and not fresh:
        return None
    since = before.date + timedelta(1) if before else fresh[0].date
    first = since - timedelta(reach if fresh else 0)
    return ExclusionPlan(since, {"feedback": feedback, **{t: past.every(t, first) for t in ("listens", "sessions")}})


def _has_acts(warehouse: Warehouse, manifest: Heading) -> bool:
    return any(
        (frame["kind"] == KIND).any() for frame in warehouse.read_files(warehouse.whole(manifest).files, ("kind",))
    )


def excluded_plays(spec: Spec, since: date, reach: int) -> pl.DataFrame:
    """Rows of table `exclusions` of a shard, from its files of feedback, listens and sessions.

    Args:
        since: the first date that no earlier table has looked at.
        reach: days that an act reaches back.
    """
    warehouse = Warehouse(spec.warehouse)
    every = acts(_acts(warehouse, spec))
    fresh = every.filter(pl.col("again") >= since).with_columns(date="again")
    found = []
    for table in ("listens", "sessions"):
        # a file at a time: an act may reach back over hundreds of them
        for part in spec.parts[table]:
            excluded = every if part.day >= since else fresh
            excluded = excluded.filter(pl.col("date") <= part.day + timedelta(reach))
            rows = _rows(warehouse, part.path, table, excluded["listener_id"].unique().sort())
            if rows is not None:
                pair = (rows, _none("sessions")) if table == "listens" else (_none("listens"), rows)
                found.append(covered(*pair, excluded))
    return union(found)


def _acts(warehouse: Warehouse, spec: Spec) -> pl.DataFrame:
    """Acts of exclusion of the shard's listeners, and those that undo them, dated."""
    frames = [_none("feedback").with_columns(date=pl.lit(None, dtype=pl.Date))]
    for part in spec.parts["feedback"]:
        rows = pl.DataFrame(pl.from_arrow(warehouse.open_parquet(part.path).read(columns=list(COLUMNS["feedback"]))))
        frames.append(rows.filter(pl.col("kind").is_in([KIND, UNDO])).with_columns(date=pl.lit(part.day)))
    rows = pl.concat(frames)
    return rows.filter(pl.Series(shard_of(rows["listener_id"], spec.shards) == spec.shard)) if rows.height else rows


def _none(table: str) -> pl.DataFrame:
    return TABLES[table].empty().select(COLUMNS[table])


def _rows(warehouse: Warehouse, path: str, table: str, listeners: pl.Series) -> pl.DataFrame | None:
    """Rows of these (sorted) listeners; row groups without any of them are passed over."""
    if not listeners.len():
        return None
    file = warehouse.open_parquet(path)
    groups = groups_holding(file.metadata, listeners)
    if not groups:
        return None
    columns: Sequence[str] = COLUMNS[table]
    rows = pl.DataFrame(pl.from_arrow(file.read_row_groups(groups, columns=list(columns))))
    return rows.filter(pl.col("listener_id").is_in(listeners.implode()))
