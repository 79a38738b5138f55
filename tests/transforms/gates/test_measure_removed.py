"""What rules removed is counted by shelf and rule, adds up over chunks, and is read back for `check` and the report."""

from __future__ import annotations

import polars as pl

from transforms.gates.measure import Measured, removed, removed_by_shelf
from transforms.tables.schema import TABLES


def test_counts_add_up_over_chunks_and_come_back_by_shelf_most_first() -> None:
    rows = [("ann", "discover", "unheard", 3), ("bob", "discover", "unheard", 4), ("ann", "discover", "market", 9)]
    frames = [
        pl.DataFrame(
            [
                dict(zip(("listener_id", "shelf_id", "rule", "removed"), row, strict=True)) | {"tracks": []}
                for row in part
            ],
            schema=TABLES["removed"].polars,
        )
        for part in (rows[:1], rows[1:])
    ]
    total = Measured.total(removed(frame) for frame in frames)
    assert total.counts == {"removed discover unheard": 7, "removed discover market": 9}
    assert removed_by_shelf({**total.counts, "rows": 2}) == {"discover": [("market", 9), ("unheard", 7)]}
