"""A night's features must cost what its day costs: day 60 against day 10, at the same plays a day.

    python -m tests.benchmarks.incremental [--listeners 50000] [--plays 333000] [--repeat 3] [--dir DIR]

Both nights add one delta over a base and two deltas, so neither compacts; the night that does is timed apart. The
library behind day 60 holds six times the dates. Prints seconds of each and their ratio, which must stay at most 1.3.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.features import features
from pipelines.runtime.config import Settings
from transforms.tables.chunks import split
from transforms.tables.runs import Written, finish, plan
from transforms.tables.warehouse import Warehouse, folder
from transforms.tables.writing import write_frame

DAY1 = date(2026, 1, 1)
MADE = ("sessions", "track_stats", "co_listens", "library")
LIMIT = 1.3


def day(number: int) -> date:
    """Date of day 1, 2, ..."""
    return DAY1 + timedelta(number - 1)


def day_of_listens(number: int, listeners: int, tracks: int, plays: int) -> pl.DataFrame:
    """One date's listens: sessions of about 15 plays; half of a listener's plays come from their own 300 tracks."""
    rng = np.random.default_rng(number)
    sessions = plays // 15
    who = rng.integers(0, listeners, sessions)
    length = rng.poisson(14, sessions) + 1
    start = rng.integers(0, 20 * 3600, sessions)
    row = np.repeat(np.arange(sessions), length)
    position = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    own = (who[row] * 7919 + rng.integers(0, 300, len(row)) * 104_729) % tracks
    popular = (tracks * rng.random(len(row)) ** 4).astype(np.int64)
    midnight = int(datetime.combine(day(number), datetime.min.time(), UTC).timestamp()) * 1_000_000
    micros = midnight + (start[row] + position * 215) * 1_000_000 + rng.integers(0, 1_000_000, len(row))
    skipped = rng.random(len(row)) < 0.2
    return (
        pl.DataFrame({"who": who[row], "what": np.where(rng.random(len(row)) < 0.5, own, popular), "micros": micros})
        .select(
            listener_id=pl.format("listener {}", pl.col("who").cast(pl.String).str.zfill(6)),
            track_id=pl.format("track {}", "what"),
            started_at=pl.col("micros").cast(pl.Datetime("us", "UTC")),
            ms_played=pl.Series(np.where(skipped, 9_000, 200_000).astype(np.int32)),
            skipped=pl.Series(skipped),
            completed=pl.Series(~skipped),
            country=pl.lit("SE"),
            ingested_at=pl.lit(datetime(2026, 3, 2, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")),
            late=pl.lit(False),
            listen_id=pl.lit(""),
        )
        .filter(pl.col("started_at").dt.date() == day(number))
        .unique(["listener_id", "started_at", "track_id"], keep="first", maintain_order=True)
    )


def put(warehouse: Warehouse, number: int, listens: pl.DataFrame, shards: int) -> None:
    """File a date's listens, as ingest would."""
    run = plan(warehouse, "listens", day(number), shards=shards, inputs={}, settings={}, step_version="benchmark")
    if run is None:
        return
    parts = split(listens, shards)
    finish(run, [Written("listens", run.day.isoformat(), write_frame(run, s, part)) for s, part in parts])


def forget(warehouse: Warehouse, *numbers: int) -> None:
    """Take the features of some dates away."""
    for number in numbers:
        for table in MADE:
            warehouse.store.delete(folder(table, day(number)))


def timed(warehouse: Warehouse, number: int, settings: Settings, repeat: int) -> tuple[float, float]:
    """Median seconds of one night's features, and of processor time."""
    seconds, busy = [], []
    for _ in range(repeat):
        forget(warehouse, number)
        began = time.process_time()
        record = features(warehouse.url, day(number), day(number), settings)
        if record is None:
            raise RuntimeError(f"day {number} was current already")
        seconds.append(record.seconds)
        busy.append(time.process_time() - began)
    return statistics.median(seconds), statistics.median(busy)


def measure(url: str, listeners: int, tracks: int, plays: int, repeat: int, days: int = 60) -> dict[str, float]:
    """Seconds, and processor seconds, of day 10, of the last day and of a compacting night, and their ratio."""
    warehouse, settings = Warehouse(url), Settings(shards=8)
    for number in range(1, days + 1):
        put(warehouse, number, day_of_listens(number, listeners, tracks, plays), settings.shards)
    out = {}
    for number in (10, days):
        forget(warehouse, *range(1, days + 1))
        features(url, DAY1, day(number - 3), settings, outputs={"sessions", "library"})
        for near in (number - 2, number - 1):
            features(url, day(near), day(near), settings, outputs={"sessions", "library"})
        out[f"day {number}"], out[f"day {number}, cpu"] = timed(warehouse, number, settings, repeat)
    compact = settings.model_copy(update={"library": settings.library.model_copy(update={"max_deltas": 2})})
    out[f"day {days}, compacting"], _ = timed(warehouse, days, compact, 1)
    for kind in ("", ", cpu"):
        out[f"ratio{kind}"] = out[f"day {days}{kind}"] / out[f"day 10{kind}"]
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listeners", type=int, default=50_000)
    parser.add_argument("--tracks", type=int, default=200_000)
    parser.add_argument("--plays", type=int, default=333_000, help="a day")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dir", help="where to put the warehouse; default: a temporary folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir) as scratch:
        found = measure(str(Path(scratch)), args.listeners, args.tracks, args.plays, args.repeat, args.days)
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))  # seconds, and ratios of them
    if found["ratio"] > LIMIT:
        raise SystemExit(f"day {args.days} costs {found['ratio']:.2f} times day 10; at most {LIMIT} is allowed")


if __name__ == "__main__":
    main()
