"""Seconds a listener and memory from 10 thousand to 200 thousand listeners, and a night against computing it all again.

    python -m tests.benchmarks.scale [--listeners 10000 50000 200000] [--days 4] [--plays-per-day 4] [--tracks 20000]

Each size is a world of its own, each step of it in a process of its own: a log made cheaply (`tests.benchmarks.cheap_log`, not
timed), ingested; all days but the last folded in one job (`features`) and models fitted of them; then the night of the last
day, which folds that day by itself (`second_features`, what a night adds) and scores everybody. Then the features of all days
are computed again from nothing (`again_features`). Shards grow with listeners, so that a shard's size stays; everything else is
equal. The settings are light (LIGHT below: no two-tower, sequence or session model, no trained ranker, 20 tracks a source, two
shelves, 1% of candidates stored), so figures of different sizes compare with each other, not with a night by the defaults.

A JSON line a size, then one that says how far the costs of a listener and the memory are apart, and what all days again cost
over the last day alone. `ms_a_listener` is wall clock: a quiet machine; `cpu_ms_a_listener` is processor time, which a busy
one moves less. What every process pays once (imports, loading models) is in it, so small sizes look dearer than they are.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.cheap_log import cheap_log

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings
    from pipelines.runtime.jobs import Record

END = date(2026, 1, 31)
PER_SHARD = 6_250
LIGHT: dict[str, Any] = {
    "models": {
        "use_two_tower": False,
        "use_sequence": False,
        "use_next_in_session": False,
        "als": {"factors": 32, "iterations": 3},
    },
    "candidates": {"per_source": 20, "keep_all_below": 0},
    "shelves": {
        "shelves": [
            {"shelf_id": "discover-weekly", "title": "Discover Weekly", "pool": "unheard"},
            {
                "shelf_id": "popular-now",
                "title": "Popular now",
                "pool": "popular",
                "order": {"score_popular": 1.0},
                "open_slots": 0,
            },
        ]
    },
    "ranker": {"kind": "blend"},
    "bootstrap": {"nights": 12},  # more than the days allow: no nights are made for a ranker
    "outcomes": {"horizons": [1]},
}
MADE = ("sessions", "track_stats", "co_listens", "library")
TIMED = ("ingest", "features", "second_features", "train", "score", "again_features")
FLAT = (
    "ingest",
    "features",
    "second_features",
    "score",
    "again_features",
)  # of a listener; what is fitted once for everybody is not among them


def shards_for(listeners: int) -> int:
    """The power of two that leaves at most PER_SHARD listeners in a shard.

    >>> shards_for(10_000), shards_for(200_000)
    (2, 32)
    """
    return 1 << max(0, -(-listeners // PER_SHARD) - 1).bit_length()


def measure(listeners: int, tracks: int, days: int, plays: float, seed: int, scratch: Path) -> dict[str, Any]:
    """One size: seconds, processor seconds and memory of every job; see the module."""
    from transforms.tables.warehouse import Warehouse

    shards, warehouse = shards_for(listeners), Warehouse(str(scratch / "warehouse"))
    began = time.monotonic()
    _apart(_write, listeners, tracks, days, plays, seed, scratch)
    written = time.monotonic() - began
    found: dict[str, list[Record]] = {"ingest": _apart(_ingest, shards, scratch)}
    began = time.monotonic()
    for record in [*_apart(_learn, shards, scratch), *_apart(_night, shards, scratch)]:
        name = f"second_{record.job}" if record.job in found else record.job
        found.setdefault(name, []).append(record)
    made = time.monotonic() - began
    found["again_features"] = _apart(_again, shards, scratch, days)
    listens = sum(warehouse.need("listens", d).rows for d in warehouse.dates("listens"))
    return {**_told(listeners, listens, days, shards, made, found), "log_s": round(written, 1)}


def _apart(step: Callable[..., list[Record]], *given: Any) -> list[Record]:
    """A step in a process of its own: what one leaves in memory must not count against the next."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        return alone.submit(step, *given).result()


def _write(listeners: int, tracks: int, days: int, plays: float, seed: int, scratch: Path) -> list[Record]:
    made = cheap_log(scratch / "world", listeners, tracks, days, plays, seed, END)
    (scratch / "log.json").write_text(json.dumps(made))
    return []


def _light(shards: int) -> Settings:
    from pipelines.runtime.config import Settings

    return Settings.model_validate({**LIGHT, "shards": shards})


def _ingest(shards: int, scratch: Path) -> list[Record]:
    from pipelines.ingest import ingest
    from pipelines.runtime.jobs import watched

    with watched() as records:
        log = json.loads((scratch / "log.json").read_text())
        ingest(str(scratch / "warehouse"), "parquet", **log, end_date=END, settings=_light(shards), accept_gates=True)
    return records


