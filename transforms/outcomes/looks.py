"""Which shelves a listener surely looked at after a night, and which they played from: what Home's order is learned from.

People look from the top and stop where they play (a cascade, as in `transforms.shelves.bandit`). Of what impressions
show as displayed, the shelves down to the last one that was played from were looked at; where none was, the first
`visible`. An app that logs a shelf only once it is on the screen (`visible` is None) knows better: all that it logs was
looked at.

    displayed, by place   1 popular-now   2 discover-weekly   3 on-repeat   4 rediscover
    played from                           x
    looked at             x               x

A play belongs to a shelf that it names, counts as heard, and is of the days of the horizon.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from transforms.common.typed_names import LOOKS, PLAYS, LooksAt
from transforms.listening.plays import is_heard
from transforms.outcomes.join import shown_tracks, window
from transforms.tables.schema import TABLES


def looks(
    night: date,
    horizon: int,
    shelves: pl.DataFrame,
    impressions: pl.DataFrame,
    listens: pl.DataFrame,
    visible: int | None,
) -> pl.DataFrame:
    """Rows of table `looks` of one night's shelves.

    Args:
        shelves: the night's table; rows without `home_context` are of surfaces whose order is not learned.
        impressions, listens: of (night, night + horizon].
        visible: shelves on a screen at once; None = whatever was displayed was looked at.

    Returns:
        sorted by key.
    """
    table = TABLES["looks"]
    stands = shelves.filter(pl.col("home_context").is_not_null() & pl.col("home_position").is_not_null())
    if stands.is_empty() or impressions.is_empty():
        return table.empty()
    start, stop = window(night, horizon)
    displayed = shown_tracks(stands, impressions).select("listener_id", "shelf_id").unique()
    played = (
        listens.filter(pl.col("started_at").is_between(start, stop, closed="left") & pl.col("shelf_id").is_not_null())
        .filter(is_heard())
        .select("listener_id", "shelf_id")
        .unique()
        .with_columns(played=pl.lit(True))
    )
    found = (
        stands.select(
            "listener_id", "surface", "shelf_id", position="home_position", context="home_context", night=pl.lit(night)
        )
        .join(displayed, on=["listener_id", "shelf_id"], how="semi")
        .join(played, on=["listener_id", "shelf_id"], how="left")
        .with_columns(pl.col("played").fill_null(False))
        .with_columns(last=pl.when("played").then("position").max().over("listener_id", "surface"))
    )
    if visible is not None:
        found = found.filter(pl.col("position") <= pl.coalesce("last", pl.lit(visible)))
    return found.select(pl.col(name).cast(kind) for name, kind in table.polars.items()).sort(table.key)


def counts(rows: pl.DataFrame) -> dict[str, int]:
    """Looks and plays of rows of table `looks`, by shelf and context; zeros are left out."""
    by = rows.group_by("shelf_id", "context").agg(looks=pl.len(), plays=pl.col("played").sum())
    tallied: dict[str, int] = {}
    for shelf, context, n, plays in by.sort("shelf_id", "context").iter_rows():
        tallied[str(LooksAt(shelf, context, LOOKS))] = n
        if plays:
            tallied[str(LooksAt(shelf, context, PLAYS))] = plays
    return tallied
