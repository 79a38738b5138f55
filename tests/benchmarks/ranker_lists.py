"""What the ranker's examples and judged lists take of a worker, as the audience grows: memory and seconds.

    python -m tests.benchmarks.ranker_lists [--listeners 4000 16000 64000] [--candidates 100] [--features 30]

The night is made up, every list kept whole: candidates and outcomes of one night, a file a shard of 1,000 listeners. For each
size a process of its own makes the examples and the judged lists that a fit would make by the default settings, and does not
fit. Prints one JSON line a size; `peak_mb` is beside what the imports take.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

NIGHT, HORIZON = date(2026, 1, 1), 7


def made_up(url: str, listeners: int, candidates: int, features: int) -> None:
    """Write the night's candidates and its outcomes."""
    import numpy as np
    import polars as pl

    from transforms.common.sample import in_sample
    from transforms.tables.chunks import shard_of
    from transforms.tables.runs import Written, finish, plan
    from transforms.tables.schema import TABLES
    from transforms.tables.warehouse import Warehouse
    from transforms.tables.writing import write_frame

    warehouse, shards = Warehouse(url), 1 << max(0, (listeners // 1000 - 1)).bit_length()
    ids = pl.Series("listener_id", [f"listener-{n:08d}" for n in range(listeners)])
    shard = shard_of(ids, shards)
    runs = {}
    for table, day in (("candidates", NIGHT), ("outcomes", NIGHT + timedelta(HORIZON))):
        runs[table] = plan(warehouse, table, day, shards=shards, inputs={}, settings={}, step_version="made up")
    written: dict[str, list[Written]] = {table: [] for table in runs}
    for number in range(shards):
        draw = np.random.default_rng(number)
        own = ids.filter(pl.Series(shard == number)).sort()
        people = own.gather(np.repeat(np.arange(len(own)), candidates))
        track = np.concatenate([np.sort(draw.choice(20_000, candidates, replace=False)) for _ in range(len(own))])
        rows = len(people)
        key = {"listener_id": people, "track_id": pl.Series([f"track-{t:06d}" for t in track])}
        values = {f"f_{n}": pl.Series(draw.random(rows, dtype=np.float32)) for n in range(features)}
        kept = in_sample(people, 1.0, 0)
        heard = pl.Series(draw.random(rows) < 0.2)
        both = {**key, "heard_before": heard, "stage": pl.Series(["candidate"] * rows)}
        listened = pl.Series(draw.random(rows) < 0.03)
        tables = {
            "candidates": pl.DataFrame({**both, "inclusion": kept.cast(pl.Float32), **values}),
            "outcomes": pl.DataFrame(both).with_columns(
                night=pl.lit(NIGHT),
                horizon=pl.lit(HORIZON, dtype=pl.Int32),
                listened=listened,
                skipped=pl.lit(None, dtype=pl.Boolean),
            ),
        }
        for table, frame in tables.items():
            schema = TABLES[table].polars
            lacking = [pl.lit(None, dtype=kind).alias(c) for c, kind in schema.items() if c not in frame.columns]
            full = frame.with_columns(lacking).with_columns(inclusion=pl.lit(1.0, dtype=pl.Float32))
            full = full.select(*schema, *(c for c in frame.columns if c.startswith("f_")))
            run = runs[table]
            assert run is not None
            written[table].append(Written(table, run.day.isoformat(), write_frame(run, number, full)))
    for table, run in runs.items():
        assert run is not None
        finish(run, written[table])


def measured(url: str) -> dict[str, float]:
    """Examples and judged lists in this process."""
    import resource

    from models.settings import RankerSettings
    from pipelines.recommender.ranker_examples import examples, judged
    from transforms.tables.warehouse import Warehouse

    warehouse, settings = Warehouse(url), RankerSettings()
    pairs = [(warehouse.need("candidates", NIGHT), warehouse.need("outcomes", NIGHT + timedelta(HORIZON)))]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, busy = time.perf_counter(), time.process_time()
    bound = {"lists": settings.lists} if hasattr(settings, "lists") else {}
    data = examples(warehouse, pairs, HORIZON, settings.examples, 1, **bound)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows, heard = judged(warehouse, pairs[0], HORIZON, settings.judged, 1)
    return {
        "candidates": pairs[0][0].rows,
        "examples": data.height,
        "judged": rows.height,
        "heard": heard.height,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - busy, 1),
        "peak_mb_examples": round(peak - before),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listeners", type=int, nargs="+", default=[4000, 16_000, 64_000])
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--here", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        print(json.dumps(measured(args.here)), flush=True)
        return
    for listeners in args.listeners:
        with tempfile.TemporaryDirectory(prefix="nightshelf-lists-") as scratch:
            url = str(Path(scratch) / "w")
            made_up(url, listeners, args.candidates, args.features)
            command = [sys.executable, "-m", "tests.benchmarks.ranker_lists", "--here", url]
            found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        print(json.dumps({"listeners": listeners, **found}), flush=True)


if __name__ == "__main__":
    main()
