"""`run --dry-run` says what a night would make and writes nothing; stages are numbered as it foresaw them."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.dry_run import CHANGED, FIRST, Line, dry_lines, dry_run
from pipelines.cli.main import cli
from pipelines.nightly import NIGHT as STEPS
from pipelines.nightly import night
from pipelines.runtime.night_ahead import expected, planned, prepared
from pipelines.runtime.schedule import Night
from pipelines.runtime.settings_file import to_yaml
from tests.pipelines.world import LIGHT, NIGHT, World
from transforms.common.errors import GateFailed
from transforms.tables.store_dry import dry
from transforms.tables.warehouse import Warehouse


def asked(folder: Path | str, **over: object) -> Night:
    return replace(Night(dry(str(folder)), NIGHT, NIGHT, LIGHT, 0), **over)  # type: ignore[arg-type]


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))}


def by_name(lines: list[Line]) -> dict[str, str]:
    return {line.stage: line.why if line.makes else "current" for line in lines}


def test_a_fresh_log_is_to_be_folded_first_and_everything_else_after_it(light: World) -> None:
    before = everything(light.ingested)
    lines, seconds = dry_run(asked(light.ingested))
    assert everything(light.ingested) == before, "nothing is written"
    assert all(line.makes for line in lines) and seconds is None, "no such stage has run here"
    assert lines[0].stage.startswith("features ") and lines[0].why == FIRST
    assert all(line.why.startswith("after ") for line in lines[1:])
    first = NIGHT - timedelta(6)
    assert [line.stage for line in lines if line.job == "score"] == [
        f"score {first}",
        f"score {first + timedelta(3)}",
        f"score {NIGHT}",
    ]


def test_a_night_that_stands_is_current(light: World) -> None:
    before = everything(light.made)
    lines, _ = dry_run(asked(light.made))
    assert everything(light.made) == before
    assert set(by_name(lines).values()) == {"current"} and [line.job for line in lines][-1] == "blend"
    head = dry_lines(asked(light.made), lines, None)[0]
    assert head == f"night {NIGHT}: 0 of {len(lines)} stages would be made; nothing is written"


def test_settings_that_changed_remake_what_reads_them_and_what_reads_that(light: World) -> None:
    models = LIGHT.models.model_copy(update={"sample_listeners": 70})
    lines, seconds = dry_run(asked(light.made, settings=LIGHT.model_copy(update={"models": models})))
    found = by_name(lines)
    assert found[f"models {NIGHT}"] == CHANGED and found[f"score {NIGHT}"] == f"after models {NIGHT}"
    assert found[f"ranker {NIGHT}"] == "current" and seconds is not None and seconds > 0


def test_an_input_that_moved_is_named(light: World, tmp_path: Path) -> None:
    warehouse = World.copy(light.made, tmp_path / "w")
    path = Path(warehouse.url) / f"rankers/date={NIGHT}/_current.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "version": "another"}))
    lines, _ = dry_run(asked(tmp_path / "w"))
    found = by_name(lines)
    assert found[f"ranker {NIGHT}"] == CHANGED and found[f"score {NIGHT}"] == f"after ranker {NIGHT}"


def test_a_log_that_fails_its_checks_would_begin_nothing(light: World) -> None:
    with pytest.raises(GateFailed, match="freshness"):
        dry_run(asked(light.made, day=NIGHT + timedelta(400), fit=NIGHT + timedelta(400)))


def test_the_command_prints_it_and_refuses_what_makes_no_sense(light: World, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(to_yaml(LIGHT))
    run = ["run", "--date", str(NIGHT), "--warehouse", str(light.made), "--config", str(tmp_path / "settings.yaml")]
    done = CliRunner().invoke(cli, [*run, "--dry-run"])
    assert done.exit_code == 0 and "nothing is written" in done.output, done.output
    told = json.loads(CliRunner().invoke(cli, [*run, "--dry-run", "--json"]).output)
    assert told["night"] == str(NIGHT) and not any(stage["makes"] for stage in told["stages"])
    assert CliRunner().invoke(cli, [*run, "--json"]).exit_code == 2
    assert CliRunner().invoke(cli, [*run, "--dry-run", "--shelf", "on-repeat"]).exit_code == 2


def test_stages_are_shown_with_the_numbers_that_were_foreseen(
    light: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = World.copy(light.made, tmp_path / "w")
    warehouse.store.delete(f"shelves/date={NIGHT}")
    names, seconds = expected(planned(STEPS, *prepared(Night(warehouse.url, NIGHT, NIGHT, LIGHT, 0))))
    assert len(seconds) == len(names)
    told = io.StringIO()
    monkeypatch.setattr("sys.stderr", told)
    night(warehouse.url, NIGHT, LIGHT)
    shown = re.findall(rf"^(\d+) of {len(names)} (.*?):", told.getvalue(), re.MULTILINE)
    assert [names[int(n) - 1] for n, _ in shown] == [name for _, name in shown] and shown, told.getvalue()
    assert {name for _, name in shown} == set(names), "every stage that was foreseen is shown"
    assert Warehouse(warehouse.url).current("shelves", NIGHT) is not None
