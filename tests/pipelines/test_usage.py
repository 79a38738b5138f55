"""The numbers of `runs/<run_id>.json`: rows, bytes, seconds and memory of every job."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from pipelines.cli.report import gather
from pipelines.evaluate import evaluate
from pipelines.features import features
from pipelines.ingest import ingest
from pipelines.runtime.config import Settings
from pipelines.runtime.jobs import elsewhere
from tests.pipelines.tiny import NIGHT, SETTINGS, build
from transforms.reporting.settings import CostSettings
from transforms.tables.usage import Usage, machine
from transforms.tables.warehouse import Warehouse

LOG = "".join(f"ann,t{n},2026-01-05T10:0{n}:00Z\n" for n in range(8))


def records(warehouse: Warehouse) -> list[dict[str, object]]:
    return [json.loads(warehouse.store.read(path)) for path in warehouse.store.paths("runs")]


def test_ingest_and_features_tell_what_went_in_and_came_out(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("listener_id,track_id,started_at\n" + LOG)
    warehouse, settings = Warehouse(str(tmp_path / "w")), Settings(shards=1)
    ingest(warehouse.url, "csv", [str(log)], end_date=date(2026, 1, 5), settings=settings)
    (record,) = records(warehouse)
    assert record["rows_in"] == 8 and record["bytes_in"] == log.stat().st_size
    assert record["rows_out"] == 8 and int(str(record["bytes_out"])) > 100
    features(warehouse.url, date(2026, 1, 5), date(2026, 1, 5), settings, outputs={"sessions", "library"})
    made = [r for r in records(warehouse) if r["job"] == "features"]
    assert made and all(
        int(str(r[name])) > 0 for r in made for name in ("rows_in", "bytes_in", "rows_out", "bytes_out")
    )
    assert all(float(str(r[name])) > 0 for r in made for name in ("seconds", "cpu_seconds", "peak_mb"))
    assert made[0]["machine"]["vcpus"] >= 1 and made[0]["machine"]["memory_mb"] > 100  # type: ignore[index]


def test_a_job_without_counters_is_told_by_its_manifests(tmp_path: Path) -> None:
    warehouse = build(tmp_path)
    evaluate(warehouse.url, NIGHT, 2, settings=SETTINGS)  # type: ignore[arg-type]
    record = next(r for r in records(warehouse) if r["job"] == "evaluate")
    assert record["rows_out"] == warehouse.need("evaluation", NIGHT).rows
    (job,) = gather(warehouse, NIGHT, CostSettings(machine_hour=1.0)).jobs
    assert job.vcpus == machine()["vcpus"] and job.rows_written == record["rows_out"] and job.cpu_seconds


@pytest.mark.parametrize(
    ("beam_args", "others"),
    [
        ([], False),
        (["--runner=FnApiRunner"], False),
        (["--runner", "DirectRunner"], False),
        (["--runner", "PortableRunner"], True),
        (["--runner=FlinkRunner"], True),
        (["--runner=DirectRunner", "--template_location=gs://b-1/job"], True),
    ],
)
def test_only_where_other_processes_work_are_they_added_to_the_launcher(beam_args: list[str], others: bool) -> None:
    assert elsewhere(beam_args) is others


def test_memory_is_that_of_the_stage_and_not_of_what_ran_before() -> None:
    with pages(200):
        before = Usage().peak_mb()
    after = Usage()
    if not after.anew:
        return  # the mark cannot be started anew on this system
    assert after.peak_mb() < before - 100
    with pages(100):
        pass
    assert after.peak_mb() > before - 150


@contextmanager
def pages(megabytes: int) -> Iterator[None]:
    """Memory straight from the system and back to it: an allocator may take it from, and keep it in, what it already holds."""
    with mmap.mmap(-1, megabytes << 20) as held:
        for at in range(0, len(held), mmap.PAGESIZE):
            held[at] = 1
        yield
