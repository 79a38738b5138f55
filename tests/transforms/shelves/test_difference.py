"""What changed beside the stored night, by hand."""

from __future__ import annotations

from typing import Any

import polars as pl

from transforms.shelves.difference import by_shelf, changes


def shelves(**rows: tuple[str, str]) -> pl.DataFrame:
    """listener -> (status, items as letters)."""
    made: list[dict[str, Any]] = [
        {"listener_id": who, "shelf_id": "discover", "status": status, "items": [{"track_id": t} for t in items]}
        for who, (status, items) in rows.items()
    ]
    return pl.DataFrame(made, schema_overrides={"items": pl.List(pl.Struct({"track_id": pl.String}))})


def test_what_came_what_went_and_what_moved() -> None:
    before = shelves(ann=("personal", "abc"), bob=("personal", "xy"), cy=("empty", ""), gone=("personal", "a"))
    now = shelves(ann=("personal", "adb"), bob=("personal", "xy"), cy=("fallback", "p"), new=("personal", "a"))
    changed = changes(before, now)
    assert changed.rows() == [
        ("ann", "discover", "personal", "personal", ["d"], ["c"], 1),
        ("bob", "discover", "personal", "personal", [], [], 0),
        ("cy", "discover", "empty", "fallback", ["p"], [], 0),
    ]
    assert by_shelf(changed).rows() == [("discover", 3, 2, 1, 2 / 3)]
