"""What planning each job of a night costs in a large old warehouse: seconds, memory, requests, and the graph's size.

    python -m tests.benchmarks.planning [--shards 4096] [--dates 400] [--job score ...]

The warehouse is made up: every table of every date has a manifest of as many files as there are shards, made when it is read, and
no file behind it. Each job is planned in a process of its own, as its launcher does, up to the graph that a service would be
sent; nothing runs. A request is a read of an object, a write, or a listing of a table's dates; bytes are those read. Prints one
JSON line a job, with the bars that it passes or fails: 10 s, 500 MB beside what the imports take, 1 MB of graph. `expand` is no
job but what a worker does first: it makes the specs of all shards of a year of one table and 90 dates of another.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

LAST = date(2026, 1, 31)
JOBS = ("features", "outcomes", "train", "score", "evaluate", "expand")
DAILY = ("listens", "feedback", "impressions", "sessions", "library", "track_stats", "co_listens", "suspects")
NIGHTLY = (
    "candidates",
    "carried",
    "shelves",
    "draws",
    "listener_embeddings",
    "removed",
    "outcomes",
    "models",
    "rankers",
)
ONCE = ("tracks", "listeners", "artists")
ONE_FILE = ("models", "rankers", "artists")
BARS = {"seconds": 10.0, "peak_mb": 500.0, "graph_kb": 1024.0}


class Synthetic:
    """A store of manifests made when they are read; everything else is not there."""

    root = "gs://synthetic/w"

    def __init__(self, shards: int, dates: int, absent: frozenset[str]) -> None:
        from transforms.tables.manifest import FileEntry, Manifest

        self.counts = {"reads": 0, "listings": 0, "writes": 0, "bytes": 0}
        self._days = [LAST - timedelta(dates - 1 - n) for n in range(dates)]
        self._absent = absent
        path = "TABLE/date=DAY/run=r1/shard-{:05}-of-{:05}-0123456789abcdef.parquet"
        made = {}
        for count in (1, shards):
            files = tuple(
                FileEntry(path=path.format(n, count), shard=n, rows=1000, bytes=60_000, sha256="0" * 64)
                for n in range(count)
            )
            chain = [{"date": "DAY", "run_id": "r1"}]
            whole = Manifest(
                table="TABLE",
                date=LAST,
                version="0" * 16,
                run_id="r1",
                schema_version=1,
                shards=count,
                rows=1000 * count,
                files=files,
                extra={"chain": chain, "carried": "0" * 16},  # shelves name the version of what was made beside them
            )
            made[count] = whole.to_json().decode().replace(f'"date": "{LAST}"', '"date": "DAY"')
        self._one, self._many = made[1], made[shards]

    def _days_of(self, table: str) -> list[date]:
        if table in DAILY or table in NIGHTLY:
            return self._days
        return self._days[:1] if table in ONCE else []

    def read_with_token(self, path: str) -> tuple[bytes | None, str]:
        """A manifest."""
        self.counts["reads"] += 1
        table, _, rest = path.partition("/date=")
        day, name = rest[:10], rest.rpartition("/")[2]
        if name != "_current.json" or f"{table}@{day}" in self._absent:
            return None, ""
        if date.fromisoformat(day) not in self._days_of(table):
            return None, ""
        text = self._one if table in ONE_FILE else self._many
        data = text.replace("TABLE", table).replace("DAY", day).encode()
        self.counts["bytes"] += len(data)
        return data, "1"

    def read(self, path: str) -> bytes:
        """A manifest.

        Raises:
            FileNotFoundError: anything else.
        """
        data, _ = self.read_with_token(path)
        if data is None:
            raise FileNotFoundError(path)
        return data

    def folders_with(self, table: str, name: str = "") -> list[str]:
        """A table's dates."""
        self.counts["listings"] += 1
        return [f"date={d}" for d in self._days_of(table) if f"{table}@{d}" not in self._absent]

    folders = folders_with

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def other(*_: Any, **__: Any) -> Any:
            self.counts["writes"] += 1
            return {"replace": True, "paths": [], "leftovers": [], "at_work": "", "is_at_work": False}.get(name)

        return other


