"""Runs: made aside, committed in one step, skipped when current, rolled back, cleaned up."""

from __future__ import annotations

import os
import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from transforms.common.errors import LostRace, UserError
from transforms.tables import upkeep
from transforms.tables.manifest import Manifest
from transforms.tables.runs import CLAIM, Run, Written, claim, finish, plan
from transforms.tables.schema import TABLES
from transforms.tables.store import LocalStore, Token
from transforms.tables.upkeep import RetentionSettings
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

DAY = date(2026, 1, 1)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(str(tmp_path))


def planned(warehouse: Warehouse, n: int = 1, table: str = "listeners") -> Run:
    run = plan(warehouse, table, DAY, shards=1, inputs={"listens@2026-01-01": f"v{n}"}, settings={}, step_version="1")
    assert run is not None
    return run


def written(run: Run, ids: list[str]) -> list[Written]:
    return [Written(run.table, DAY.isoformat(), write_frame(run, 0, pl.DataFrame({"listener_id": ids})))]


def make(warehouse: Warehouse, n: int, ids: list[str]) -> Manifest:
    run = planned(warehouse, n)
    return finish(run, written(run, ids))


def read(warehouse: Warehouse) -> list[str]:
    return warehouse.read("listeners", DAY)["listener_id"].to_list()


def test_a_run_is_invisible_until_it_commits(warehouse: Warehouse) -> None:
    run = planned(warehouse)
    files = written(run, ["ann"])
    assert warehouse.current("listeners", DAY) is None
    finish(run, files)
    assert read(warehouse) == ["ann"]


def test_equal_versions_have_equal_bytes_and_are_not_made_twice(warehouse: Warehouse) -> None:
    first = planned(warehouse)
    again = planned(warehouse)
    assert first.version == again.version and first.run_id != again.run_id
    a, b = (write_frame(r, 0, pl.DataFrame({"listener_id": ["bob", "ann"]})) for r in (first, again))
    assert a is not None and b is not None and a.sha256 == b.sha256
    finish(first, [Written("listeners", DAY.isoformat(), a)])
    assert plan(warehouse, "listeners", DAY, shards=1, inputs=first.inputs, settings={}, step_version="1") is None


def test_of_two_runs_at_once_the_loser_names_the_winner(warehouse: Warehouse) -> None:
    one, other = planned(warehouse), planned(warehouse)
    finish(one, written(one, ["ann"]))
    with pytest.raises(LostRace, match=one.run_id):
        finish(other, written(other, ["ann"]))
    assert read(warehouse) == ["ann"]


