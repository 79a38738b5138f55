"""`nightshelf status`: pins beside what has moved, the command for each, within 80 columns."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.cli.status import status_lines
from tests.pipelines.tiny import NIGHT, build, shelves_of
from transforms.tables.runs import Written, finish, plan
from transforms.tables.store import open_store
from transforms.tables.upkeep import rollback
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Shelves that were made of a catalog and of listens that have another version now."""
    monkeypatch.chdir(tmp_path)
    open_store.cache_clear()  # it knows ./warehouse of another folder
    build(tmp_path)
    opened = Warehouse("./warehouse")
    inputs = {f"{table}@{NIGHT - timedelta(9)}": "of old" for table in ("tracks", "listens")}
    run = plan(opened, "shelves", NIGHT, shards=1, inputs=inputs, settings={}, step_version="moved")
    assert run is not None
    finish(run, [Written("shelves", NIGHT.isoformat(), write_frame(run, 0, shelves_of()))])
    return opened


def test_what_moved_is_named_with_its_remedy(warehouse: Warehouse) -> None:
    lines = list(status_lines(warehouse))
    at = next(n for n, line in enumerate(lines) if line.startswith(f"shelves of {NIGHT} is out of date; moved:"))
    said = " ".join(line.strip() for line in lines[at : at + 3])
    assert f"tracks@{NIGHT - timedelta(9)}" in said and f"listens@{NIGHT - timedelta(9)}" in said
    assert f"  remedy  nightshelf backfill --from {NIGHT} --to {NIGHT}" in lines
    assert not any("pinned" in line for line in lines)


def test_a_pin_stands_beside_what_moved_with_the_command_that_releases_it(warehouse: Warehouse) -> None:
    run = plan(warehouse, "shelves", NIGHT, shards=1, inputs={}, settings={}, step_version="newer")
    assert run is not None
    finish(run, [Written("shelves", NIGHT.isoformat(), write_frame(run, 0, shelves_of()))])
    rollback(warehouse, "shelves", NIGHT)
    lines = list(status_lines(warehouse))
    (row,) = [line for line in lines if line.startswith("shelves  ")]
    assert row.endswith("pinned, out of date")
    at = lines.index(f"          nightshelf rollback shelves --date {NIGHT} --unpin")
    assert "kept so by every command; first" in lines[at - 1]
    assert CliRunner().invoke(cli, lines[at].split()[1:]).exit_code == 0
    assert not any("pinned" in line for line in status_lines(warehouse)), "the command that is shown releases it"


def test_it_is_read_at_80_columns_and_as_json(warehouse: Warehouse) -> None:
    done = CliRunner().invoke(cli, ["status"])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    told = [json.loads(line) for line in CliRunner().invoke(cli, ["status", "--json"]).output.splitlines()]
    (shelves,) = [one for one in told if one["table"] == "shelves"]
    assert shelves["state"] == "out of date" and shelves["date"] == str(NIGHT) and len(shelves["moved"]) == 2
    assert {one["state"] for one in told if one["table"] == "listens"} == {"current"}
    assert len([one for one in told if one["table"] == "listens"]) == 17
