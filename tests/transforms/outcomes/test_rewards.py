"""Rewards: what each term is worth, and an order that follows it as far as the weights say."""

from __future__ import annotations

import polars as pl
import pytest
from pydantic import ValidationError

from transforms.outcomes.rewards import SPREAD, TERMS, Reward, RewardSettings, TermWeights, column, composed, values
from transforms.shelves import columns

CANDIDATES = pl.DataFrame(
    {
        "row": [0, 0, 0, 1],
        "track_id": ["a", "b", "c", "a"],
        "ranker_score": [3.0, 2.0, 1.0, 1.0],
        "p_listened": [0.5, 0.5, 0.5, 0.1],
        "h_completed": [0.1, 0.2, 0.3, 0.4],
        "h_skipped": [0.0, 0.1, 0.0, 0.0],
    },
    schema_overrides={n: pl.Float32 for n in ("ranker_score", "p_listened", "h_completed", "h_skipped")},
)
BELIEFS = pl.DataFrame({"track_id": ["", "a"], "mean": [4.0, 10.0], "variance": [9.0, 1.0]})


def test_a_term_is_the_weighted_sum_of_its_rewards_and_the_long_term_one_what_is_believed_to_follow() -> None:
    found = values(CANDIDATES, BELIEFS, RewardSettings())
    assert found["reward_immediate"].to_list() == pytest.approx([0.1, 0.1, 0.3, 0.4])
    assert found["reward_mid_term"].null_count() == 4, "nothing predicts it"
    assert found["reward_long_term"].to_list() == pytest.approx([5.0, 2.0, 2.0, 1.0]), "unknown tracks are as usual"
    assert found["believed_spread"].to_list() == pytest.approx([0.5, 1.5, 1.5, 0.1])


def test_without_weights_the_order_keeps_its_bits() -> None:
    found = composed(values(CANDIDATES, BELIEFS, RewardSettings()), TermWeights(), ["row"], "ranker_score")
    assert found["ranker_score"].equals(CANDIDATES["ranker_score"]) and found[SPREAD].null_count() == 4
    nothing = composed(values(CANDIDATES, None, RewardSettings()), TermWeights(long_term=5), ["row"], "ranker_score")
    assert nothing["ranker_score"].to_list() == CANDIDATES["ranker_score"].to_list(), "nobody believes anything"


def test_an_order_follows_a_term_by_its_weight_in_deviations_of_the_list() -> None:
    worth = values(CANDIDATES, BELIEFS, RewardSettings())
    found = composed(worth, TermWeights(immediate=2.0, long_term=1.0), ["row"], "ranker_score")
    spread = 0.816496  # of scores 3, 2, 1
    immediate, long_term = (-0.707107, -0.707107, 1.414214), (1.414214, -0.707107, -0.707107)
    wanted = [s + spread * (2 * i + m) for s, i, m in zip((3, 2, 1), immediate, long_term, strict=True)]
    assert found["ranker_score"].to_list()[:3] == pytest.approx(wanted, abs=1e-4)
    assert found["ranker_score"][3] == 1.0, "a list of one has no deviations"
    assert found[SPREAD].to_list()[:3] == pytest.approx([spread * v / 1.414214 for v in (0.5, 1.5, 1.5)], abs=1e-4)


def test_shelves_know_the_columns_of_rewards() -> None:
    assert columns.SPREAD == SPREAD and {column(term) for term in TERMS} <= set(columns.OF_RANKER)


def test_a_reward_says_what_it_is_of() -> None:
    for wrong in ({"term": "long_term"}, {"term": "immediate"}, {"term": "mid_term", "label": "saved", "days": 7}):
        with pytest.raises(ValidationError, match="long_term reward has `days`"):
            Reward.model_validate(wrong)
    with pytest.raises(ValidationError, match="at most one long_term"):
        RewardSettings.model_validate(
            {"rewards": {"a": {"term": "long_term", "days": 9}, "b": {"term": "long_term", "days": 8}}}
        )
    assert RewardSettings().labels == ("adopted", "completed", "returned", "saved", "skipped")
