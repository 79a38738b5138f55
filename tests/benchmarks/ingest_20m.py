"""Benchmark: 20 million listens through ingest (and sessions and library), against DuckDB doing the same work.

    python -m tests.benchmarks.ingest_20m [--listens 20000000] [--log DIR] [--only ours features duckdb beam]

The same work: read Parquet, remove exact and near duplicates, refuse implausible days, sort by listener and time,
hash an id for each listen, cut into sessions, count plays a listener and track, write listens and sessions by date.
Each side runs in a process of its own on two threads; seconds include reading and writing, not interpreter start-up.
The element-by-element Beam sessioniser is measured on a sample and reported a listen. The log is generated in a
temporary folder, unless one is given. Prints one JSON line: seconds, processor seconds and peak memory of each side,
their ratios, and how busy the machine was (the load includes others, and ratios of processor seconds bear them best).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
FIRST = date(2026, 1, 1)
DAYS = 60
END = FIRST + timedelta(DAYS - 1)
FILES = 20
SHARDS = 8


def generate(folder: Path, listens: int, listeners: int, tracks: int, seed: int = 1) -> None:
    """Write a log in order of time: sessions of about 12 plays, popular tracks, 1% duplicates, half of them exact."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(seed)
    sessions = listens // 12
    length = 1 + rng.geometric(1 / 11, sessions)
    listener = (listeners * rng.random(sessions) ** 1.3).astype(np.int32)
    start = (rng.random(sessions) * (DAYS * 86_400 - 8 * 3600)).astype(np.int64)
    of = np.repeat(np.arange(sessions, dtype=np.int32), length)[: int(listens * 0.99)]
    n = len(of)
    ms = rng.integers(150_000, 270_000, n).astype(np.int32)
    ms = np.where(rng.random(n) < 0.2, ms // 8, ms)
    offset = np.cumsum(ms, dtype=np.int64)
    begins = np.flatnonzero(np.r_[True, np.diff(of) != 0])
    offset -= np.repeat(offset[begins] - ms[begins], np.diff(np.r_[begins, n]))
    started = start[of] * 1_000_000 + np.minimum(offset - ms, 6 * 3_600_000) * 1000
    track = (tracks * rng.random(n) ** 3).astype(np.int32)
    who = listener[of]
    again = rng.integers(0, n, listens - n)
    late = np.where(np.arange(len(again)) % 2 == 0, 0, 3_000_000)
    who, track = np.r_[who, who[again]], np.r_[track, track[again]]
    started, ms = np.r_[started, started[again] + late], np.r_[ms, ms[again]]
    order = np.argsort(started)
    base = int(datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC).timestamp()) * 1_000_000
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(np.array_split(order, FILES)):
        pl.DataFrame(
            {
                "listener_id": pl.Series(who[part]).cast(pl.String).str.pad_start(6, "0").str.replace("^", "u"),
                "track_id": pl.Series(track[part]).cast(pl.String).str.pad_start(6, "0").str.replace("^", "t"),
                "started_at": pl.Series(started[part] + base).cast(pl.Datetime("us", "UTC")),
                "ms_played": ms[part],
            }
        ).write_parquet(
            folder / f"listens-{number:03d}.parquet", compression="zstd", compression_level=1, row_group_size=500_000
        )


def ours(log: Path, out: Path) -> dict[str, float]:
    """Ingest, with this repository."""
    from pipelines.ingest import ingest
    from pipelines.runtime.config import Settings

    began = time.monotonic()
    ingest(str(out / "warehouse"), "parquet", [str(log / "*.parquet")], end_date=END, settings=Settings(shards=SHARDS))
    return {"ingest_s": time.monotonic() - began}


def features(log: Path, out: Path) -> dict[str, float]:
    """Sessions and library of all dates, after `ours`."""
    from pipelines.features import features as run
    from pipelines.runtime.config import Settings

    began = time.monotonic()
    run(str(out / "warehouse"), FIRST, END, Settings(shards=SHARDS), outputs=("sessions", "library"))
    return {"features_s": time.monotonic() - began}


