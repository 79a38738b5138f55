"""Settings of rewards that contradict each other are refused when they are read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipelines.runtime.config import Settings

THOMPSON = {"exploration": {"policy": "thompson"}}


def test_thompson_draws_need_a_long_term_reward_that_counts() -> None:
    with pytest.raises(ValidationError, match=r"set rewards\.weights\.long_term"):
        Settings.model_validate({"shelves": THOMPSON})
    arms = {"control": 1, "new": {"weight": 1, "overrides": {"shelves": THOMPSON}}}
    one = {"name": "draws", "starts": "2026-01-10", "arms": arms, "success": ["active_days"]}
    with pytest.raises(ValidationError, match=r"set rewards\.weights\.long_term"):
        Settings.model_validate({"experiments": {"experiments": [one]}})
    found = Settings.model_validate({"shelves": THOMPSON, "rewards": {"weights": {"long_term": 0.5}}}).shelves
    policies = {s.shelf_id: found.exploration_of(s).policy for s in found.shelves}
    assert policies["discover-weekly"] == "thompson"
    others = [s for s in found.shelves if set(s.order) != {"ranker_score"}]
    assert others and {policies[s.shelf_id] for s in others} == {"softmax"}, "only the ranker's order has that unit"
