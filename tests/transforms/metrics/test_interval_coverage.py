"""Intervals of counterfactual estimates and of experiments hold the truth of small worlds, and peeking keeps the level."""

from __future__ import annotations

from tests.benchmarks.coverage import experiments, slots_covered

WORLDS = 40  # 0.95 of them, give or take 0.034; the benchmark runs hundreds


def test_intervals_of_policies_hold_the_truth() -> None:
    found = slots_covered(WORLDS, 120, seed=2)
    assert len(found) == 12 and min(found.values()) >= 0.8, found


def test_readouts_hold_the_truth_and_an_a_a_test_keeps_its_level_under_daily_peeking() -> None:
    found = experiments(WORLDS, 200, seed=2)
    assert min(share for name, share in found.items() if "covered" in name) >= 0.8, found
    assert found["always valid, A/A, rejected on any of 14 days"] <= 0.1
    assert found["t test looked at daily, A/A, rejected on any of 14 days"] > 0.05, "what the sequence guards against"
