"""A night over a log that is odd and right: every listener has every shelf, nothing is lost, and what is no log is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.ingest import ingest
from tests.pipelines.odd_logs import LAST, LOGS, MAPPING, TAKEN, made
from tests.pipelines.test_kill import assert_readable
from transforms.common.errors import UserError
from transforms.tables.warehouse import Warehouse


@pytest.mark.parametrize("name", LOGS)
def test_a_night_has_every_shelf_for_everybody(name: str, tmp_path: Path) -> None:
    rows, catalog = LOGS[name]
    warehouse = made(tmp_path, rows(), catalog)
    plays = sum(warehouse.need("listens", day).rows for day in warehouse.dates("listens"))
    assert plays == len(rows())
    shelves = warehouse.read("shelves", LAST)
    who = {line.partition(",")[0] for line in rows()}
    assert set(shelves["listener_id"]) == who
    assert shelves.height == len(who) * shelves["shelf_id"].n_unique() == len(who) * len(TAKEN.shelves.shelves)
    assert_readable(warehouse)


@pytest.mark.parametrize("kind", ["folder", "pipe", "nothing"])
def test_what_is_no_file_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)  # nobody ever writes into it, so whoever opens it waits for good
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    with pytest.raises(UserError, match=r"expected|found|no file"):
        ingest(
            str(tmp_path / "w"),
            "csv",
            [str(path)],
            mapping=str(tmp_path / "mapping.yaml"),
            end_date=LAST,
            settings=TAKEN,
        )
    assert Warehouse(str(tmp_path / "w")).dates("listens") == []
