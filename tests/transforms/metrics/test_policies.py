"""What open slots earned under each policy: by hand, and only from slots that were drawn and shown."""

from __future__ import annotations

import polars as pl
import pytest

from transforms.metrics.policies import PolicySettings, missing, policy_rows, weighed_slots

BEST = {"best": PolicySettings(tau=0.0)}


def draw(who: str, drawn: str, p: float, shelf: str = "d") -> dict:
    """A slot whose pool is `a` (score 2, probability 0.8) and `b` (1, 0.2)."""
    pool = [
        {"track_id": "a", "score": 2.0, "probability": 0.8},
        {"track_id": "b", "score": None, "probability": 0.2},
    ]
    return {"listener_id": who, "shelf_id": shelf, "slot": 1, "track_id": drawn, "propensity": p, "pool": pool}


DRAWS = pl.DataFrame([draw("ann", "a", 0.8), draw("bob", "b", 0.2), draw("cat", "a", 0.8), draw("dan", "a", 0.8, "e")])
SHOWN = pl.DataFrame(
    {
        "listener_id": ["ann", "bob", "dan"],
        "shelf_id": ["d", "d", "e"],
        "track_id": ["a", "b", "a"],
        "shown": [True, True, True],
        "listened": [True, True, False],
        "attributed": [True, False, False],
        "saved": pl.Series([None, None, None], dtype=pl.Boolean),
    }
)


def value(rows: list[dict], model: str, segment: str, metric: str) -> float:
    (found,) = [r["value"] for r in rows if (r["model"], r["segment"], r["metric"]) == (model, segment, metric)]
    return found


def test_a_policy_is_weighed_on_the_drawn_and_shown_slots_alone() -> None:
    slots = weighed_slots(DRAWS, SHOWN, BEST)
    assert slots["listener_id"].to_list() == ["ann", "bob", "dan"], "cat's slot was never shown"
    assert slots["target_best"].to_list() == [1.0, 0.0, 1.0], "a score nobody knows is the pool's lowest"
    rows = policy_rows(slots, BEST, least=0)
    assert value(rows, "policy:logged", "all", "mean listened") == pytest.approx(2 / 3)
    assert value(rows, "policy:logged", "shelf d", "mean attributed") == 0.5
    # weights of `best` on shelf d: 1/0.8 for ann's a, 0 for bob's b
    assert value(rows, "policy:best", "shelf d", "ips listened") == pytest.approx(1.25 / 2)
    assert value(rows, "policy:best", "shelf d", "snips listened") == 1.0
    assert value(rows, "policy:best", "shelf d", "effective slots") == pytest.approx(1.0)
    assert value(rows, "policy:best", "shelf e", "snips listened") == 0.0
    assert not [r for r in rows if "saved" in r["metric"]], "a log without feedback cannot know saves"
    told = [r for r in rows if "ips" in r["metric"]]
    assert all(r["low"] <= r["value"] <= r["high"] for r in told if r["segment"] == "all")
    assert all(r["low"] is None for r in told if r["segment"] == "shelf e"), "one listener tells of no spread"


def test_a_reward_model_makes_the_estimate_doubly_robust() -> None:
    predicted = pl.DataFrame(
        {"listener_id": ["ann", "ann", "bob"], "track_id": ["a", "b", "b"], "p_listened": [0.6, 0.1, 0.5]}
    )
    slots = weighed_slots(DRAWS.head(2), SHOWN, BEST, predicted)
    assert slots["expected_best"].to_list() == [0.6, 0.0], "bob's a is unknown to the model and counts as 0"
    rows = policy_rows(slots, BEST, least=0)
    assert value(rows, "policy:best", "all", "dr listened") == pytest.approx(((0.6 + 1.25 * 0.4) + 0.0) / 2)


def test_a_policy_whose_draws_were_hardly_made_gets_no_estimate_only_its_evidence() -> None:
    drawn_worst = pl.DataFrame([draw(who, "b", 0.2) for who in ("ann", "bob", "cat", "dan", "eve", "fay")])
    shown = drawn_worst.select("listener_id", "shelf_id", "track_id").with_columns(
        listened=pl.lit(True), attributed=pl.lit(False), saved=pl.lit(None, dtype=pl.Boolean), shown=pl.lit(True)
    )
    predicted = shown.select("listener_id", "track_id", p_listened=pl.lit(0.5))
    policies = BEST | {"uniform": PolicySettings(tau=1.0, epsilon=1.0)}
    rows = policy_rows(weighed_slots(drawn_worst, shown, policies, predicted), policies)
    of_best = {r["metric"] for r in rows if r["model"] == "policy:best"}
    assert of_best == {"effective slots", "effective shelves"}, (
        "the best was never drawn: not even the reward model may speak"
    )
    assert value(rows, "policy:best", "all", "effective slots") == 0.0
    assert value(rows, "policy:logged", "all", "mean listened") == 1.0
    assert value(rows, "policy:uniform", "all", "snips listened") == 1.0, "six slots' worth are enough"


def test_without_a_shown_slot_there_is_no_number_but_a_reason() -> None:
    slots = weighed_slots(DRAWS, SHOWN.clear(), BEST)
    assert policy_rows(slots, BEST) == []
    assert "no impressions" in (missing(0, 0) or "") and "none of them" in (missing(5, 0) or "")
    assert missing(5, 1) is None
