"""Ranking metrics: worked by hand, and what must hold for any lists."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.metrics.ranking import metric_names, score_lists


def lists(**by_listener: list[int]) -> pl.DataFrame:
    rows = [(who, item, place) for who, items in by_listener.items() for place, item in enumerate(items, 1)]
    return pl.DataFrame(rows, schema={"listener_id": pl.String, "item": pl.Int64, "rank": pl.Int64}, orient="row")


def wanted(**by_listener: list[int]) -> pl.DataFrame:
    rows = [(who, item) for who, items in by_listener.items() for item in items]
    return pl.DataFrame(rows, schema={"listener_id": pl.String, "item": pl.Int64}, orient="row")


def test_worked_by_hand() -> None:
    # ann wants 2 and 4 and 9; they stand at places 2 and 4, and 9 nowhere
    got = score_lists(lists(ann=[1, 2, 3, 4]), wanted(ann=[2, 4, 9]), cutoffs=(2, 4)).row(0, named=True)
    assert got["relevant"] == 3
    assert got["recall@2"] == pytest.approx(1 / 3)
    assert got["recall@4"] == pytest.approx(2 / 3)
    assert got["hit@2"] == 1.0 and got["mrr@4"] == pytest.approx(1 / 2)
    gain2, gain4 = 1 / math.log2(3), 1 / math.log2(5)
    assert got["ndcg@2"] == pytest.approx(gain2 / (1 + 1 / math.log2(3)))
    assert got["ndcg@4"] == pytest.approx((gain2 + gain4) / (1 + 1 / math.log2(3) + 1 / math.log2(4)))


def test_a_listener_without_a_list_scores_zero_and_one_without_wishes_has_no_row() -> None:
    got = score_lists(lists(bob=[1]), wanted(ann=[1]), cutoffs=(5,))
    assert got["listener_id"].to_list() == ["ann"]
    assert got.select("recall@5", "ndcg@5", "mrr@5", "hit@5").row(0) == (0.0, 0.0, 0.0, 0.0)


def test_an_item_listed_twice_takes_two_places_and_counts_once() -> None:
    got = score_lists(lists(ann=[1, 1, 2]), wanted(ann=[1, 2]), cutoffs=(2, 3)).row(0, named=True)
    assert got["recall@2"] == 0.5 and got["recall@3"] == 1.0
    assert got["ndcg@3"] == pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3)))


def test_ranks_may_have_gaps_but_no_ties() -> None:
    gaps = lists(ann=[1, 2]).with_columns(rank=pl.col("rank") * 10)
    assert score_lists(gaps, wanted(ann=[2]), cutoffs=(2,))["mrr@2"].item() == 0.5
    with pytest.raises(ValueError, match="same rank"):
        score_lists(gaps.with_columns(rank=pl.lit(1)), wanted(ann=[2]), cutoffs=(2,))


items = st.lists(st.integers(0, 30), min_size=1, max_size=15, unique=True)
worlds = st.dictionaries(st.sampled_from(["ann", "bob", "cat"]), st.tuples(items, items), min_size=1)


@settings(max_examples=60)
@given(worlds, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter_and_values_stay_in_bounds(world, random) -> None:  # type: ignore[no-untyped-def]
    ranked = lists(**{who: pair[0] for who, pair in world.items()})
    relevant = wanted(**{who: pair[1] for who, pair in world.items()})
    expected = score_lists(ranked, relevant)
    order = list(range(len(ranked)))
    random.shuffle(order)
    assert score_lists(ranked[order], relevant.reverse()).equals(expected)
    values = expected.select(metric_names())
    assert values.select(pl.all_horizontal(pl.all().is_between(0.0, 1.0 + 1e-12)).all()).item()


@settings(max_examples=60)
@given(worlds)
def test_a_perfect_list_scores_one_and_moving_a_hit_up_never_hurts(world) -> None:  # type: ignore[no-untyped-def]
    relevant = wanted(**{who: pair[1] for who, pair in world.items()})
    perfect = score_lists(lists(**{who: pair[1] for who, pair in world.items()}), relevant, cutoffs=(15,))
    for kind in ("ndcg", "recall", "mrr", "hit"):
        assert perfect[f"{kind}@15"].to_list() == pytest.approx([1.0] * len(perfect))
    for who, (listed, liked) in world.items():
        hits_first = sorted(listed, key=lambda item: item not in liked)
        was = score_lists(lists(**{who: listed}), relevant, cutoffs=(5,)).filter(listener_id=who)
        now = score_lists(lists(**{who: hits_first}), relevant, cutoffs=(5,)).filter(listener_id=who)
        assert now["ndcg@5"].item() >= was["ndcg@5"].item() - 1e-12
