"""The bench's beliefs of all arms at once are those of nights, and knowing more costs less."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.beliefs import DAYS, ENTRIES, Setting, of_beliefs, of_sums, regret
from transforms.outcomes.beliefs import Posterior, TraceSums, entries, entries_known


def test_beliefs_of_all_arms_at_once_are_those_of_each() -> None:
    setting = Setting.draw(60, 200)
    day, rng, arms = 70, np.random.default_rng(1), len(setting.asked)
    begun, sums = np.zeros((day, arms)), np.zeros((day, arms, ENTRIES))
    rows: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(arms)]
    for at in (0, 3, 40, 68, 69):
        for arm in range(arms):
            z = entries(setting.asked[arm][rng.integers(200, size=1 + arm % 3)].astype(np.float64))
            begun[at, arm], sums[at, arm] = len(z), z.sum(axis=0)
            rows[arm] += [(entries_known(min(day - at, DAYS)), one) for one in z]
    mean, variance = of_beliefs(setting.prior)(day, begun, sums)
    believe = Posterior(setting.prior)
    for arm in range(arms):
        known, traces = zip(*rows[arm], strict=True)
        one = believe.of(TraceSums.of(np.stack(traces), np.array(known)))
        assert np.allclose((mean[arm], variance[arm]), (one.mean, one.variance)), arm


def test_regret_falls_with_what_is_known() -> None:
    setting = Setting.draw(120, 400)
    found = {
        name: regret(setting, tell, a_day=30, days=80, arms=40, trials=4)[0]
        for name, tell in {
            "belief": of_beliefs(setting.prior),
            "oracle": of_sums(setting.prior, DAYS),
            "day two": of_sums(setting.prior, 1),
        }.items()
    }
    assert found["belief"] < found["day two"] and found["oracle"] < found["day two"], found
