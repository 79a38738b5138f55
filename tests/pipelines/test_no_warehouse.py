"""Commands that look or take away, where no warehouse stands: one sentence, and nothing is made there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from transforms.common.errors import UserError
from transforms.tables.runs import plan
from transforms.tables.warehouse import Warehouse, standing

DAY = ["--date", "2026-01-31"]
LOOK = [
    ["status"],
    ["show", "ann"],
    ["check", *DAY],
    ["evaluate", *DAY],
    ["report", *DAY],
    ["repair"],
    ["clean"],
    ["rollback", "shelves", *DAY],
    ["forget", "ann"],
    ["publish", *DAY, "--to", "bigquery:p-1.d"],
]


@pytest.mark.parametrize("command", LOOK, ids=lambda c: c[0])
def test_a_folder_that_is_not_there_or_empty_is_no_warehouse(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nosuch"):
        done = CliRunner().invoke(cli, [*command, "--warehouse", str(tmp_path / name)])
        assert isinstance(done.exception, UserError) and done.exception.exit_code == 2
        assert str(done.exception).startswith("no warehouse here: ") and done.output == ""
    assert [p.name for p in tmp_path.rglob("*")] == ["empty"]


@pytest.mark.parametrize("command", [*LOOK, ["run", *DAY], ["features", "--from", "2026-01-31", "--to", "2026-01-31"]])
def test_a_file_is_no_warehouse_for_any_command(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "afile").write_bytes(b"")
    done = CliRunner().invoke(cli, [*command, "--warehouse", str(tmp_path / "afile")])
    assert isinstance(done.exception, UserError) and "expected a folder, found a file" in str(done.exception)


def test_where_the_first_ingest_was_killed_a_warehouse_has_begun(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    plan(warehouse, "listens", date(2026, 1, 31), shards=1, inputs={}, settings={}, step_version="test")
    assert standing(warehouse.url).dates("listens") == []
    assert CliRunner().invoke(cli, ["status", "--warehouse", warehouse.url]).exit_code == 0