def test_a_claim_whose_folder_is_cleaned_away_while_it_is_written_is_written_again(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, cleaned = os.replace, list[Path]()

    def replace(source: str, target: str) -> None:
        if not cleaned and Path(target).name == CLAIM:
            cleaned.append(Path(target).parent)
            shutil.rmtree(cleaned[0])
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    assert claim(warehouse, "listens", DAY, "v") == "v-1" and cleaned
    assert (cleaned[0] / CLAIM).read_text().startswith("claimed")
    assert claim(warehouse, "listens", DAY, "v") == "v-2"


def test_a_retried_commit_of_the_same_run_is_no_race(warehouse: Warehouse) -> None:
    run = planned(warehouse)
    files = written(run, ["ann"])
    assert finish(run, files * 2) == finish(run, files)
    assert warehouse.need("listeners", DAY).rows == 1


def test_a_commit_whose_answer_was_lost_is_no_race_with_itself(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = LocalStore.replace

    def asked_twice(store: LocalStore, path: str, data: bytes, token: Token) -> bool:
        replace(store, path, data, token)
        return replace(store, path, data, token)

    one, other = planned(warehouse), planned(warehouse)
    monkeypatch.setattr(LocalStore, "replace", asked_twice)
    finish(one, written(one, ["ann"]))
    assert read(warehouse) == ["ann"]
    with pytest.raises(LostRace, match=one.run_id):
        finish(other, written(other, ["ann"]))


def test_an_empty_table_is_committed_too(warehouse: Warehouse) -> None:
    finish(planned(warehouse), [])
    assert warehouse.read("listeners", DAY).schema == TABLES["listeners"].empty().schema


def test_a_file_that_vanished_before_the_commit_stops_it(warehouse: Warehouse, tmp_path: Path) -> None:
    run = planned(warehouse)
    files = written(run, ["ann"])
    assert files[0].file is not None
    (tmp_path / files[0].file.path).unlink()
    with pytest.raises(UserError, match="gone"):
        finish(run, files)
    assert warehouse.current("listeners", DAY) is None


def test_rollback_points_at_the_run_before_and_pins_it(warehouse: Warehouse) -> None:
    make(warehouse, 1, ["ann"])
    make(warehouse, 2, ["bob"])
    upkeep.rollback(warehouse, "listeners", DAY)
    assert read(warehouse) == ["ann"]
    with pytest.raises(UserError, match="pinned.*--unpin"):
        planned(warehouse, 3)
    upkeep.unpin(warehouse, "listeners", DAY)
    make(warehouse, 3, ["cat"])
    assert read(warehouse) == ["cat"]


def test_rollback_without_an_earlier_run_says_so(warehouse: Warehouse) -> None:
    make(warehouse, 1, ["ann"])
    with pytest.raises(UserError, match="no earlier run"):
        upkeep.rollback(warehouse, "listeners", DAY)


def test_rollback_of_a_table_that_is_none_names_those_that_are(warehouse: Warehouse) -> None:
    make(warehouse, 1, ["ann"])
    for act in (upkeep.rollback, upkeep.unpin):
        with pytest.raises(UserError, match="^unknown table, expected one of listeners$"):
            act(warehouse, "nosuch", DAY)


def test_status_names_the_input_that_moved(warehouse: Warehouse) -> None:
    source = make(warehouse, 1, ["ann"])
    run = plan(warehouse, "feedback", DAY, shards=1, inputs=upkeep.inputs_of(source), settings={}, step_version="1")
    assert run is not None
    finish(run, [])
    assert [s.moved for s in upkeep.states(warehouse) if s.manifest.table == "feedback"] == [()]
    make(warehouse, 2, ["bob"])
    assert [s.moved for s in upkeep.states(warehouse) if s.manifest.table == "feedback"] == [("listeners@2026-01-01",)]


def ended(run: Run) -> Run:
    """As if the job that planned it had ended."""
    Warehouse(run.warehouse).store.ended()
    return run


def test_retention_keeps_the_current_run_and_the_one_before(warehouse: Warehouse) -> None:
    runs = [make(warehouse, n, [f"p{n}"]).run_id for n in range(4)]
    unfinished = ended(planned(warehouse, 9))
    gone = {p.rsplit("run=")[1] for p in upkeep.removable(warehouse, RetentionSettings())}
    assert gone == set(runs[:2])
    also = {p.rsplit("run=")[1] for p in upkeep.removable(warehouse, RetentionSettings(), abandoned=True)}
    assert also == {*runs[:2], unfinished.run_id}


def test_what_a_date_that_was_never_committed_left_goes_with_the_abandoned(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    finished, unfinished = make(warehouse, 1, ["ann"]), ended(planned(warehouse, 9))
    (tmp_path / "listeners/date=2026-01-01/_current.json").unlink()
    assert list(upkeep.removable(warehouse, RetentionSettings())) == []
    assert list(upkeep.removable(warehouse, RetentionSettings(), abandoned=True)) == [unfinished.folder]
    assert finished.run_id not in unfinished.folder  # it may be put back


def test_a_manifest_that_is_none_is_named(warehouse: Warehouse, tmp_path: Path) -> None:
    make(warehouse, 1, ["ann"])
    (tmp_path / "listeners/date=2026-01-01/_current.json").write_text('{"table": "lis')
    with pytest.raises(UserError, match="not a manifest.*repair --date"):
        read(warehouse)


def test_a_frame_that_breaks_the_contract_is_refused(warehouse: Warehouse) -> None:
    run = planned(warehouse)
    with pytest.raises(ValueError, match="'mood' is not declared"):
        write_frame(run, 0, pl.DataFrame({"listener_id": ["ann"], "mood": ["blue"]}))
    with pytest.raises(ValueError, match="must not be null"):
        write_frame(run, 0, pl.DataFrame({"listener_id": [None]}, schema={"listener_id": pl.String}))