def duckdb(log: Path, out: Path) -> dict[str, float]:
    """The same work in DuckDB."""
    import duckdb as db

    began = time.monotonic()
    con = db.connect()
    con.execute(f"SET threads = 2; SET memory_limit = '3GB'; SET temp_directory = '{out}/spill'")
    con.execute("SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
    con.execute(f"""
        CREATE TABLE cleaned AS
        WITH raw AS (
            SELECT *, started_at - lag(started_at) OVER same AS since FROM read_parquet('{log}/*.parquet')
            WINDOW same AS (PARTITION BY listener_id, track_id ORDER BY started_at)
        ), fresh AS (
            SELECT listener_id, track_id, started_at, ms_played, CAST(started_at AS DATE) AS date
            FROM raw WHERE since IS NULL OR since > INTERVAL 5 SECONDS
        ), days AS (
            SELECT listener_id, date FROM fresh GROUP BY ALL HAVING sum(ms_played) > 86400000 OR count(*) > 5000
        )
        SELECT fresh.*, md5(listener_id || track_id || epoch_us(started_at)) [:16] AS listen_id
        FROM fresh ANTI JOIN days USING (listener_id, date)
    """)
    con.execute(f"""
        COPY (SELECT * FROM cleaned ORDER BY date, listener_id, started_at, track_id)
        TO '{out}/duck-listens' (FORMAT parquet, PARTITION_BY (date), COMPRESSION zstd, COMPRESSION_LEVEL 1)
    """)
    read = time.monotonic() - began
    con.execute(f"""
        COPY (
            WITH marked AS (
                SELECT *, started_at - lag(started_at + to_milliseconds(ms_played)) OVER w > INTERVAL 30 MINUTES AS gap
                FROM cleaned WINDOW w AS (PARTITION BY listener_id ORDER BY started_at, track_id)
            ), numbered AS (
                SELECT *, count(*) FILTER (WHERE gap) OVER (
                    PARTITION BY listener_id ORDER BY started_at, track_id ROWS UNBOUNDED PRECEDING) AS n
                FROM marked
            )
            SELECT listener_id, min(date) AS date, min(started_at) AS started_at, count(*) AS plays,
                   max(started_at + to_milliseconds(ms_played)) AS ended_at
            FROM numbered GROUP BY listener_id, n ORDER BY date, listener_id, started_at
        ) TO '{out}/duck-sessions' (FORMAT parquet, PARTITION_BY (date), COMPRESSION zstd, COMPRESSION_LEVEL 1)
    """)
    con.execute(f"""
        COPY (
            SELECT listener_id, track_id, count(*) AS plays, count(*) FILTER (WHERE ms_played >= 30000) AS heard,
                   min(started_at) AS first_played_at, max(started_at) AS last_played_at
            FROM cleaned GROUP BY ALL ORDER BY ALL
        ) TO '{out}/duck-library.parquet' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)
    """)
    (rows,) = con.execute("SELECT count(*) FROM cleaned").fetchall()[0]
    return {"duckdb_s": time.monotonic() - began, "duckdb_ingest_s": read, "duckdb_listens": rows}


def beam(log: Path, out: Path) -> dict[str, float]:
    """Duplicates, sessions and counts element by element, on some listeners; no file is read or written."""
    import apache_beam as b
    import polars as pl
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.transforms.window import Sessions, TimestampedValue

    few = pl.scan_parquet(str(log / "*.parquet")).filter(pl.col("listener_id") < "u000300").collect()
    rows = few.with_columns(at=pl.col("started_at").dt.epoch("us") / 1e6).select("listener_id", "track_id", "at").rows()
    began = time.monotonic()
    with b.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as root:
        plays = (
            root
            | b.Create(rows, reshuffle=False)
            | "By track" >> b.Map(lambda r: ((r[0], r[1]), r[2]))
            | "Same track" >> b.GroupByKey()
            | "Dedup" >> b.FlatMap(_fresh)
        )
        plays | "Pairs" >> b.Map(lambda r: ((r[0], r[1]), 1)) | "Library" >> b.CombinePerKey(sum)
        (
            plays
            | "Stamp" >> b.Map(lambda r: TimestampedValue((r[0], (r[2], r[1])), r[2]))
            | "Sessions" >> b.WindowInto(Sessions(30 * 60))
            | "Gather" >> b.GroupByKey()
            | "Order" >> b.Map(lambda kv: (kv[0], sorted(kv[1])))
        )
    return {"beam_sample_listens": len(rows), "beam_us_a_listen": (time.monotonic() - began) / len(rows) * 1e6}


def _fresh(keyed: tuple[tuple[str, str], list[float]]) -> list[tuple[str, str, float]]:
    (listener, track), times = keyed[0], sorted(keyed[1])
    return [(listener, track, t) for n, t in enumerate(times) if not n or t - times[n - 1] > 5]


def _child(step: str, log: Path, out: Path) -> dict[str, float]:
    env = {**os.environ, "POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, __file__, "--step", step, "--log", str(log), "--work", str(out)],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Run the parts and print one JSON line."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--listens", type=int, default=20_000_000)
    args.add_argument("--listeners", type=int, default=50_000)
    args.add_argument("--tracks", type=int, default=200_000)
    args.add_argument("--work")
    args.add_argument("--log", help="folder of an earlier run's log")
    args.add_argument("--only", nargs="*", default=["ours", "features", "duckdb", "beam"])
    args.add_argument("--step", choices=["ours", "features", "duckdb", "beam", "generate"])
    given = args.parse_args()
    if given.step:
        steps = {"ours": ours, "features": features, "duckdb": duckdb, "beam": beam}
        found = steps[given.step](Path(given.log), Path(given.work))
        used = resource.getrusage(resource.RUSAGE_SELF)
        found |= {f"{given.step}_cpu_s": used.ru_utime + used.ru_stime, f"{given.step}_peak_gb": used.ru_maxrss / 2**20}
        print(json.dumps({k: round(v, 2) for k, v in found.items()}))
        return
    work = Path(given.work or tempfile.mkdtemp(prefix="ingest-20m-"))
    log = Path(given.log) if given.log else work / "log"
    if not log.exists():
        generate(log, given.listens, given.listeners, given.tracks)
    import pyarrow.parquet as pq

    listens = sum(pq.read_metadata(f).num_rows for f in sorted(log.glob("*.parquet")))
    result: dict[str, Any] = {"benchmark": "ingest_20m", "listens": listens, "load": [round(os.getloadavg()[0], 1)]}
    for step in given.only:
        out = work / ("ours" if step == "features" else step)
        if step != "features":
            shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True, exist_ok=True)
        result |= _child(step, log, out)
        result["load"].append(round(os.getloadavg()[0], 1))
    if {"ingest_s", "features_s", "duckdb_s"} <= set(result):
        result["times_duckdb"] = round((result["ingest_s"] + result["features_s"]) / result["duckdb_s"], 2)
        result["times_duckdb_cpu"] = round(
            (result["ours_cpu_s"] + result["features_cpu_s"]) / result["duckdb_cpu_s"], 2
        )
    if {"ingest_s", "features_s", "beam_us_a_listen"} <= set(result):
        mine = (result["ingest_s"] + result["features_s"]) / listens * 1e6
        result["times_faster_than_elements"] = round(result["beam_us_a_listen"] / mine, 1)
        mine = (result["ours_cpu_s"] + result["features_cpu_s"]) / listens
        theirs = result["beam_cpu_s"] / result["beam_sample_listens"]
        result["times_faster_than_elements_cpu"] = round(theirs / mine, 1)
    print(json.dumps(result))
    if not given.work:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
