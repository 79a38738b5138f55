"""What 14 days imply for 63: by hand, right where the early days decide, and its error told where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.transforms.experiments.test_readout import LISTEN, at, play
from transforms.experiments.implied import IMPLIED, LongTerm, long_rows, long_term
from transforms.experiments.readout import readout
from transforms.experiments.settings import Experiment, SurrogateSettings
from transforms.experiments.surrogate import BEFORE, EARLY, LONG, Index, Span, added, groups, products, seen, vectors

SETTINGS = SurrogateSettings()


def test_a_listeners_days_by_hand() -> None:
    span = Span(days=4, horizon=8, before=3, first=date(2026, 1, 1))
    listens = pl.DataFrame(
        [
            play("ann", at(8)),  # before, and a day that is too early
            play("ann", at(6)),
            play("ann", at(10), "home", skipped=True, ms=3_000),  # skipped at once: no play that counts
            play("ann", at(10, 13), "home"),
            play("ann", at(12)),
            play("ann", at(12, 13)),
            play("ann", at(16)),
            play("ann", at(18)),  # after the long term
        ],
        schema=LISTEN,
    )
    begun = pl.DataFrame({"listener_id": ["ann", "bob"], "since": [date(2026, 1, 10)] * 2})
    saved = pl.DataFrame({"listener_id": ["ann"], "kind": ["save"], "target": ["t"], "at": [at(11)]})
    ann, bob = vectors(begun, listens, saved, span)
    named = dict(zip(("one", *EARLY, *BEFORE, *(f"long {m}" for m in LONG)), ann, strict=True))
    assert (named["plays"], named["active_days"], named["late_days"]) == (3, 2, 1)
    assert (named["plays_attributed"], named["saves"], named["skips"]) == (1, 1, 1)
    assert (named["before_plays"], named["before_active_days"]) == (1, 1)
    assert (named["long active_days"], named["long plays"]) == (3, 4)
    assert bob.tolist() == [1.0] + [0.0] * (len(bob) - 1), "who did nothing counts as nothing"


def test_history_is_over_when_the_first_arms_are_dealt_and_a_young_log_has_none() -> None:
    starts = date(2026, 6, 1)
    span = Span.of(starts, date(2026, 1, 1), 14, 63, 28)
    assert span.first is not None and span.since == span.first - timedelta(28)
    last = span.first + timedelta(13) + timedelta(62)  # of who begins on the last day: the last of 63 days
    assert last == starts
    assert Span.of(starts, date(2026, 3, 10), 14, 63, 28).before == 8, "as much of habit as the log holds"
    assert Span.of(starts, date(2026, 4, 1), 14, 63, 28).first is None


def test_any_cut_into_chunks_gives_the_same_sums() -> None:
    span, rng = Span(4, 8, 3, date(2026, 1, 1)), np.random.default_rng(1)
    people = [f"l{n}" for n in range(40)]
    listens = pl.DataFrame(
        [play(who, at(int(d))) for who in people for d in rng.integers(1, 28, size=12)], schema=LISTEN
    )
    exposed = pl.DataFrame({"listener_id": people}).with_columns(
        arm=pl.Series(["control", "new"] * 20), first_exposed_on=pl.lit(date(2026, 1, 17))
    )

    def sums(parts: list[list[str]]) -> dict[str, np.ndarray]:
        found: dict[str, list[np.ndarray]] = {}
        for part in parts:
            mine = pl.col("listener_id").is_in(part)
            for key, one in groups(exposed.filter(mine), listens.filter(mine), None, span, date(2026, 1, 27)):
                found.setdefault(key, []).append(one)
        return {key: added(ones) for key, ones in found.items()}

    one, many = sums([people]), sums([people[:7], people[7:29], people[29:]])
    assert set(one) == {"history", "early control", "early new", "whole control", "whole new"}
    assert all(np.array_equal(one[key], many[key]) for key in one)
    assert one["history"][0, 0] == sum(
        listens.filter(pl.col("listener_id") == who)["started_at"].dt.day().is_between(1, 4).any() for who in people
    )


def arm(rng: np.random.Generator, n: int, effect: float, through_early: bool = True) -> np.ndarray:
    """v of simulated listeners: early days move with the effect, and the long term with the early days or in spite of them."""
    habit = rng.gamma(2.0, 2.0, n)
    early = rng.binomial(14, np.clip(0.15 + 0.05 * habit + effect, 0, 1)).astype(float)
    late = rng.binomial(early.astype(int), 0.5).astype(float)
    plays = rng.poisson(4 * early).astype(float)
    decides = early if through_early else early - 14 * effect
    long = rng.binomial(49, np.clip(0.02 + 0.04 * decides + 0.01 * habit, 0, 1)) + early
    columns = [np.ones(n), plays, early, late, 0.2 * plays, np.zeros(n), np.zeros(n), 4 * habit, habit, long, 4 * long]
    return np.round(np.column_stack(columns))


TRUE = 14 * 0.06 * (1 + 49 * 0.04)  # days more in 63, of an effect of .06 a day in 14


def test_where_the_early_days_decide_the_interval_holds_the_effect_of_63_days() -> None:
    inside, errors, worlds = 0, [], 150
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        index = Index.fit(products(arm(rng, 800, 0.0)))
        control, treatment = (products(arm(rng, 300, e)) for e in (0.0, 0.06))
        base, found = index.implied(control, treatment, 0)
        inside += found.low <= TRUE <= found.high
        errors.append(found.value - TRUE)
        assert base == pytest.approx(seen(control, treatment, 0)[0], rel=0.1)
    assert inside / worlds >= 0.9, "95%, of 150 worlds"
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(worlds) + 0.02 * TRUE


def long_term_of(through_early: bool, starts: str = "2026-01-10") -> dict[str, list[LongTerm]]:
    """Three experiments: two seen to their end, one that has only begun."""
    out: list[tuple[Experiment, Mapping[str, np.ndarray]]] = []
    for n, name in enumerate(("first", "second", "young")):
        rng = np.random.default_rng([7, n])
        sums = {"history": products(arm(rng, 3000, 0.0))}
        for side, effect in (("control", 0.0), ("treatment", 0.06)):
            v = products(arm(rng, 2000, effect, through_early))
            sums |= {f"early {side}": v} | ({} if name == "young" else {f"whole {side}": v})
        out.append((Experiment.model_validate({"name": name, "starts": starts}), sums))
    return long_term(out, SETTINGS)


@pytest.mark.parametrize("through_early", [True, False])
def test_the_error_is_that_of_experiments_seen_to_their_end(through_early: bool) -> None:
    found = long_term_of(through_early)
    assert [x.metric for x in found["young"]] == ["active_days_63", "plays_63"]
    implied = found["young"][0]
    seen_of = {name: {x.metric: x for x in found[name]}["active_days_63_seen"] for name in ("first", "second")}
    off = np.array([x.off for x in seen_of.values()], dtype=float)
    assert f"{np.sqrt((off**2).mean()):.4g} (root mean square" in implied.why and implied.why.startswith("of 2 arms")
    truth = TRUE if through_early else 14 * 0.06
    assert all(x.difference.low <= truth <= x.difference.high for x in seen_of.values())
    if through_early:
        assert np.abs(off).max() < 0.25 * TRUE and implied.difference.low <= TRUE <= implied.difference.high
    else:
        assert off.min() > 0.25 * TRUE, "an effect that does not last is implied to last, and the error says so"
    assert "implied" in seen_of["first"].why


def test_without_history_or_listeners_nothing_is_implied_and_without_an_end_no_error_is_known() -> None:
    one = Experiment(name="e", starts=date(2026, 1, 10))
    rng = np.random.default_rng(1)
    sides = {f"early {side}": products(arm(rng, 300, 0.0)) for side in ("control", "treatment")}
    whole: dict[str, Any] = {"history": products(arm(rng, 300, 0.0)), **sides}
    assert long_term([(one, sides)], SETTINGS) == {"e": []}
    few = {**whole, "early treatment": products(arm(rng, 50, 0.0))}
    assert long_term([(one, few)], SETTINGS) == {"e": []}, "as few as decide nothing"
    assert long_term([(one, whole)], SurrogateSettings(horizon=None)) == {}
    lines = long_term([(one, whole)], SETTINGS)["e"]
    assert {x.role for x in lines} == {IMPLIED} and all("nobody knows" in x.why for x in lines)
    (row, _) = long_rows(readout(one, {}), lines)
    assert row["metric"] == "active_days_63" and row["decision"] == "not yet" and row["explained"] > 0.5
    with pytest.raises(ValueError, match=r"horizon \(10\) must be more days than days \(14\)"):
        SurrogateSettings(horizon=10)
