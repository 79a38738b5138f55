"""Whether rows already stand in a table's order: a comparison of neighbours, far cheaper than a sort that changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def is_ordered(frame: pl.DataFrame, keys: Sequence[str]) -> bool:
    """Whether rows ascend by the keys, the first one first. A null among the keys counts as out of order.

    >>> is_ordered(pl.DataFrame({"a": ["x", "x", "y"], "b": [1, 2, 0]}), ["a", "b"])
    True
    """
    if frame.height < 2:
        return True
    tied = pl.Series([True]).new_from_index(0, frame.height - 1)
    for key in keys:
        here, after = frame[key][:-1], frame[key][1:]
        if frame[key].null_count() or (tied & (here > after)).any():
            return False
        tied &= here == after
    return True


def ordered(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The rows sorted by the keys; equal rows stay in their given order."""
    return frame if is_ordered(frame, keys) else frame.sort(keys, maintain_order=True)
