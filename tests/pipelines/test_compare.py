"""`nightshelf compare`: nights, rankers and settings, paired by listener and measured as `evaluate` measures."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.cli.compare import Against, compared, lines_of
from pipelines.cli.main import cli
from pipelines.evaluate import evaluate
from pipelines.runtime.config import Settings
from pipelines.runtime.settings_file import to_yaml
from tests.pipelines.world import LIGHT, NIGHT, World
from transforms.common.errors import UserError


def asked(light: World, **what: object) -> pl.DataFrame:
    return compared(light.warehouse.url, NIGHT, LIGHT, Against(**what))[0]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def measured(light: World, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """What `evaluate` says of everybody, in a copy: the world is other tests' too."""
    warehouse = World.copy(light.made, tmp_path_factory.mktemp("measured") / "w")
    evaluate(warehouse.url, NIGHT, 7, settings=LIGHT)
    return warehouse.read("evaluation", NIGHT).filter(segment="all")


def test_a_night_beside_itself_differs_in_nothing_and_its_figures_are_those_of_the_evaluation(
    light: World, measured: pl.DataFrame
) -> None:
    found = asked(light, with_warehouse=light.warehouse.url)
    assert found["difference"].abs().max() == 0 and {"ranker", "blend", "shelf:discover-weekly"} <= set(found["model"])
    both = found.join(measured.filter(pl.col("versus").is_null()), on=["model", "target", "metric"])
    assert both.height == found.height
    assert both["a"].to_list() == pytest.approx(both["value"].to_list()) and (both["n"] == both["n_right"]).all()


def test_a_ranker_beside_the_untrained_blend_differs_as_the_evaluation_says(
    light: World, measured: pl.DataFrame
) -> None:
    found = asked(light, ranker_of="blend").filter(target="unheard", metric="ndcg@50").row(0, named=True)
    versus = measured.filter(target="unheard", metric="ndcg@50", model="ranker", versus="blend").row(0, named=True)
    assert found["difference"] == pytest.approx(versus["value"], abs=1e-6)
    assert (found["low"], found["high"]) == pytest.approx((versus["low"], versus["high"]), abs=1e-6)


def test_other_settings_make_other_shelves_of_the_same_models(light: World, tmp_path: Path) -> None:
    same, tight = tmp_path / "same.yaml", tmp_path / "tight.yaml"
    same.write_text(to_yaml(LIGHT))
    tight.write_text(to_yaml(_with_few_candidates()))
    kept = asked(light, with_config=str(same), listeners=20)
    assert kept["difference"].abs().max() == pytest.approx(0, abs=1e-9) and 0 < kept["n"].max() <= 60
    cut = asked(light, with_config=str(tight), listeners=20).filter(
        model="ranker", target="unheard", metric="recall@50"
    )
    assert cut["b"][0] < cut["a"][0]


def _with_few_candidates() -> Settings:
    candidates = LIGHT.candidates.model_copy(update={"per_source": 1})
    return LIGHT.model_copy(update={"candidates": candidates})


def test_what_cannot_be_compared_is_refused_with_what_to_do(light: World, tmp_path: Path) -> None:
    other = tmp_path / "models.yaml"
    als = LIGHT.models.als.model_copy(update={"factors": LIGHT.models.als.factors + 1})
    other.write_text(to_yaml(LIGHT.model_copy(update={"models": LIGHT.models.model_copy(update={"als": als})})))
    later = (NIGHT + timedelta(1)).isoformat()
    for what, message in (
        ({}, "say what the night is compared with"),
        ({"ranker_of": "blend", "with_warehouse": "x"}, "say what the night is compared with"),
        ({"ranker_of": "tomorrow"}, "expects the date of a ranker"),
        ({"ranker_of": later}, "has learned from days after the night"),
        ({"ranker_of": (NIGHT - timedelta(3)).isoformat()}, "there is no ranker of"),
        ({"with_config": str(other)}, "would fit other models: models.als"),
        ({"other": NIGHT - timedelta(300)}, "has no data for"),
    ):
        with pytest.raises(UserError, match=message):
            asked(light, **what)


def test_the_command_prints_lines_of_80_columns_or_json(light: World) -> None:
    given = ["compare", "--date", NIGHT.isoformat(), "--ranker-of", "blend", "--warehouse", light.warehouse.url]
    told = CliRunner().invoke(cli, given)
    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    assert lines[0].startswith("A  ranker of") and lines[1] == "B  untrained blend"
    assert max(map(len, lines)) <= 80
    answers = [json.loads(line) for line in CliRunner().invoke(cli, [*given, "--json"]).output.splitlines()]
    assert {one["model"] for one in answers} == {"ranker"} and answers[0]["of"]["b"] == "untrained blend"


def test_who_is_ahead_is_said_only_where_the_interval_leaves_out_zero() -> None:
    row = {"model": "ranker", "target": "all", "metric": "ndcg@50", "a": 0.2, "b": 0.1, "difference": 0.1, "n": 9}
    told = [
        list(lines_of(pl.DataFrame([{**row, "low": low, "high": high}]), ("a", "b"), 9))[-1]
        for low, high in ((0.05, 0.2), (-0.1, 0.2), (-0.2, -0.1))
    ]
    assert [line[0] for line in told] == ["A", " ", "B"]
    assert told[0].split() == ["A", "ranker", "all", "ndcg@50", ".2000", ".1000", "+.1000", "(+.0500", "to", "+.2000)"]
