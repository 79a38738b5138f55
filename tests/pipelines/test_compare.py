"""The comparison by which a cluster's night is judged equal to the local one: it is able to fail."""

from __future__ import annotations

import polars as pl

from tests.flink.compare import compare, difference
from tests.pipelines.world import NIGHT, World

ROWS = pl.DataFrame({"track_id": ["a", "b", "c"], "score": [2.0, 1.0, 1.0], "source": ["x", "x", "x"]})


def shelf(rows: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({"shelf_id": ["s"], "items": [rows.to_dicts()]})


def found(rows: pl.DataFrame) -> str | None:
    """What is found where a shelf has these items instead."""
    return difference(shelf(ROWS), shelf(rows))


def test_equal_rows_do_not_differ():
    assert difference(ROWS, ROWS) is None
    assert found(ROWS) is None


def test_a_score_may_differ_in_its_last_digits():
    assert difference(ROWS, ROWS.with_columns(pl.col("score") + 1e-7)) is None
    assert "score" in (difference(ROWS, ROWS.with_columns(pl.col("score") + 1e-3)) or "")
    assert found(ROWS.with_columns(pl.col("score") + 1e-7)) is None
    assert "score" in (found(ROWS.with_columns(pl.col("score") + 1e-3)) or "")


def test_items_may_change_places_only_where_scores_tie():
    assert found(ROWS[[0, 2, 1]]) is None
    assert found(ROWS[[1, 0, 2]]) == "items: another track in 2 places, and no tie"
    swapped = ROWS.with_columns(track_id=pl.Series(["b", "a", "c"]))
    assert found(swapped) == "items: another score of the same track"


def test_what_stands_beside_a_track_must_be_equal():
    other = ROWS.with_columns(source=pl.Series(["x", "y", "x"]))
    assert "source" in (difference(ROWS, other) or "")
    assert "source" in (found(other) or "")


def test_rows_and_items_must_be_as_many():
    assert difference(ROWS, ROWS.head(2)) == "3 and 2 rows"
    assert found(ROWS.head(2)) == "items: lists of other lengths"


def test_a_table_that_is_missing_or_another_is_named(world, tmp_path):
    warehouse = World.copy(world.made, tmp_path / "copy")
    same, differences = compare(world.warehouse, warehouse)
    assert set(same.values()) == {"equal bytes"}
    assert differences == []
    warehouse.store.delete(f"shelves/date={NIGHT}")
    assert compare(world.warehouse, warehouse)[1] == [f"shelves@{NIGHT}: only in one of the two"]
