"""What scoring a listener costs, part by part, by several versions of the code in one run.

    git worktree add /tmp/before COMMIT
    python -m tests.benchmarks.scoring --warehouse W --date D --code /tmp/before . [--rounds 1]

W holds the night D with its models and ranker (`make nightly` leaves one). Each version scores D anew in a copy of W whose files
are hard links, in a process of its own, one BLAS and one Polars thread each, and says what its run's record holds: processor
milliseconds a listener of the whole job and of each part, the peak memory of the process, bytes written a listener. What is
in the job and in no part is reading, loading the models and writing. Prints one JSON line a version and round, then, for every
part, the last version over the first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

NIGHT = ("shelves", "candidates", "draws", "listener_embeddings")


def copied(warehouse: Path, day: date, into: Path) -> Path:
    """The warehouse again, as hard links, without the night's own tables and records."""
    shutil.copytree(warehouse, into, copy_function=os.link, ignore=shutil.ignore_patterns("runs"))
    for table in NIGHT:
        shutil.rmtree(into / table / f"date={day}", ignore_errors=True)
    return into


def scored(code: Path, warehouse: Path, day: date) -> dict[str, Any]:
    """The record of job `score` as the code of a checkout makes it."""
    program = (
        "from datetime import date; from pipelines.runtime.config import Settings; from pipelines.score import score\n"
        f"score({str(warehouse)!r}, date.fromisoformat({day.isoformat()!r}), settings=Settings(), accept_gates=True)"
    )
    threads = {"OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment = {**os.environ, **threads, "PYTHONPATH": str(code.resolve())}
    subprocess.run([sys.executable, "-c", program], cwd=code, env=environment, check=True, stdout=sys.stderr)
    records = [json.loads(path.read_text()) for path in (warehouse / "runs").glob("*.json")]
    return next(record for record in records if record["job"] == "score")


def commit_of(code: Path) -> str:
    """The commit of a checkout; the folder's name where it is none."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    told = subprocess.run(asked, cwd=code, capture_output=True, text=True, check=False)
    return told.stdout.strip() or code.resolve().name


def listeners_of(warehouse: Path, day: date) -> int:
    """Listeners with shelves."""
    import polars as pl

    files = str(warehouse / "shelves" / f"date={day}" / "run=*" / "*.parquet")
    return int(pl.scan_parquet(files).select(pl.col("listener_id").n_unique()).collect().item())


def by_listener(record: dict[str, Any], count: int) -> dict[str, float]:
    """Processor milliseconds a listener: the whole job, each part, and what is in no part."""
    parts = {name: 1000 * part["cpu_seconds"] / count for name, part in record["parts"].items()}
    whole = 1000 * record["cpu_seconds"] / count
    found = {"whole job": whole, **parts, "reading, loading, writing": whole - sum(parts.values())}
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", type=Path, required=True)
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--code", type=Path, nargs="+", default=[Path()], help="checkouts, the oldest first")
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    least: dict[Path, dict[str, float]] = {}
    for number in range(args.rounds):
        for code in args.code:
            with tempfile.TemporaryDirectory(prefix="scoring-", dir=args.warehouse.resolve().parent) as scratch:
                warehouse = copied(args.warehouse.resolve(), args.date, Path(scratch) / "warehouse")
                record = scored(code, warehouse, args.date)
                count = listeners_of(warehouse, args.date)
                commit = commit_of(code)
                cost = by_listener(record, count)
                best = least.setdefault(code, cost)
                least[code] = {name: min(value, best.get(name, value)) for name, value in cost.items()}
                line = {"commit": commit, "round": number, "listeners": count, "cpu_ms_a_listener": cost}
                line |= {"peak_mb": record["peak_mb"], "seconds": record["seconds"]}
                line["bytes_a_listener"] = round(record.get("bytes_out", 0) / count)
                print(json.dumps(line), flush=True)
    first, last = least[args.code[0]], least[args.code[-1]]
    if len(args.code) > 1:
        print(
            json.dumps(
                {name: round(last[name] / value, 2) for name, value in first.items() if last.get(name) and value}
            )
        )


if __name__ == "__main__":
    main()
