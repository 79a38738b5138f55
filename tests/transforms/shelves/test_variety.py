"""Variety by hand: what each term does to an order, and that without weights nothing moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transforms.shelves.test_placing import filled
from transforms.shelves.limits import Caps
from transforms.shelves.shelf import VarietySettings
from transforms.shelves.variety import Tastes, divergence

SOLO = [["a"], ["b"], ["c"]]


def tastes(vectors: list[list[float]], names: int = 3, **changes: np.ndarray) -> Tastes:
    """Tastes of tracks t000, t001, ... as `filled` names them: its rows are in the order of their hashes."""
    from transforms.common.hashing import stable_hash

    order = np.argsort(stable_hash([f"t{i:03}" for i in range(names)]))
    unit = np.array(vectors, np.float32)
    plain = Tastes.unknown(names, 1)._replace(vectors=unit, vector_of=order.astype(np.int32))
    return plain._replace(**{k: v[order] if k in ("group", "popularity") else v for k, v in changes.items()})


def test_a_track_like_one_that_is_placed_gives_way_to_another() -> None:
    """Scores 1, .9, .8 lie at 1, .5 and 0 of the window; the second is the first's twin: .5 - .6 * 1 < 0 - 0."""
    like = tastes([[1, 0], [1, 0], [0, 1]])
    assert filled(SOLO, 2, scores=[1.0, 0.9, 0.8], tastes=like, variety=VarietySettings(mmr=0.6))[0] == [0, 2]
    assert filled(SOLO, 2, scores=[1.0, 0.9, 0.8], tastes=like, variety=VarietySettings(mmr=0.4))[0] == [0, 1]


def test_each_track_of_an_artist_leaves_less_of_the_next_ones_relevance_down_to_a_floor() -> None:
    """Relevance 1, .9, .6, 0: the second track of ann counts .9 * .5 = .45 and waits for bob's .6."""
    credits = [["ann"], ["ann"], ["bob"], ["cy"]]
    scores = [1.0, 0.9, 0.6, 0.0]
    rows, _ = filled(credits, 4, scores=scores, variety=VarietySettings(artist_decay=0.5, artist_floor=0.1))
    assert rows == [0, 2, 1, 3]
    rows, _ = filled(credits, 4, scores=scores, variety=VarietySettings(artist_decay=0.5, artist_floor=0.8))
    assert rows == [0, 1, 2, 3], "the floor keeps .72 of it"


def test_a_shelf_takes_up_the_listeners_mix() -> None:
    """Half of what they play is of group 0, half of group 1; the three best are all of group 0."""
    mixed = tastes([[0.0]] * 4, 4, group=np.array([0, 0, 0, 1], np.int32), mix=np.array([[0.5, 0.5]], np.float32))
    credits, scores = [["a"], ["b"], ["c"], ["d"]], [1.0, 0.9, 0.8, 0.7]
    assert filled(credits, 2, scores=scores, tastes=mixed, variety=VarietySettings(calibration=1.0))[0] == [0, 3]
    assert filled(credits, 2, scores=scores, tastes=mixed, variety=VarietySettings(artist_decay=0.9))[0] == [0, 1]


def test_divergence_by_hand() -> None:
    """Of p = (1/2, 1/2) a shelf of two with one of each group diverges by nothing, one with two of the first by much."""
    both = divergence(np.float32([0.5, 0.5]), np.array([1, 0]), 2)
    assert both[1] == pytest.approx(0.0, abs=1e-9)
    q = (0.99 * 1 + 0.01 * 0.5, 0.01 * 0.5)
    assert both[0] == pytest.approx(sum(0.5 * np.log(0.5 / x) for x in q))
    assert (divergence(np.float32([0, 0]), np.array([0, 0]), 1) == 0).all(), "nothing known, nothing to follow"


def test_what_is_more_popular_than_the_listeners_taste_gives_way_and_what_is_not_does_not() -> None:
    plain = tastes([[0.0]] * 3, popularity=np.float32([3.0, 0.0, -3.0]), appetite=np.float32([0.5]))
    variety = VarietySettings(popularity=1.0)
    assert filled(SOLO, 3, scores=[1.0, 0.5, 0.0], tastes=plain, variety=variety)[0] == [1, 2, 0]
    open_ = plain._replace(appetite=np.float32([4.0]))
    assert filled(SOLO, 3, scores=[1.0, 0.5, 0.0], tastes=open_, variety=variety)[0] == [0, 1, 2]


@settings(max_examples=20)
@given(
    credits=st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=2, unique=True), min_size=1, max_size=12),
    window=st.integers(1, 12),
    number=st.integers(1, 8),
)
def test_weights_that_do_nothing_keep_the_order_whatever_the_window(
    credits: list[list[str]], window: int, number: int
) -> None:
    plain, _ = filled(credits, number)
    assert filled(credits, number, variety=VarietySettings(window=window))[0] == plain


def by_hand(
    credits: list[list[str]], scores: list[float], like: np.ndarray, number: int, cap: int, of: VarietySettings
) -> list[int]:
    """The greedy choice as `variety` says it, everything worked out anew at every slot."""
    placed: list[int] = []

    def counts(name: str) -> int:
        return sum(name in credits[p] for p in placed)

    def fits(row: int) -> bool:
        return row not in placed and all(counts(name) < cap for name in credits[row])

    first = [row for row in range(len(credits)) if fits(row)][: of.window]
    low, high = min(scores[r] for r in first), max(scores[r] for r in first)
    passed = 0  # what is behind it has been looked at once, and never comes back
    waiting: list[int] = []
    while len(placed) < number:
        waiting = [row for row in waiting if fits(row)]
        while len(waiting) < of.window and passed < len(credits):
            waiting += [passed] if fits(passed) else []
            passed += 1
        if not waiting:
            break

        def value(row: int) -> float:
            relevance = max(0.0, (scores[row] - low) / (high - low)) if high > low else 1.0
            most = max(counts(name) for name in credits[row])
            decayed = max(of.artist_floor, of.artist_decay**most) if of.artist_decay < 1 else 1.0
            return relevance * decayed - of.mmr * max([0.0, *(float(like[row, p]) for p in placed)])

        placed.append(max(waiting, key=value))
    return placed


@settings(max_examples=60, deadline=None)
@given(
    credits=st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=2, unique=True), min_size=1, max_size=25),
    window=st.integers(1, 12),
    number=st.integers(1, 12),
    cap=st.integers(1, 3),
    decay=st.sampled_from([1.0, 0.5]),
    mmr=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 10**6),
)
def test_the_loop_chooses_what_a_plain_greedy_choice_would(
    credits: list[list[str]], window: int, number: int, cap: int, decay: float, mmr: float, seed: int
) -> None:
    rng, n = np.random.default_rng(seed), len(credits)
    scores = np.sort(rng.random(n).astype(np.float32))[::-1].tolist()
    unit = rng.random((n, 3)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    variety = VarietySettings(window=window, mmr=mmr, artist_decay=decay, artist_floor=0.1)
    found, _ = filled(
        credits, number, caps=Caps(cap), scores=scores, tastes=tastes(unit.tolist(), names=n), variety=variety
    )
    assert found == by_hand(credits, scores, unit @ unit.T, number, cap, variety)
