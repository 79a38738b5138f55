"""What a job took, recorded with its commit where no launcher waits for it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import polars as pl

from transforms.tables.records import USED, Record, at_commit, job_at_commit, record_commit, used, with_workers
from transforms.tables.runs import Run, Written, finish, plan
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

DAY = date(2026, 1, 5)


def committed(warehouse: Warehouse) -> tuple[Run, list[Written]]:
    run = plan(warehouse, "listeners", DAY, shards=1, inputs={}, settings={}, step_version="1")
    assert run is not None
    rows = pl.DataFrame({"listener_id": ["ann", "bo"]})
    written = [Written(run.table, DAY.isoformat(), write_frame(run, 0, rows))]
    finish(run, written)
    return run, written


def report_of(worker: str, seconds: int, cpu: int, mb: int) -> Written:
    return Written(
        USED,
        worker,
        counts={"milliseconds": seconds * 1000, "cpu_milliseconds": cpu * 1000, "peak_kb": mb * 1024},
    )


def test_workers_are_added_up_and_a_process_that_reports_twice_counts_once(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    run, written = committed(warehouse)
    workers = [
        report_of("a-1", 10_000, 5000, 99_000),
        report_of("a-1", 20_000, 9000, 98_000),
        report_of("a-2", 9000, 7000, 100),
    ]
    record_commit("features", [run], [*written, *workers, report_of("b-1", 1, 1000, 100)])
    body = json.loads(warehouse.store.read(f"runs/{run.run_id}.json"))
    assert body["job"] == "features" and body["table"] == "listeners" and body["date"] == DAY.isoformat()
    assert body["seconds"] == 20_000 and body["peak_mb"] == 99_000
    assert 17_000 <= body["cpu_seconds"] < 18_000, "9000 + 7000 + 1000 and this process's own"
    assert (body["workers"], body["machines"]) == (4, 3)
    assert body["rows_out"] == 2 and body["bytes_out"] > 0 and body["machine"]["vcpus"] >= 1


def test_a_launcher_that_waited_adds_itself_to_what_the_workers_used(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    run, written = committed(warehouse)
    record_commit("features", [run], [*written, report_of("a-1", 20_000, 9000, 98_000)])
    ours = Record("features", seconds=1.0, cpu_seconds=500.0, peak_mb=10.0)
    whole = with_workers(ours, warehouse, [run])
    assert 9500 <= whole.cpu_seconds < 10_500 and whole.peak_mb == 98_000
    assert (whole.seconds, whole.workers, whole.machines) == (1.0, 2, 2)
    assert with_workers(ours, warehouse, []) == ours, "a job without a table has no record"


def test_nothing_is_recorded_where_a_launcher_will(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    run, written = committed(warehouse)
    record_commit(None, [run], written)
    assert not warehouse.store.paths("runs")


def test_only_what_is_built_inside_the_block_records() -> None:
    assert job_at_commit() is None
    with at_commit("score"):
        assert job_at_commit() == "score"
    assert job_at_commit() is None


def test_what_a_process_tells_belongs_to_no_table_and_names_no_machine() -> None:
    import platform

    one = used()
    assert one.file is None and platform.node() not in one.day
    assert one.counts["peak_kb"] > 1000 and one.counts["cpu_milliseconds"] > 0


def test_parts_of_processes_are_added_up(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    run, written = committed(warehouse)
    counts = {"milliseconds": 1, "cpu_milliseconds": 1, "peak_kb": 1, "took.only told.rows": 256}
    seconds = {"took.only told.microseconds": 1_500_000, "took.only told.cpu_microseconds": 2_000_000}
    one = Written(USED, "a-1", counts={**counts, **seconds})
    earlier = Written(USED, "a-1", counts={**counts, "took.only told.rows": 100})
    record_commit("score", [run], [*written, earlier, one, Written(USED, "a-2", counts={**counts, **seconds})])
    body = json.loads(warehouse.store.read(f"runs/{run.run_id}.json"))
    assert body["parts"]["only told"] == {"seconds": 3.0, "cpu_seconds": 4.0, "rows": 512}
