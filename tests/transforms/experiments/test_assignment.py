"""Who is in which arm: shares, layers that mix, holdouts, and a running experiment that nobody may deal anew."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from transforms.common.errors import UserError
from transforms.experiments.assignment import arms, assign, overrides, refuse_changes, registered
from transforms.experiments.settings import Experiment, ExperimentsSettings

DAY = date(2026, 1, 10)
PEOPLE = pl.Series([f"listener-{n}" for n in range(20_000)])


def experiment(name: str, **more: Any) -> Experiment:
    return Experiment.model_validate({"name": name, "starts": DAY, **more})


def settings(*experiments: Experiment, holdout: float = 0.0) -> ExperimentsSettings:
    return ExperimentsSettings(experiments=experiments, holdout=holdout)


def shares(dealt: pl.DataFrame) -> dict[str, float]:
    return {name: n / len(PEOPLE) for name, n in dealt.group_by("experiment").len().iter_rows()}


def test_arms_follow_their_weights_and_never_change() -> None:
    one = experiment("tau", arms={"control": 3, "warm": 1})
    got = arms(PEOPLE, one)
    assert (got == "warm").mean() == pytest.approx(0.25, abs=0.02)
    assert arms(PEOPLE[:10], one).to_list() == got[:10].to_list()
    assert arms(PEOPLE, experiment("tau", arms={"control": 3, "warm": 1}, salt="again")).to_list() != got.to_list()


def test_experiments_of_a_layer_share_nobody_and_those_of_two_mix_evenly() -> None:
    a, b = experiment("a", share=0.5), experiment("b", share=0.5)
    other = experiment("other", layer="ranking", arms={"control": 1, "new": 1})
    dealt = assign(PEOPLE, settings(a, b, other), DAY)
    assert shares(dealt) == {"a": pytest.approx(0.5, abs=0.02), "b": pytest.approx(0.5, abs=0.02), "other": 1.0}
    in_a, in_b = (set(dealt.filter(experiment=name)["listener_id"]) for name in ("a", "b"))
    assert not in_a & in_b
    both = dealt.filter(experiment="a").join(dealt.filter(experiment="other"), on="listener_id")
    crossed = both.group_by("arm", "arm_right").len()["len"] / both.height
    assert crossed.min() > 0.23 and crossed.max() < 0.27  # type: ignore[operator]


def test_held_out_listeners_are_in_no_experiment_and_before_its_start_nobody_is() -> None:
    dealt = assign(PEOPLE, settings(experiment("a"), holdout=0.1), DAY)
    assert shares(dealt)["a"] == pytest.approx(0.9, abs=0.01)
    assert assign(PEOPLE, settings(experiment("a")), date(2026, 1, 9)).is_empty()
    assert assign(PEOPLE, settings(experiment("a", ends=DAY)), date(2026, 1, 11)).is_empty()


def test_a_closed_experiment_gives_its_place_to_a_later_one_and_a_full_layer_is_refused() -> None:
    closed, later = experiment("closed", ends=date(2026, 1, 20)), experiment("later", starts=date(2026, 1, 21))
    assert settings(closed, later).places() == {"closed": 0.0, "later": 0.0}
    with pytest.raises(ValidationError, match="experiment later finds no room in layer all"):
        settings(experiment("closed", share=0.6), experiment("later", share=0.5))
    with pytest.raises(ValidationError, match="distinct names, found twice: a"):
        settings(experiment("a"), experiment("a", layer="other"))


def test_listeners_are_grouped_by_what_their_arms_change() -> None:
    one = experiment(
        "a", arms={"control": 1, "small": {"weight": 1, "overrides": {"shelves": {"on-repeat": {"size": 5}}}}}
    )
    two = experiment("b", layer="two", arms={"control": 1, "warm": {"weight": 1, "overrides": {"shelves": {"x": 1}}}})
    both = settings(one, two)
    groups = overrides(assign(PEOPLE[:400], both, DAY), both)
    assert [len(changes) for changes, _ in groups] == [1, 2, 1]
    assert 70 < len(groups[1][1]) < 130, "a quarter has both"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"arms": {"control": 1, "treatment": 3}}, "weights"),
        ({"salt": "x"}, "salt"),
        ({"share": 0.5}, "share"),
        ({"layer": "x"}, "layer"),
        ({"starts": date(2026, 1, 8)}, "start"),
        ({"arms": {"control": 1, "treatment": {"weight": 1, "overrides": {"shelves": {}}}}}, "arms' overrides"),
    ],
)
def test_an_experiment_that_runs_is_not_dealt_anew(changed: dict[str, Any], named: str) -> None:
    before = registered(settings(experiment("e")), DAY)
    refuse_changes(before, settings(experiment("e", arms={"control": 2, "treatment": 2})), date(2026, 1, 11))
    with pytest.raises(UserError, match=f"experiment e has been running since 2026-01-10 and its {named}.*a new name"):
        refuse_changes(before, settings(experiment("e", **changed)), date(2026, 1, 11))
    refuse_changes(before, settings(experiment("e2", **changed)), date(2026, 1, 11))
    with pytest.raises(UserError, match="holdout"):
        refuse_changes(before, settings(experiment("e"), holdout=0.1), date(2026, 1, 11))