def _learn(shards: int, scratch: Path) -> list[Record]:
    """What a night learns from: all days but the last, and the models of them."""
    from pipelines.exclusions import exclusions
    from pipelines.night.fold import fold_to
    from pipelines.runtime.jobs import watched
    from pipelines.train import train

    settings, warehouse, before = _light(shards), str(scratch / "warehouse"), END - timedelta(1)
    with watched() as records:
        fold_to(warehouse, before, settings, ())
        exclusions(warehouse, before, settings=settings)
        train(warehouse, before, settings=settings)
    return records


def _night(shards: int, scratch: Path) -> list[Record]:
    from pipelines.nightly import night
    from pipelines.runtime.jobs import watched

    with watched() as records:
        night(str(scratch / "warehouse"), END, _light(shards), fit_date=END - timedelta(1), accept_gates=True)
    return records


def _again(shards: int, scratch: Path, count: int) -> list[Record]:
    """Features of all days from nothing."""
    from pipelines.features import features
    from pipelines.runtime.jobs import watched
    from transforms.tables.warehouse import Warehouse, days, folder

    warehouse, first = Warehouse(str(scratch / "warehouse")), END - timedelta(count - 1)
    for table in MADE:
        for day in days(first, END):
            warehouse.store.delete(folder(table, day))
    with watched() as records:
        features(warehouse.url, first, END, _light(shards))
    return records


def _told(
    listeners: int, listens: int, days: int, shards: int, made: float, found: dict[str, list[Any]]
) -> dict[str, Any]:
    seconds = {job: round(sum(r.seconds for r in records), 2) for job, records in found.items()}
    busy = {job: round(sum(r.cpu_seconds for r in records), 2) for job, records in found.items()}
    peak = {job: max(r.peak_mb for r in records) for job, records in found.items()}
    again, step = seconds["again_features"], seconds["second_features"]
    return {
        "listeners": listeners,
        "listens": listens,
        "days": days,
        "shards": shards,
        "night_s": round(made, 1),
        "seconds": seconds,
        "cpu_seconds": busy,
        "peak_mb": peak,
        "ms_a_listener": {job: round(1000 * seconds[job] / listeners, 3) for job in TIMED if job in seconds},
        "cpu_ms_a_listener": {job: round(1000 * busy[job] / listeners, 3) for job in TIMED if job in busy},
        "bytes": {job: dict(records[0].passed) for job, records in found.items()},
        "shuffled_bytes_a_listen": round(
            found["ingest"][0].counters["ingest.bytes_shuffled"] / found["ingest"][0].passed["rows_in"], 1
        ),
        "one_day_s": step,
        "all_days_again_s": again,
        "again_over_one_day": round(again / step, 2),
        "again_over_one_day_cpu": round(busy["again_features"] / busy["second_features"], 2),
    }


def spread(sizes: list[dict[str, Any]]) -> dict[str, Any]:
    """How a listener's cost and the memory change from the smallest size to the largest; the recompute at each."""
    small, large = sizes[0], sizes[-1]
    out: dict[str, Any] = {"from": small["listeners"], "to": large["listeners"]}
    for name in ("again_over_one_day", "again_over_one_day_cpu"):
        out[name] = {str(size["listeners"]): size[name] for size in sizes}
    for kind in ("ms_a_listener", "cpu_ms_a_listener"):
        out[kind] = {job: round(large[kind][job] / small[kind][job], 2) for job in FLAT if small[kind].get(job)}
    out["peak_mb"] = {
        job: round(large["peak_mb"][job] / value, 2)
        for job, value in small["peak_mb"].items()
        if job in large["peak_mb"]
    }
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listeners", type=int, nargs="+", default=[10_000, 50_000, 200_000])
    parser.add_argument("--tracks", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--plays-per-day", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", help="where to put worlds and warehouses; default: a temporary folder")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        with tempfile.TemporaryDirectory(dir=args.dir, prefix="nightshelf-scale-") as scratch:
            measured = measure(args.listeners[0], args.tracks, args.days, args.plays_per_day, args.seed, Path(scratch))
        print(json.dumps(measured), flush=True)
        return
    sizes, began = [], time.monotonic()
    rest = [
        f"--tracks={args.tracks}",
        f"--days={args.days}",
        f"--plays-per-day={args.plays_per_day}",
        f"--seed={args.seed}",
    ]
    rest += [f"--dir={args.dir}"] if args.dir else []
    for (
        size
    ) in args.listeners:  # each in a process of its own: what one leaves in memory must not count against the next
        command = [sys.executable, "-m", "tests.benchmarks.scale", "--one", "--listeners", str(size), *rest]
        lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
        sizes.append(json.loads(lines[-1]))
        print(lines[-1], flush=True)
    if len(sizes) > 1:
        print(json.dumps({**spread(sizes), "minutes": round((time.monotonic() - began) / 60, 1)}), flush=True)


if __name__ == "__main__":
    main()
