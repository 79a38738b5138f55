"""Paired differences by hand."""

from __future__ import annotations

import polars as pl
import pytest

from transforms.evaluation.paired import SCHEMA, side_by_side


def rows(**by_listener: float | None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "listener_id": list(by_listener),
            "model": "ranker",
            "target": "unheard",
            "ndcg@50": list(by_listener.values()),
        },
        schema_overrides={"ndcg@50": pl.Float64},
    )


def test_only_listeners_of_both_sides_count_in_either_mean() -> None:
    """Cat is in one side alone and dan was not measured: ann's and bob's .5 and .1 stand against .3 and .1."""
    a, b = rows(ann=0.5, bob=0.1, cat=1.0, dan=None), rows(ann=0.3, bob=0.1, dan=0.9)
    (row,) = side_by_side(a, b, ["ndcg@50", "absent"]).iter_rows(named=True)
    assert (row["a"], row["b"], row["difference"]) == pytest.approx((0.3, 0.2, 0.1))
    assert row["n"] == 2 and row["low"] <= 0.1 <= row["high"]
    assert list(row) == list(SCHEMA)


def test_a_constant_difference_has_no_width_and_turns_with_the_sides() -> None:
    a, b = rows(ann=0.5, bob=0.75), rows(ann=0.25, bob=0.5)
    (one,), (other,) = side_by_side(a, b, ["ndcg@50"]).rows(), side_by_side(b, a, ["ndcg@50"]).rows()
    assert one[5:8] == pytest.approx((0.25, 0.25, 0.25)) and other[5:8] == pytest.approx((-0.25, -0.25, -0.25))


def test_nobody_in_both_is_no_row() -> None:
    assert side_by_side(rows(ann=1.0), rows(bob=1.0), ["ndcg@50"]).schema == SCHEMA
    assert side_by_side(rows(ann=1.0), rows(bob=1.0), ["ndcg@50"]).is_empty()
