"""Sessions that flow: the exact path is the cheapest one, the improved path is close to it, and both hold what is asked."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from transforms.shelves.ordering import EXACT, Flow, FlowSettings, _improved, _price, costs, on_a_line, order


def test_tracks_follow_as_sessions_show_and_an_artist_does_not_follow_itself() -> None:
    follows = sparse.csr_matrix(np.array([[0, 9, 0, 0], [0, 0, 9, 0], [0, 0, 0, 9], [0, 0, 0, 0]], float))
    rows = np.array([2, 0, 3, 1])
    found = order(costs(rows, Flow(follows=follows)))
    assert rows[found].tolist() == [0, 1, 2, 3]
    artists = Flow(artist=np.array([7, 7, 8, 8], np.int32))
    spaced = np.array([7, 7, 8, 8])[order(costs(np.arange(4), artists))]
    assert (spaced[1:] != spaced[:-1]).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(0, 10_000), st.booleans())
def test_the_exact_path_is_the_cheapest_of_all(k: int, seed: int, placed: bool) -> None:
    draws = np.random.default_rng(seed)
    cost, places = draws.normal(size=(k, k)), draws.normal(size=(k, k)) * placed
    cheapest = min(_price(np.array(p), cost, places) for p in permutations(range(k)))
    assert _price(order(cost, places), cost, places) == pytest.approx(cheapest)


@settings(max_examples=20, deadline=None)
@given(st.integers(EXACT + 1, 40), st.integers(0, 10_000))
def test_a_long_path_holds_every_track_once_and_beats_a_random_one(k: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    cost, none = draws.normal(size=(k, k)), np.zeros((k, k))
    path = order(cost)
    assert sorted(path.tolist()) == list(range(k))
    assert order(cost).tolist() == path.tolist()
    assert _price(path, cost, none) < np.mean([_price(draws.permutation(k), cost, none) for _ in range(20)])


def test_improving_comes_close_to_the_exact_path() -> None:
    gaps = []
    for seed in range(20):
        cost, none = np.random.default_rng(seed).normal(size=(EXACT, EXACT)), np.zeros((EXACT, EXACT))
        exact = _price(order(cost), cost, none)
        gaps.append((_price(_improved(cost, none, None), cost, none) - exact) / abs(exact))
    assert np.mean(gaps) < 0.05


def test_what_is_to_rise_rises_and_unknown_values_stand_anywhere() -> None:
    values = np.array([5.0, 1.0, 3.0, 4.0, 2.0])
    rising = order(np.zeros((5, 5)), on_a_line(values, rising=True, price=2.0))
    assert values[rising].tolist() == [1, 2, 3, 4, 5]
    falling = order(np.zeros((5, 5)), on_a_line(values, rising=False, price=2.0))
    assert values[falling].tolist() == [5, 4, 3, 2, 1]
    unknown = on_a_line(np.array([np.nan, 1.0, 2.0]), rising=True, price=2.0)
    assert unknown[0].tolist() == [0, 0, 0]


def test_a_first_track_is_kept_first() -> None:
    for k in (5, 20):
        cost = np.random.default_rng(1).normal(size=(k, k))
        assert order(cost, first=3)[0] == 3


def test_weights_of_zero_are_no_evidence() -> None:
    flow = Flow(artist=np.array([1, 1, 2], np.int32))
    assert not costs(np.arange(3), flow, FlowSettings(same_artist=0)).any()
