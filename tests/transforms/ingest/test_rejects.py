"""Refused lines by shard: the same rows in the same shard however they arrive, none lost, none held by one worker."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from transforms.common.errors import LostCount
from transforms.ingest.rejects import LINES, by_shard, check_kept, refused


def lines(file_no: int, *numbers: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "file_no": [file_no] * len(numbers),
            "line": numbers,
            "reason": ["broken_line"] * len(numbers),
            "raw": [f"raw {n}" for n in numbers],
        },
        schema={"file_no": pl.Int32, "line": pl.Int64, "reason": pl.String, "raw": pl.String},
    )


def placed(*pieces: pl.DataFrame, shards: int = 4) -> dict[int, set[tuple]]:
    out: dict[int, set[tuple]] = {}
    for piece in pieces:
        for shard, part in by_shard(piece, shards):
            out.setdefault(shard, set()).update(part.rows())
    return out


def test_a_line_goes_to_the_same_shard_however_the_input_was_cut() -> None:
    everything = lines(3, *range(1, 6 * LINES, LINES // 3))
    pieces = [everything.slice(n, 5) for n in range(0, everything.height, 5)]
    assert placed(*reversed(pieces)) == placed(everything)
    assert sum(map(len, placed(everything).values())) == everything.height


def test_many_lines_are_spread_and_neighbours_stay_together() -> None:
    sizes = [part.height for _, part in by_shard(lines(0, *(n * LINES for n in range(4_000))), 4)]
    assert len(sizes) == 4 and min(sizes) > 800
    assert len(by_shard(lines(0, *range(1, 1_000)), 4)) == 1
    assert by_shard(lines(0), 4) == []


def test_a_shard_is_sorted_named_and_marked_with_its_batch() -> None:
    rows = refused([lines(1, 9, 2), lines(0, 5)], ["b.csv", "a.csv"], "batch-1")
    assert rows.select("batch", "file", "line").rows() == [
        ("batch-1", "a.csv", 2),
        ("batch-1", "a.csv", 9),
        ("batch-1", "b.csv", 5),
    ]
    assert_frame_equal(rows, refused([lines(0, 5), lines(1, 2), lines(1, 9)], ["b.csv", "a.csv"], "batch-1"))


def test_rejects_that_were_counted_and_not_kept_stop_the_commit() -> None:
    check_kept(3, 3)
    with pytest.raises(LostCount, match="3 rejects were counted, but 2 kept"):
        check_kept(2, 3)
