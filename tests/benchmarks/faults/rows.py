"""Equal rows, where two orders of the same ingests make different files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from transforms.tables.warehouse import Warehouse


def same_rows(url: Path, whole: Path) -> None:
    """Compare the listens by date and the newest catalog and listeners.

    Raises:
        AssertionError: rows are missing, doubled or others.
    """
    here, there = Warehouse(str(url)), Warehouse(str(whole))
    assert here.dates("listens") == there.dates("listens")
    for day in there.dates("listens"):
        one, other = (warehouse.read("listens", day).sort("listen_id") for warehouse in (here, there))
        assert one.equals(other), f"listens of {day} differ"
    for table, key in (("tracks", "track_id"), ("listeners", "listener_id")):
        one, other = (warehouse.read_newest(table, there.dates("listens")[-1]).sort(key) for warehouse in (here, there))
        assert one.select(pl.col(key)).equals(other.select(pl.col(key))), f"{table} differ"