def expanded(shards: int, dates: int) -> dict[str, Any]:
    """Make every shard's spec as a worker does, in this process; none is kept, as none is on a worker."""
    import pickle
    import resource

    import transforms.tables.warehouse as module
    from transforms.tables.as_of import as_of
    from transforms.tables.specs import specs

    store = Synthetic(shards, dates, frozenset())
    module.open_store = lambda url: store  # type: ignore[assignment,attr-defined,return-value]
    past = as_of(store.root, LAST)
    found = {"feedback": past.window("feedback", dates), "sessions": past.window("sessions", 90)}
    graph = pickle.dumps(specs(past.warehouse, shards, found))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, busy = time.perf_counter(), time.process_time()
    parts = sum(len(part) for spec in pickle.loads(graph) for part in spec.parts.values())
    measured = {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - busy, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before),
        "graph_kb": round(len(graph) / 1024, 1),
    }
    return {"job": "expand", "shards": shards, "dates": dates, "files": parts, **measured}


def planned(job: str, shards: int, dates: int) -> dict[str, Any]:
    """Plan one job, in this process."""
    import resource

    import apache_beam as beam

    import transforms.outcomes.join
    import transforms.tables.warehouse as module
    from pipelines import evaluate, features, outcomes, score, train
    from pipelines.recommender import night, training
    from pipelines.runtime.config import Settings

    measured = LAST - timedelta(7)
    makes = {
        "features": ("sessions", "library", "track_stats", "co_listens", "suspects"),
        "outcomes": ("outcomes",),
        "train": ("models", "track_embeddings", "session_sample"),
        "score": ("candidates", "carried", "shelves", "draws", "listener_embeddings", "removed"),
        "evaluate": ("evaluation",),
    }[job]
    store = Synthetic(shards, dates, frozenset(f"{table}@{LAST}" for table in makes))
    module.open_store = lambda url: store  # type: ignore[assignment,attr-defined,return-value]
    size: dict[str, float] = {}

    def launched(job: str, warehouse: Any, define: Callable[[Any], None], *_: Any) -> Any:
        root = beam.Pipeline()
        define(root)
        size["graph_kb"] = round(len(root.to_runner_api().SerializeToString()) / 1024, 1)
        return SimpleNamespace(finished=False)

    settings = Settings(shards=shards)
    calls: dict[str, Callable[[], Any]] = {
        "features": lambda: features.features(store.root, LAST, LAST, settings),
        "outcomes": lambda: outcomes.outcomes(store.root, LAST, settings=settings),
        "train": lambda: train.train(store.root, LAST, settings=settings),
        "score": lambda: score.score(store.root, LAST, settings=settings),
        "evaluate": lambda: evaluate.evaluate(store.root, measured, 7, settings=settings),
    }
    for each in (evaluate, features, outcomes, score, train):
        each.launch = launched  # type: ignore[attr-defined]
    # these open files, of which there are none: their cost is a footer a file of the dates they look at
    outcomes.what_log_knows = lambda *_: transforms.outcomes.join.Known(True, True)  # type: ignore[assignment,attr-defined]
    evaluate.columns_of = lambda *_: {"candidates": [], "shelves": [], "library": [], "listens": []}  # type: ignore[attr-defined]
    for module_ in (night, training):  # reads ids of some shards of the library
        module_.roster_size = lambda *_, **__: 10**8  # type: ignore[attr-defined]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, busy = time.perf_counter(), time.process_time()
    calls[job]()
    found = {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - busy, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before),
        **size,
        **store.counts,
    }
    passes = {name: found[name] <= bar for name, bar in BARS.items()}
    return {"job": job, "shards": shards, "dates": dates, **found, "within": passes}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=4096)
    parser.add_argument("--dates", type=int, default=400)
    parser.add_argument("--job", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--here", action="store_true", help="plan the one job in this process")
    args = parser.parse_args()
    if args.here:
        own_job = args.job[0]
        found = expanded(args.shards, args.dates) if own_job == "expand" else planned(own_job, args.shards, args.dates)
        print(json.dumps(found), flush=True)
        return
    for job in args.job:
        own = ["--shards", str(args.shards), "--dates", str(args.dates), "--job", job, "--here"]
        subprocess.run([sys.executable, "-m", "tests.benchmarks.planning", *own], check=True)


if __name__ == "__main__":
    main()
