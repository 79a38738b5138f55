"""What a fit learns from reaches it as files: names travel through the graph, and nothing is left when it is committed."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.features import features
from pipelines.ingest import ingest
from pipelines.recommender import checkpoints
from pipelines.recommender.example_files import ExampleFiles
from pipelines.recommender.training import Fit
from pipelines.train import train
from tests.benchmarks.cheap_log import cheap_log
from tests.pipelines.world import END, SETTINGS
from transforms.common.errors import UserError
from transforms.privacy.forget_texts import clear_others
from transforms.privacy.traces import Traces
from transforms.tables.store import open_store
from transforms.tables.upkeep import CHECKPOINTS
from transforms.tables.warehouse import Warehouse

FOLDER = "checkpoints/v"


def frame(*values: int) -> pl.DataFrame:
    return pl.DataFrame({"n": values}, schema={"n": pl.Int64})


def test_a_step_tried_again_writes_the_same_files_and_each_is_read_once(tmp_path: Path) -> None:
    files = ExampleFiles(str(tmp_path), FOLDER)
    names = [name for _ in range(2) for name in files.keep([(b"P", frame(1, 2)), (b"L", frame(3)), (b"P", frame())])]
    assert len(names) == 6 and len(set(names)) == 3 == len(open_store(str(tmp_path)).paths(FOLDER))
    read = files.read(names, b"P")
    assert sorted(one.height for one in read) == [0, 2] and read[0].schema == read[1].schema
    assert_frame_equal(pl.concat(files.read(names, b"L")), frame(3))
    open_store(str(tmp_path)).delete(FOLDER)
    with pytest.raises(UserError, match="missing or damaged"):
        files.read(names, b"P")


def test_a_bucket_of_checkpoints_is_mirrored_without_them(tmp_path: Path) -> None:
    names = list(ExampleFiles(str(tmp_path), FOLDER).keep([(b"P", frame(1))]))
    store = open_store(str(tmp_path))
    store.write(f"{FOLDER}/two_tower/epoch-001.index", b"epoch")
    with checkpoints.mirrored(store, FOLDER) as given:
        assert sorted(p.name for p in Path(given.folder).rglob("*") if p.is_file()) == ["epoch-001.index"]
    assert store.paths(FOLDER) == sorted([f"{FOLDER}/examples/{names[0]}", f"{FOLDER}/two_tower/epoch-001.index"])


def test_forgetting_somebody_deletes_what_a_killed_fit_left(tmp_path: Path) -> None:
    list(ExampleFiles(str(tmp_path), FOLDER).keep([(b"P", frame(1))]))
    store = open_store(str(tmp_path))
    store.write(f"{FOLDER}/two_tower/epoch-001.index", b"epoch")
    assert clear_others(Warehouse(str(tmp_path)), Traces(["ann"]), [], date(2026, 1, 1)) == 1
    assert store.paths(CHECKPOINTS) == [f"{FOLDER}/two_tower/epoch-001.index"]


def test_the_fit_is_told_names_and_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse, log = Warehouse(str(tmp_path / "w")), cheap_log(tmp_path / "world", 50, 400, 3, 4.0, 7, END)
    ingest(warehouse.url, "parquet", **log, end_date=END, settings=SETTINGS, accept_gates=True)
    features(warehouse.url, END - timedelta(2), END, SETTINGS)
    run, noted = Fit.run, tmp_path / "told.json"

    def run_and_note(self: Fit, runs: object, names: list[str]) -> object:
        there = {path.rpartition("/")[2] for path in Warehouse(self.warehouse).store.paths(CHECKPOINTS)}
        noted.write_text(
            json.dumps([list(names), sorted(there)])
        )  # a graph's steps are copies: a list would be another one
        return run(self, runs, names)  # type: ignore[arg-type]

    monkeypatch.setattr(Fit, "run", run_and_note)
    light = {"use_two_tower": False, "use_sequence": False, "use_next_in_session": False, "use_generative": False}
    models = SETTINGS.models.model_copy(update=light)
    train(warehouse.url, END, settings=SETTINGS.model_copy(update={"models": models}))
    told, there = json.loads(noted.read_text())
    assert sorted(told) == there and all(len(name) < 60 for name in told)
    assert {name[0] for name in told} == set("LMPCTR")
    assert warehouse.current("models", END) is not None and warehouse.store.paths(CHECKPOINTS) == []
