"""Who is in a group on a night: the last word on each membership counts.

A membership is a row of table `blends`, which stands with the listener it is about, so a listener's rows are read where the
rest of them is. A group is of 2 to 10 members; of any other number there is no blend.

    >>> rows = pl.DataFrame({"listener_id": ["ann", "ann"], "blend_id": ["b", "b"], "at": [1, 2], "left": [None, True]})
    >>> members(rows).height
    0
"""

from __future__ import annotations

import polars as pl

LEAST, MOST = 2, 10


def members(blends: pl.DataFrame) -> pl.DataFrame:
    """listener_id, blend_id of who is in a group after all of these rows, sorted.

    Args:
        blends: rows of table `blends` of any dates up to the night, in any order; of two at one moment, leaving counts.
    """
    left = pl.col("left").fill_null(False)
    return (
        blends.with_columns(left)
        .sort("at", "left")
        .unique(["listener_id", "blend_id"], keep="last", maintain_order=True)
        .filter(~pl.col("left"))
        .select("listener_id", "blend_id")
        .sort("listener_id", "blend_id")
    )
