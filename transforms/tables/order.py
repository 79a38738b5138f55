"""Whether rows already stand in a table's order: a comparison of neighbours, far cheaper than a sort that changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
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


def by_date(frame: pl.DataFrame) -> list[tuple[date, pl.DataFrame]]:
    """Rows by their column `date`, which is taken off, in order of dates; within one in their given order.

    Raises:
        ValueError: a date is null.

    >>> d = [date(2026, 1, 2), date(2026, 1, 1), date(2026, 1, 2)]
    >>> [(day.day, rows["n"].to_list()) for day, rows in by_date(pl.DataFrame({"date": d, "n": [1, 2, 3]}))]
    [(1, [2]), (2, [1, 3])]
    """
    if not frame.height:
        return []
    if frame["date"].null_count():
        raise ValueError("rows to be filed by date, but some have none")
    day = frame["date"].to_physical().to_numpy()
    rows = frame.drop("date")
    if bool((day[1:] < day[:-1]).any()):
        near = day - day.min()
        # numbers of two bytes are sorted by radix
        order = np.argsort(near.astype(np.uint16) if near.max() < 1 << 16 else near, kind="stable")
        rows, day = rows[order], day[order]
    starts = np.flatnonzero(np.r_[True, day[1:] != day[:-1]]).tolist()
    ends = [*starts[1:], frame.height]
    first = date(1970, 1, 1).toordinal()
    return [(date.fromordinal(first + int(day[a])), rows.slice(a, b - a)) for a, b in zip(starts, ends, strict=True)]
