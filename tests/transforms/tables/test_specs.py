"""What a graph carries of the files to read: its size follows the dates alone, and a worker finds the same files."""

from __future__ import annotations

import pickle
from datetime import date, timedelta
from pathlib import Path

import apache_beam as beam
import pytest
from pydantic import ValidationError

from transforms.common.errors import UserError
from transforms.tables.as_of import as_of
from transforms.tables.beam import ReadChunks
from transforms.tables.manifest import FileEntry, Heading, Manifest
from transforms.tables.runs import RUN_MANIFEST
from transforms.tables.specs import Manifests, specs
from transforms.tables.warehouse import CURRENT, Warehouse, folder

FIRST = date(2025, 1, 1)


def stored(warehouse: Warehouse, day: date, shards: int, run: str = "r1") -> Manifest:
    """A manifest of files that nobody wrote, current and in its run's folder."""
    files = tuple(
        FileEntry(path=f"listens/date={day}/run={run}/shard-{s}.parquet", shard=s, rows=10, bytes=100, sha256="0" * 64)
        for s in range(shards)
    )
    made = Manifest(
        table="listens",
        date=day,
        version="v",
        run_id=run,
        schema_version=1,
        shards=shards,
        rows=10 * shards,
        files=files,
    )
    for path in (CURRENT, f"run={run}/{RUN_MANIFEST}"):
        warehouse.store.write(f"{folder('listens', day)}/{path}", made.to_json())
    return made


def graph_bytes(work: object) -> int:
    """Size of a job's graph that reads these shards."""
    root = beam.Pipeline()
    _ = root | ReadChunks(work)  # type: ignore[arg-type]
    return len(root.to_runner_api().SerializeToString())


def test_a_graph_grows_neither_with_shards_nor_with_their_files(tmp_path: Path) -> None:
    few, many = Warehouse(str(tmp_path / "few")), Warehouse(str(tmp_path / "all"))
    days = [FIRST + timedelta(n) for n in range(5)]
    small = specs(few, 4, {"listens": [stored(few, day, 4) for day in days]})
    large = specs(many, 1024, {"listens": [stored(many, day, 1024) for day in days]})
    assert graph_bytes(large) == pytest.approx(graph_bytes(small), rel=0.01)
    assert len(large) == 1024 and len(large[7].parts["listens"]) == 5


def test_a_worker_makes_the_same_specs_of_what_it_reads_again(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    found = [stored(warehouse, FIRST, 2), stored(warehouse, FIRST + timedelta(1), 4)]
    here = specs(warehouse, 4, {"listens": found, "feedback": []})
    there = pickle.loads(pickle.dumps(here))
    assert list(there) == list(here) and there[3] == here[3]
    assert [part.shard for part in here[3].parts["listens"]] == [1, 3]  # a table of two files is read as four shards
    stored(warehouse, FIRST, 2, run="r2")  # another run has become current since
    assert list(pickle.loads(pickle.dumps(here))) == list(here)


def test_a_run_that_is_gone_is_told_with_what_to_do(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    named = pickle.dumps(Manifests.of(warehouse, [stored(warehouse, FIRST, 2)]))
    warehouse.store.delete(folder("listens", FIRST))
    with pytest.raises(UserError, match="listens of 2025-01-01 was replaced .* run the same command again"):
        list(pickle.loads(named))


def test_a_heading_says_what_its_manifest_says_without_naming_files(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    made = stored(warehouse, FIRST, 64)
    for whole in (made, made.model_copy(update={"files": ()}), made.model_copy(update={"files": made.files[:1]})):
        heading = Heading.head_of(whole.to_json())
        assert heading.model_dump() == whole.model_dump(exclude={"files"})
        assert Heading.head_of(whole.to_json().replace(b"\n", b" ")) == heading  # somebody laid it out otherwise
    assert warehouse.whole(Heading.head_of(made.to_json())) == made
    with pytest.raises(ValidationError):
        Heading.head_of(b"{}")


def test_a_window_is_planned_by_headings_and_workers_find_the_same_files(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    whole = [stored(warehouse, FIRST + timedelta(n), shards) for n, shards in enumerate((1, 4, 8))]
    window = as_of(warehouse.url, FIRST + timedelta(2)).window("listens", 3)
    assert [type(m) for m in window] == [Heading] * 3
    for shards in (1, 4, 16):
        assert list(specs(warehouse, shards, {"listens": window})) == list(specs(warehouse, shards, {"listens": whole}))


def test_empty_files_are_in_no_spec(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    made = stored(warehouse, FIRST, 4)
    hollow = [f if f.shard != 2 else f.model_copy(update={"rows": 0}) for f in made.files]
    warehouse.store.write(
        f"{folder('listens', FIRST)}/{CURRENT}", made.model_copy(update={"files": tuple(hollow)}).to_json()
    )
    work = specs(warehouse, 4, {"listens": as_of(warehouse.url, FIRST).window("listens", 1)})
    assert [len(spec.parts["listens"]) for spec in work] == [1, 1, 0, 1]
