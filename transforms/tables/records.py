"""`runs/<run_id>.json`: what a job took, written by whoever sees it end; one record a job, under the id of its last run.

A launcher that waits writes it when the job is done. Where the work is done elsewhere the commit writes it: processes that
write files send along what they have used so far, and the commit adds that up. A launcher that waits then adds itself; one that
does not (a template's, whose graph a service starts) leaves it at that.

    with at_commit("features"):
        ...                                # every Commit that is built in here writes the record
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from transforms.common.clock import as_counters, by_part
from transforms.tables.runs import Run, Written
from transforms.tables.usage import busy, highest_mb, machine, node, passed
from transforms.tables.warehouse import Warehouse

USED = "(used)"
_PROCESS = secrets.token_hex(4)  # containers on one machine may all have the same process number
_BEGAN = time.monotonic()
_JOB: ContextVar[str | None] = ContextVar("recorded at commit", default=None)


@dataclass
class Record:
    """What one job took; `passed` is rows and bytes in and out, `parts` what each model or source took of it.

    `finished` is False where only its graph was written, for a service to start. `workers` counts processes on `machines`,
    None where the launching process did the work or cannot know.
    """

    job: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    passed: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    run_ids: list[str] = field(default_factory=list)
    finished: bool = True
    workers: int | None = None
    machines: int | None = None


@contextmanager
def at_commit(job: str) -> Iterator[None]:
    """Graphs that are built inside the block write the job's record with their commit."""
    token = _JOB.set(job)
    try:
        yield
    finally:
        _JOB.reset(token)


def job_at_commit() -> str | None:
    """The job whose record the commit is to write; None where a launcher will."""
    return _JOB.get()


def used() -> Written:
    """What this process has used so far, in the shape of what steps report to the commit; no file, and of no table."""
    host = sha256(node().encode()).hexdigest()[:8]
    counts = {
        "milliseconds": int((time.monotonic() - _BEGAN) * 1000),
        "cpu_milliseconds": int(busy() * 1000),
        "peak_kb": int(highest_mb() * 1024),
        **as_counters(),
    }
    return Written(USED, f"{host}-{_PROCESS}", counts=counts)


def record_commit(
    job: str | None, runs: Sequence[Run], written: Iterable[Written], counters: Mapping[str, int] | None = None
) -> None:
    """Write the record of a job that has just committed `runs`; nothing where `job` is None.

    Seconds are those of the process that was there longest, memory that of the hungriest one, processor time the sum.
    A step that was tried twice in one process counts once, since a process tells sums.

    Args:
        written: what reached the commit; this process adds itself.
        counters: rows and bytes, `namespace.name` -> number, where manifests do not say.
    """
    if job is None:
        return
    most: dict[str, dict[str, int]] = {}
    for item in [*(w for w in written if w.table == USED), used()]:
        known = most.setdefault(item.day, {})
        for name, n in item.counts.items():
            known[name] = max(n, known.get(name, 0))
    mine = list(most.values())
    parts: dict[str, int] = {}
    for name, n in (pair for process in mine for pair in process.items()):
        parts[name] = parts.get(name, 0) + n
    warehouse = Warehouse(runs[0].warehouse)
    record = Record(
        job,
        seconds=max(t["milliseconds"] for t in mine) / 1000,
        cpu_seconds=sum(t["cpu_milliseconds"] for t in mine) / 1000,
        peak_mb=round(max(t["peak_kb"] for t in mine) / 1024, 1),
        passed=passed(warehouse, runs, counters or {}),
        counters=dict(counters or {}),
        parts=by_part(parts),
        run_ids=[r.run_id for r in runs],
        workers=len(mine),
        machines=len({worker.partition("-")[0] for worker in most}),
    )
    write_record(warehouse, record, runs)


def with_workers(record: Record, warehouse: Warehouse, runs: Sequence[Run]) -> Record:
    """A launcher's record with what the workers' processes used, as their commit has written it down, if there was one."""
    path = f"runs/{runs[-1].run_id}.json" if runs else None
    if path is None or (text := warehouse.store.read_with_token(path)[0]) is None:
        return record
    body = json.loads(text)
    return replace(
        record,
        cpu_seconds=round(record.cpu_seconds + body["cpu_seconds"], 3),
        peak_mb=max(record.peak_mb, body["peak_mb"]),
        parts=record.parts or body["parts"],
        workers=body["workers"],
        machines=body["machines"],
    )


def write_record(warehouse: Warehouse, record: Record, runs: Sequence[Run]) -> None:
    """Write `runs/<run_id>.json` of the job, under the id of its last run: one a job, however many dates it made."""
    if not runs:
        return
    facts: dict[str, Any] = {k: v for k, v in record.__dict__.items() if k != "passed" and v is not None}
    dates = sorted({run.day.isoformat() for run in runs})
    body = {
        **facts,
        **record.passed,
        "table": runs[-1].table,
        "tables": sorted({run.table for run in runs}),
        "date": runs[-1].day.isoformat(),
        "first_date": dates[0],
        "machine": machine(),
        "at": time.time(),
    }
    warehouse.store.write(f"runs/{runs[-1].run_id}.json", json.dumps(body, indent=1, sort_keys=True).encode())


def record_of(warehouse: Warehouse, run_id: str) -> dict[str, Any] | None:
    """The record of the job that made a run; None where none was written, or it cannot be read."""
    for path in (f"runs/{run_id}.json", *warehouse.store.paths("runs")):
        found = read_record(warehouse, path)
        if found is not None and run_id in found.get("run_ids", ()):
            return found
    return None


def read_record(warehouse: Warehouse, path: str) -> dict[str, Any] | None:
    """A record; None where there is none, or what stands there is none: it tells of a job, and nothing depends on it."""
    try:
        body = json.loads(warehouse.store.read(path))
    except (FileNotFoundError, ValueError):
        return None
    return body if isinstance(body, dict) and {"job", "seconds"} <= body.keys() else None
