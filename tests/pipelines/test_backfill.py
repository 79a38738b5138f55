"""`backfill` remakes what is out of date: a night made for the first ranker as one, and nothing outside its range."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
from click.testing import CliRunner

from pipelines.backfill import backfill
from pipelines.cli.main import cli
from pipelines.nightly import night
from pipelines.recommender.champion import is_bootstrap
from pipelines.runtime.settings_file import to_yaml
from tests.pipelines.tiny import put
from tests.pipelines.world import LIGHT, NIGHT, World, manifests
from transforms.tables.upkeep import states
from transforms.tables.warehouse import Warehouse

EARLY = NIGHT - timedelta(LIGHT.bootstrap.days_apart)


def out_of_date(warehouse: Warehouse) -> set[str]:
    return {f"{s.manifest.table}@{s.manifest.date}" for s in states(warehouse) if s.moved}


def test_a_bootstrap_night_is_remade_up_to_its_candidates(light: World, tmp_path: Path) -> None:
    warehouse = World.copy(light.made, tmp_path / "moved")
    assert (
        is_bootstrap(warehouse, EARLY)
        and not is_bootstrap(warehouse, NIGHT)
        and not is_bootstrap(warehouse, EARLY - timedelta(1))
    )
    listens = warehouse.read("listens", EARLY)
    heard = warehouse.read("library", EARLY)["plays"].sum()
    put(warehouse, "listens", EARLY, listens.filter(pl.int_range(pl.len()) % 2 == 0), shards=LIGHT.shards)
    before = manifests(warehouse)
    assert {f"library@{EARLY}", f"sessions@{EARLY}"} <= out_of_date(warehouse)

    backfill(warehouse.url, EARLY, EARLY, LIGHT)

    after = manifests(warehouse)
    assert is_bootstrap(warehouse, EARLY)
    assert warehouse.read("library", EARLY)["plays"].sum() == heard - listens.height // 2
    remade = {key for key in after if key not in before or after[key].version != before[key].version}
    assert {f"{t}@{EARLY}" for t in ("library", "sessions", "models", "candidates", "outcomes")} <= remade
    assert {key.split("@")[1] for key in remade} == {str(EARLY)}
    left = out_of_date(warehouse)
    assert not {key for key in left if key.endswith(str(EARLY))}
    assert f"shelves@{NIGHT}" in left or f"library@{NIGHT}" in left  # outside the range: said, not remade
    assert after[f"shelves@{NIGHT}"] == before[f"shelves@{NIGHT}"]


def test_a_range_is_told_when_it_is_upside_down_and_when_there_is_nothing_to_do(light: World, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(to_yaml(LIGHT))
    warehouse = World.copy(light.made, tmp_path / "w")
    more = ["--warehouse", warehouse.url, "--config", str(tmp_path / "settings.yaml")]
    for command in ("backfill", "features"):
        wrong = CliRunner().invoke(cli, [command, "--from", str(NIGHT), "--to", str(EARLY), *more])
        assert wrong.exit_code == 2 and "--from is after --to" in wrong.output
    done = CliRunner().invoke(cli, ["backfill", "--from", str(NIGHT), "--to", str(NIGHT), *more])
    assert done.exit_code == 0 and f"nothing to do from {NIGHT} to {NIGHT}: everything is current" in done.output


def test_a_night_is_remade_with_the_fit_date_and_the_order_it_was_asked_for_with(light: World, tmp_path: Path) -> None:
    warehouse = World.copy(light.made, tmp_path / "asked")
    later = NIGHT + timedelta(1)
    night(warehouse.url, later, LIGHT, fit_date=NIGHT, greedy=True)
    made = manifests(warehouse)[f"shelves@{later}"]
    backfill(warehouse.url, later, later, LIGHT)
    assert manifests(warehouse)[f"shelves@{later}"] == made  # it is current

    fewer = LIGHT.model_copy(update={"candidates": LIGHT.candidates.model_copy(update={"per_source": 30})})
    backfill(warehouse.url, later, later, fewer)
    again = manifests(warehouse)[f"shelves@{later}"]
    assert again.version != made.version
    assert (again.settings["fit_date"], again.settings["greedy"]) == (str(NIGHT), True)
    assert later not in warehouse.dates("models")


def test_a_title_that_is_changed_is_shown_and_refits_nothing(light: World, tmp_path: Path) -> None:
    warehouse = World.copy(light.made, tmp_path / "titled")
    changed = LIGHT.model_dump(mode="json")
    changed["shelves"]["shelves"][0]["title"] = "Another title"
    before = manifests(warehouse)

    for day in (EARLY, NIGHT):  # a range would make the nights between them too, of which there are none
        backfill(warehouse.url, day, day, type(LIGHT).model_validate(changed))

    after = manifests(warehouse)
    assert {k for k in after if k not in before or after[k].run_id != before[k].run_id} == {f"shelves@{NIGHT}"}
    assert "Another title" in set(warehouse.read("shelves", NIGHT)["title"])
    old, new = (p.read("shelves", NIGHT).drop("title", "version") for p in (light.warehouse, warehouse))
    assert new.equals(old)
