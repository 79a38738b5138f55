"""Whether two warehouses hold the same: equal bytes, or equal ids in equal order except where scores tie."""

from __future__ import annotations

import polars as pl
from polars.testing import assert_frame_equal

from tests.pipelines.world import hashes, manifests
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

TIE = 1e-5


def compare(one: Warehouse, other: Warehouse) -> tuple[dict[str, str], list[str]]:
    """Every table of every date against the other's.

    Returns:
        by `table@date`: "equal bytes" or "equal rows"; and one sentence for each difference.
    """
    ours, theirs = manifests(one), manifests(other)
    differences = [f"{key}: only in one of the two" for key in sorted(ours.keys() ^ theirs.keys())]
    files, others = hashes(one), hashes(other)
    same: dict[str, str] = {}
    for key in sorted(ours.keys() & theirs.keys()):
        mine, its = ours[key], theirs[key]
        if mine.version != its.version:
            differences.append(f"{key}: version {mine.version} and {its.version}")
        elif files[key] == others[key]:
            same[key] = "equal bytes"
        elif mine.table not in TABLES:
            unequal = sorted({name for name, _ in {*files[key]} ^ {*others[key]}})
            differences.append(f"{key}: {', '.join(unequal)} differ")
        else:
            order = list(TABLES[mine.table].key)
            found = difference(one.read_manifest(mine).sort(order), other.read_manifest(its).sort(order))
            if found is None:
                same[key] = "equal rows"
            else:
                differences.append(f"{key}: {found}")
    return same, differences


def difference(one: pl.DataFrame, other: pl.DataFrame) -> str | None:
    """What differs between two frames in the same order, or None.

    Numbers may differ by 1e-5. In lists of tracks with scores (a shelf's items, a draw's pool) two may have changed places where
    their scores differ by no more.
    """
    if one.columns != other.columns:
        return f"columns {one.columns} and {other.columns}"
    if one.height != other.height:
        return f"{one.height} and {other.height} rows"
    for column, kind in one.schema.items():
        if isinstance(kind, pl.List) and isinstance(kind.inner, pl.Struct):
            if not one[column].list.len().equals(other[column].list.len(), null_equal=True):
                return f"{column}: lists of other lengths"
            found = _of_items(_items(one, column), _items(other, column))
            if found is not None:
                return f"{column}: {found}"
            one, other = one.drop(column), other.drop(column)
    return _unequal(one, other)


def _items(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """The structs of a column of lists as rows, with the number of the row they stand in."""
    return (
        frame.select(pl.int_range(pl.len()).alias("in_row"), column).explode(column).drop_nulls(column).unnest(column)
    )


def _of_items(one: pl.DataFrame, other: pl.DataFrame) -> str | None:
    if {"track_id", "score"} <= set(one.columns):
        moved = one["track_id"] != other["track_id"]
        apart = ((one["score"] - other["score"]).abs() > TIE).fill_null(value=True)
        if (moved & apart).any():
            return f"another track in {int((moved & apart).sum())} places, and no tie"
        both = one.join(other, on=["in_row", "track_id"], suffix="_other")
        if both.select(((pl.col("score") - pl.col("score_other")).abs() > TIE).any()).item():
            return "another score of the same track"
        one, other = one.filter(~moved), other.filter(~moved)
    return _unequal(one, other)


def _unequal(one: pl.DataFrame, other: pl.DataFrame) -> str | None:
    try:
        assert_frame_equal(one, other, rel_tol=TIE, abs_tol=TIE)
    except AssertionError as error:
        return str(error).splitlines()[0]
    return None
