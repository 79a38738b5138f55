"""What a job takes of the machine, and what went in and came out of it: the numbers of `runs/<run_id>.json`.

Memory is the highest resident set while the job was at work, of this process: Linux starts its high-water mark anew when
asked (`/proc/self/clear_refs`, proc(5)); elsewhere the mark of the whole process is told. Rows and bytes are what the steps
counted, else those of the manifests named as inputs and of the runs that were made.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from transforms.tables.runs import Run
from transforms.tables.warehouse import Warehouse

MEGABYTE = 1 << 20
COUNTED = {  # what a record calls it -> the counters that say so, the first that is there
    "rows_in": ("read.rows", "ingest.rows_in"),
    "bytes_in": ("read.bytes", "ingest.bytes_in"),
    "rows_out": ("write.rows", "ingest.rows_written"),
    "bytes_out": ("write.bytes", "ingest.bytes_written"),
}


def busy() -> float:
    """Seconds of all processors so far, of this process and of its children that have ended."""
    here, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return here.ru_utime + here.ru_stime + ended.ru_utime + ended.ru_stime


def _start_mark_anew() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return _status("VmHWM:") is not None


def _status(name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), None)


@dataclass
class Usage:
    """Seconds of the clock and of the processors since it was made, and the most memory held since then."""

    began: float = field(default_factory=time.monotonic)
    busy: float = field(default_factory=busy)
    anew: bool = field(default_factory=_start_mark_anew)

    def seconds(self) -> float:
        """Seconds of the clock."""
        return round(time.monotonic() - self.began, 3)

    def cpu_seconds(self) -> float:
        """Seconds of all processors, of this process and of its children that have ended."""
        return round(busy() - self.busy, 3)

    def peak_mb(self) -> float:
        """Highest resident set, in MB of 2**20 bytes."""
        return highest_mb() if self.anew else round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def highest_mb() -> float:
    """The process's high-water mark as it stands, in MB of 2**20 bytes."""
    return round((_status("VmHWM:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024, 1)


def node() -> str:
    """The machine's own name; never written as it is."""
    return platform.node()


def machine() -> dict[str, Any]:
    """What ran the job: vCPUs it may use, memory, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "vcpus": cores,
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MEGABYTE,
    }


def passed(warehouse: Warehouse, runs: Sequence[Run], counters: Mapping[str, int]) -> dict[str, int]:
    """rows_in, bytes_in, rows_out, bytes_out of a job.

    Args:
        warehouse: where its runs are.
        runs: what it made.
        counters: what its steps counted, `namespace.name` -> number.
    """
    out = {}
    for name, known in COUNTED.items():
        said = [counters[c] for c in known if c in counters]
        if said:
            out[name] = said[0]
    if not {"rows_in", "bytes_in"} & set(out):
        keys = {key for run in runs for key in run.inputs} - {f"{r.table}@{r.day.isoformat()}" for r in runs}
        found = [_sizes(warehouse, table, day) for table, at, day in (k.partition("@") for k in sorted(keys)) if at]
        out |= {"rows_in": sum(rows for rows, _ in found), "bytes_in": sum(size for _, size in found)}
    if not {"rows_out", "bytes_out"} & set(out):
        found = [_sizes(warehouse, r.table, r.day.isoformat(), r.folder) for r in runs]
        out |= {"rows_out": sum(rows for rows, _ in found), "bytes_out": sum(size for _, size in found)}
    return {name: out.get(name, 0) for name in COUNTED}


def _sizes(warehouse: Warehouse, table: str, day: str, folder: str = "") -> tuple[int, int]:
    manifest = warehouse.current(table, date.fromisoformat(day))
    files = [f for f in manifest.files if f.path.startswith(folder)] if manifest else []
    return sum(f.rows or 0 for f in files), sum(f.bytes for f in files)
