"""A readout by hand and the decisions it comes to: a better arm, a worse one, an A/A, listeners dealt wrongly, too few."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from transforms.experiments.metrics import METRICS, counted, moments, per_listener
from transforms.experiments.moments import Moments
from transforms.experiments.planning import detectable, needed, shared_alpha, shared_power
from transforms.experiments.readout import as_rows, readout
from transforms.experiments.settings import Experiment

DAY = date(2026, 1, 10)


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def play(
    who: str, when: datetime, shelf: str | None = None, skipped: bool | None = None, ms: int = 200_000
) -> dict[str, Any]:
    how = {"ms_played": ms, "skipped": skipped, "completed": None}
    return {"listener_id": who, "track_id": "t", "started_at": when, "shelf_id": shelf, **how}


LISTEN = {
    "listener_id": pl.String,
    "track_id": pl.String,
    "started_at": pl.Datetime("us", "UTC"),
    "shelf_id": pl.String,
}
LISTEN |= {"ms_played": pl.Int32, "skipped": pl.Boolean, "completed": pl.Boolean}


def test_what_a_listener_did_since_and_before_by_hand() -> None:
    listens = pl.DataFrame(
        [
            play("ann", at(8)),
            play("ann", at(10), "discover-weekly", skipped=False),
            play("ann", at(10, 13), "discover-weekly", skipped=True, ms=3_000),
            play("ann", at(12)),
            play("ann", at(13)),  # after the last day
            play("bob", at(1)),  # before the days before
        ],
        schema=LISTEN,
    )
    exposed = pl.DataFrame(
        {"listener_id": ["ann", "bob"], "experiment": "e", "arm": ["control", "new"], "first_exposed_on": [DAY, DAY]}
    )
    saved = pl.DataFrame({"listener_id": ["ann"], "kind": ["save"], "target": ["t"], "at": [at(11)]})
    got = per_listener(exposed, listens, saved, date(2026, 1, 12), before=3)
    ann, bob = got.row(0, named=True), got.row(1, named=True)
    assert (ann["plays"], ann["active_days"], ann["plays_attributed"], ann["saves"]) == (2, 2, 1, 1)
    assert (ann["skips"], ann["known"], ann["attributed_skips"], ann["before_plays"]) == (1, 2, 1, 1)
    assert (bob["plays"], bob["before_plays"], bob["saves"]) == (0, 0, 0), "who did nothing counts as nothing"
    sums = moments(got)
    assert sums["e", "control", "plays"].n == 1 and sums["e", "control", "skip_share"].ratio == 0.5
    assert counted(listens.clear(), None).is_empty() and set(METRICS) == {m for *_, m in sums}


def sums(
    rng: np.random.Generator, effects: dict[str, float], n: dict[str, int], days: float = 0.1
) -> dict[tuple[str, str], Moments]:
    """Moments of arms whose metrics have a habit (the covariate) and an effect, of which active_days have a share."""
    out = {}
    for arm, effect in effects.items():
        habit = rng.gamma(2.0, 2.0, n[arm])
        for metric in METRICS:
            scale = days if metric == "active_days" else 1.0
            values = habit + rng.normal(0, 1.5, n[arm]) + 10 + effect * scale
            out[arm, metric] = Moments.of(values, x=habit, d=np.full(n[arm], 20.0))
    return out


def read(seed: int, effect: float, n: tuple[int, int] = (2000, 2000), days: float = 0.1, **more: Any) -> Any:
    one = Experiment.model_validate({"name": "e", "starts": DAY, "look": "once", **more})
    counts = {"control": n[0], "treatment": n[1]}
    return readout(one, sums(np.random.default_rng(seed), {"control": 0.0, "treatment": effect}, counts, days))


def test_the_right_decision_on_a_better_arm_a_worse_arm_and_an_a_a() -> None:
    for look in ("once", "daily"):
        assert read(1, 0.6, look=look).decisions["treatment"][0] == "ship", look
        assert read(1, -0.6, look=look).decisions["treatment"] == ("do not ship", "active_days got worse") or (
            read(1, -0.6, look=look).decisions["treatment"][0] == "do not ship"
        ), look
    shipped = [read(seed, 0.0).decisions["treatment"][0] == "ship" for seed in range(200)]
    assert np.mean(shipped) <= 0.06, "an A/A is shipped no more often than alpha"


def test_a_guardrail_that_is_not_shown_within_its_margin_holds_a_good_arm_back() -> None:
    decision, why = read(1, 0.6, days=0.0, guardrails={"active_days": 0.0001}).decisions["treatment"]
    assert decision == "not yet" and "active_days is not shown to be within its margin" in why


def test_listeners_dealt_otherwise_than_planned_make_everything_invalid_and_few_decide_nothing() -> None:
    decision, why = read(1, 5.0, n=(2000, 1500)).decisions["treatment"]
    assert decision == "invalid" and "control 2,000, treatment 1,500" in why
    decision, why = read(1, 5.0, n=(50, 50)).decisions["treatment"]
    assert decision == "not yet" and "50 exposed listeners, and 100 are asked for" in why


def test_habit_takes_noise_out_of_the_difference() -> None:
    lines = {line.metric: line for line in read(3, 0.3).lines}
    assert lines["plays_attributed"].explained > 0.5 and lines["skip_share"].explained == 0.0
    assert lines["plays_attributed"].role == "success" and lines["active_days"].role == "guardrail"
    rows = as_rows(read(3, 0.3))
    assert {row["metric"] for row in rows} == set(METRICS) and rows[0]["experiment"] == "e"


def test_a_plan_by_hand_and_that_so_many_listeners_find_it() -> None:
    assert needed(mean=10.0, variance=100.0, change=0.05) == 6280
    assert needed(mean=10.0, variance=100.0, change=0.05, correlation=0.8) == pytest.approx(6280 * 0.36, rel=0.001)
    assert detectable(10.0, 100.0, 6280) == pytest.approx(0.05, rel=1e-3)
    assert shared_alpha(0.05, 2, 2) == 0.0125 and shared_power(0.8, 1) == pytest.approx(0.9)
    rng, found = np.random.default_rng(4), 0
    n = needed(mean=4.0, variance=8.0, change=0.1)
    for _ in range(300):
        a, b = rng.gamma(2.0, 2.0, n), rng.gamma(2.0, 2.0, n) + 0.4
        se = np.sqrt(a.var() / n + b.var() / n)
        found += abs(b.mean() - a.mean()) / se > 1.96
    assert 0.74 <= found / 300 <= 0.87
