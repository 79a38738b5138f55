"""What changed between two makings of the same shelves: how many listeners see another shelf, and what came and went.

Example: ann's Discover was a b c and is now a d c, bob's is as it was: one of two listeners sees another shelf, and half an item
a listener came.
"""

from __future__ import annotations

import polars as pl

KEY = ("listener_id", "shelf_id")


def changes(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """One row a listener and shelf that both have.

    Args:
        before, now: rows of table `shelves`.

    Returns:
        listener_id, shelf_id, status_before, status, came, went (lists of track ids, in order) and moved (items that stand at
        another position).
    """

    def side(frame: pl.DataFrame, name: str) -> pl.DataFrame:
        tracks = pl.col("items").list.eval(pl.element().struct.field("track_id"))
        return frame.select(*KEY, pl.col("status").alias(f"status_{name}"), tracks.alias(name))

    both = side(now, "now").join(side(before, "before"), on=KEY)
    ranked = [
        both.select(*KEY, name).explode(name, keep_nulls=False).with_columns(at=pl.int_range(pl.len()).over(KEY))
        for name in ("now", "before")
    ]
    kept = ranked[0].join(ranked[1], left_on=[*KEY, "now"], right_on=[*KEY, "before"])
    moved = kept.filter(pl.col("at") != pl.col("at_right")).group_by(KEY).agg(moved=pl.len().cast(pl.Int32))
    return (
        both.join(moved, on=KEY, how="left")
        .select(
            *KEY,
            "status_before",
            pl.col("status_now").alias("status"),
            came=pl.col("now").list.set_difference("before"),
            went=pl.col("before").list.set_difference("now"),
            moved=pl.col("moved").fill_null(0),
        )
        .sort(KEY)
    )


def by_shelf(changed: pl.DataFrame) -> pl.DataFrame:
    """By shelf: listeners, how many see another shelf, whose status changed, and the items that came a listener."""
    other = (pl.col("came").list.len() > 0) | (pl.col("went").list.len() > 0) | (pl.col("moved") > 0)
    return (
        changed.group_by("shelf_id")
        .agg(
            listeners=pl.len(),
            changed=other.sum(),
            status=(pl.col("status") != pl.col("status_before")).sum(),
            came=pl.col("came").list.len().mean(),
        )
        .sort("shelf_id")
    )
