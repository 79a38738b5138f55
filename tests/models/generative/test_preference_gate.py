"""The gate: its figures as reckoned by hand, and that it lets through what is better and refuses what is worse or unknown."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from models.generative.decoder import Decoder, fit
from models.generative.preference import pairs_of, scores_of, tune
from models.generative.preference_gate import (
    GUARDS,
    SUCCESS,
    Figure,
    Verdict,
    decided,
    divergence,
    found_of,
    held_out,
    judged,
    numbers,
    of_shown,
)
from models.settings import PreferenceSettings
from tests.models.generative.test_decoder import QUICK, N, ids_of, round_the_clock, vectors
from tests.models.generative.test_preference import SETTINGS, liked
from transforms.metrics.intervals import Interval

PEOPLE = 80
GATE = SETTINGS.model_copy(update={"next": 14, "best": 5, "least": 20, "tolerance": 0.5})


@pytest.fixture(scope="module")
def reference() -> Decoder:
    return fit(round_the_clock(PEOPLE, last=N - 2), ids_of(vectors()), vectors(), QUICK, seed=1)


def test_figures_of_a_list_are_those_reckoned_by_hand() -> None:
    recall, ndcg = found_of(np.array([7, 3, 9]), np.array([3, 4]))
    assert recall == 0.5 and ndcg == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))
    assert divergence(np.array([0, 0, 1, 1, -1]), np.array([0, 1]), 2) == pytest.approx(0, abs=1e-12)
    mixed = 0.99 * 0 + 0.01 * 0.5
    assert divergence(np.array([0, 1]), np.array([0, 0]), 2) == pytest.approx(
        0.5 * math.log(0.5 / (0.99 + 0.01 * 0.5)) + 0.5 * math.log(0.5 / mixed)
    )
    assert math.isnan(divergence(np.array([-1]), np.array([0]), 2))


def test_accuracy_weighs_by_margin_and_leaves_out_what_was_not_looked_at(reference: Decoder) -> None:
    """Tracks of rewards 3, 1, 0: pairs of margin 2, 3 and 1, of which the order 1 before 3 before 0 has two right."""
    shown = replace(liked(1), reward=np.float32([3, 1, 0]), played=np.ones(3, bool), looked_at=np.ones(3, bool))
    order = np.argsort(np.argsort(scores_of(reference, shown)))  # 2 = first
    right = sum(margin for a, b, margin in ((0, 1, 2.0), (0, 2, 3.0), (1, 2, 1.0)) if order[a] > order[b])
    found = of_shown(reference, shown, shown.owner, GATE)
    assert found[SUCCESS] == pytest.approx([right / 6])
    gains, places = np.float64([3, 1, 0]), np.argsort(-order)
    discount = 1 / np.log2(np.arange(2, 5))
    assert found["reward_ndcg"] == pytest.approx([(gains[places] * discount).sum() / (gains * discount).sum()])
    unseen = replace(shown, looked_at=np.array([True, False, False]), played=np.array([True, False, False]))
    assert all(np.isnan(values).all() for values in of_shown(reference, unseen, unseen.owner, GATE).values())


def verdict_of(reference: Decoder, tuned: Decoder, gate: PreferenceSettings = GATE) -> Verdict:
    listens = round_the_clock(PEOPLE, last=N - 2)
    return judged(reference, tuned, liked(PEOPLE), listens, np.arange(PEOPLE, dtype=np.uint64), vectors(), gate, 1)


def tuned_to(reference: Decoder, inverted: bool) -> Decoder:
    shown = liked(PEOPLE)
    if inverted:
        shown = replace(
            shown,
            reward=np.tile(np.float32([0, 1, 0]), PEOPLE),
            played=np.tile([False, True, False], PEOPLE),
            looked_at=np.tile([True, True, False], PEOPLE),
        )
    return tune(reference, shown, pairs_of(shown, scores_of(reference, shown), GATE), GATE, seed=1)


def test_what_is_better_ships_and_what_is_worse_or_the_same_does_not(reference: Decoder) -> None:
    better = verdict_of(reference, tuned_to(reference, inverted=False))
    assert better.figures[SUCCESS].difference.low > 0 and better.ships, better.failed
    worse = verdict_of(reference, tuned_to(reference, inverted=True))
    assert not worse.ships and SUCCESS in worse.failed and worse.figures[SUCCESS].difference.high < 0
    same = verdict_of(reference, reference)
    assert same.failed == (SUCCESS,), "equal in all that must not be lost, and no better"
    noted = numbers(worse)
    assert noted["preference_ships"] == 0 and noted["preference_accuracy_failed"] == 1
    assert noted["preference_accuracy_tuned"] < noted["preference_accuracy_reference"]


def test_what_orders_better_and_forgets_what_comes_next_is_refused(reference: Decoder) -> None:
    """The right pairs, bought by tracks' vectors that know nothing else any more."""
    shown, items = liked(PEOPLE), reference.items.copy()
    items[:, :-1], items[:, -1] = 0, 0
    items[[3, 9], -1] = [1, -1]
    broken = replace(reference, items=items)
    assert (scores_of(broken, shown)[0::3] > scores_of(broken, shown)[1::3]).all()
    found = verdict_of(reference, broken, GATE.model_copy(update={"next": 3, "tolerance": 0.02}))
    assert not found.ships and {"recall", "ndcg"} & set(found.failed) and SUCCESS not in found.failed


def figure(low: float, n: int = 100, reference: float = 0.5) -> Figure:
    return Figure(reference, reference + low, Interval(low, low, low, n))


def test_the_rule_asks_for_more_than_nothing_and_for_listeners_enough() -> None:
    own = PreferenceSettings(tolerance=0.02, least=20)
    even = {name: figure(0.0) for name in GUARDS}
    assert decided({SUCCESS: figure(0.01), **even}, own).ships
    assert decided({SUCCESS: figure(0.0), **even}, own).failed == (SUCCESS,)
    assert decided({SUCCESS: figure(0.01), **even, "recall": figure(-0.009)}, own).ships, "2% of .5 is .01"
    assert decided({SUCCESS: figure(0.01), **even, "recall": figure(-0.011)}, own).failed == ("recall",)
    below = {"calibration": figure(-0.011, reference=-0.5)}  # a divergence, with its sign turned
    assert decided({SUCCESS: figure(0.01), **even, **below}, own).failed == ("calibration",)
    assert decided({SUCCESS: figure(0.01, n=19), **even}, own).failed == (SUCCESS,)
    unknown = {"distance": figure(float("nan"), n=0)}
    assert decided({SUCCESS: figure(0.01), **even, **unknown}, own).failed == ("distance",)


def test_who_is_held_out_is_a_matter_of_hash() -> None:
    owner = np.arange(1000, dtype=np.uint64) + np.uint64(2**63)
    out = held_out(owner, 0.3, seed=1)
    assert 240 < out.sum() < 360 and np.array_equal(held_out(owner[::-1], 0.3, seed=1), out[::-1])
    assert not np.array_equal(held_out(owner, 0.3, seed=2), out)
