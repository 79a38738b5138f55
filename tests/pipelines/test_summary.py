"""A command ends with what it made: shelves by status, the ranker beside the baseline, ids to try next."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from click.testing import CliRunner

from pipelines.cli.listeners import sample
from pipelines.cli.main import cli
from pipelines.cli.summary import evaluation_lines, night_lines, of_evaluation, of_night
from tests.pipelines.world import NIGHT, World

VALUE = {"value": 0.2, "low": 0.1, "high": 0.3, "n": 90}
FOUND = {"ranker": VALUE, "blend": VALUE, "baseline": "item-knn", "of_baseline": VALUE, "difference": VALUE}
NOTHING = {"ranker": None, "blend": None, "baseline": None, "of_baseline": None, "difference": None}


def test_a_night_ends_with_its_shelves_by_status_and_the_next_command(world: World) -> None:
    made = of_night(world.warehouse, NIGHT, "9.0 s")
    rows = world.warehouse.read("shelves", NIGHT, ["listener_id", "shelf_id", "status"])
    counted = rows.group_by("shelf_id", "status").len()
    assert made["listeners"] == rows["listener_id"].n_unique()
    assert {(s, k): n for s, by in made["shelves"].items() if s != "blend" for k, n in by.items()} == {
        (s, k): n for s, k, n in counted.iter_rows()
    }
    lines = night_lines(made, str(world.made))
    assert lines[0].endswith("made in 9.0 s") and lines[-1].startswith("next  nightshelf show LISTENER --why")
    assert sum(made["shelves"]["blend"].values()) == world.warehouse.need("blend_shelves", NIGHT).rows
    assert len(lines) == 3 + rows["shelf_id"].n_unique() + 1 + ("ranker" in made)
    note = {**made, "ranker": "the untrained blend stands in"}
    assert night_lines(note, str(world.made))[-2] == "ranker  the untrained blend stands in"


def test_an_evaluation_ends_with_the_ranker_the_baseline_and_their_difference() -> None:
    lines = evaluation_lines({"night": "2026-01-28", "days": 3, "unheard": FOUND, "repeat": NOTHING}, "r.html")
    assert len(lines) <= 10 and lines[-1] == "report  r.html"
    assert "    baseline    0.2000 (0.1000 to 0.3000)  item-knn" in lines
    assert "    difference  +0.2000 (+0.1000 to +0.3000)  the ranker is ahead" in lines
    behind = {**FOUND, "difference": {**VALUE, "value": -0.2, "low": -0.3, "high": -0.1}}
    level = {**FOUND, "difference": {**VALUE, "low": -0.1}}
    alone = {**FOUND, "difference": {**VALUE, "n": 1}}
    said = ((behind, "the ranker is behind"), (level, "not told apart"), (alone, "too few listeners to tell"))
    for found, verdict in said:
        made = evaluation_lines({"night": "x", "days": 3, "unheard": found, "repeat": NOTHING}, "r.html")
        assert any(line.endswith(verdict) for line in made)


def test_an_evaluation_as_json_is_what_its_lines_say(world: World, tmp_path: Path) -> None:
    warehouse = World.copy(world.made, tmp_path / "w")
    asked = ["evaluate", "--date", NIGHT.isoformat(), "--days", "3", "--warehouse", warehouse.url]
    told = CliRunner().invoke(cli, [*asked, "--json"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert found == json.loads(json.dumps(of_evaluation(warehouse, NIGHT)))
    stored = warehouse.read("evaluation", NIGHT).filter(
        model="ranker", target="unheard", metric="ndcg@50", segment="all"
    )
    (value,) = stored.filter(pl.col("versus").is_null())["value"]
    assert found["unheard"]["ranker"]["value"] == value and found["days"] == 3
    lines = CliRunner().invoke(cli, asked).stdout.splitlines()  # current by now: the figures are told again
    assert any(line.split()[:2] == ["ranker", f"{value:.4f}"] for line in lines) and len(lines) <= 10


def test_listeners_to_try_are_a_spread_of_those_who_have_shelves(world: World) -> None:
    found = sample(str(world.made), 5)
    assert found.height == 5 and found["listener_id"].n_unique() == 5
    assert found["personal"].to_list() == sorted(found["personal"].to_list(), reverse=True)
    assert sample(str(world.made), 5).equals(found)
    done = CliRunner().invoke(cli, ["listeners", "--sample", "2", "--json", "--warehouse", str(world.made)])
    assert done.exit_code == 0, done.output
    known = set(world.warehouse.read("shelves", NIGHT, ["listener_id"])["listener_id"])
    assert {json.loads(line)["listener_id"] for line in done.output.splitlines()} <= known
