"""One listener's shelves of 100,000, read by key from a local warehouse whose files are not in memory.

    python -m tests.benchmarks.reader [--listeners 100000] [--shards 64] [--reads 60] [--out DIR]

Table `shelves` is written by the writer that every night uses, with the shelves of the default settings at their full sizes; the
tracks on them are invented. Before every read the manifest and all files of the listener's shard are dropped from the page cache
(posix_fadvise), and mincore has to say that none of their pages is there. Timed is what docs/reading.md shows: the newest night
is looked up, its manifest read, one file opened, and the rows turned into Python objects. The same by DuckDB, over the same file.
Processor time stands beside, because other work on a machine lengthens the rest.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from nightshelf.reader import open_night, shard_of
from transforms.shelves.defaults import DEFAULT
from transforms.tables.chunks import shard_of as shards_of
from transforms.tables.runs import Written, finish, plan
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

NIGHT, AT = date(2026, 1, 31), datetime(2026, 2, 1, tzinfo=UTC)
TRACKS = 50_000


def template(listeners: int, seed: int = 1) -> pl.DataFrame:
    """Rows of `shelves` of so many listeners, by listener and shelf, without their ids (`who` numbers them)."""
    schema = TABLES["shelves"].polars
    inner = schema["items"].inner  # type: ignore[attr-defined]
    shelves = sorted(DEFAULT, key=lambda s: s.shelf_id)
    random = np.random.default_rng(seed)

    def lists(sizes: list[int]) -> pl.Series:
        counts = np.tile(np.array(sizes), listeners)
        n, row = int(counts.sum()), np.repeat(np.arange(len(counts)), counts)
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        track = pl.Series(random.integers(0, TRACKS, n))
        items = pl.DataFrame({"row": row, "position": np.arange(n) - starts + 1, "track": track}).with_columns(
            track_id=pl.format("track-{}", "track"),
            artist_ids=pl.concat_list(pl.format("artist-{}", pl.col("track") // 9)),
            score=pl.Series(random.normal(size=n).astype(np.float32)),
            source=pl.lit("als"),
            reason=pl.lit("because_you_played"),
            reason_ref=pl.format("track-{}", pl.col("track") // 3),
            explored=pl.lit(False),
            title=pl.format("The Song of the {}", "track"),
            artist_names=pl.concat_list(pl.format("The Band of the {}", pl.col("track") // 9)),
        )
        absent = [pl.lit(None, dtype=f.dtype).alias(f.name) for f in inner.fields if f.name not in items.columns]
        structs = items.with_columns(absent).select("row", item=pl.struct(f.name for f in inner.fields).cast(inner))
        by = structs.group_by("row", maintain_order=True).agg("item")
        every = pl.DataFrame({"row": np.arange(len(counts))}).join(by, on="row", how="left", maintain_order="left")
        return every["item"].fill_null([])

    known = {
        "who": np.repeat(np.arange(listeners), len(shelves)),
        "surface": [s.surface for s in shelves] * listeners,
        "shelf_id": [s.shelf_id for s in shelves] * listeners,
        "title": [s.title for s in shelves] * listeners,
        "home_position": list(range(1, len(shelves) + 1)) * listeners,
        "items": lists([s.size for s in shelves]),
        "spares": lists([s.spares for s in shelves]),
    }
    same = {"run_date": NIGHT, "version": "v", "status": "personal", "data_cutoff": AT, "refresh_date": NIGHT}
    same |= {"valid_from": AT, "valid_until": AT, "model_version": "m"}
    frame = pl.DataFrame(known).with_columns(pl.lit(value).alias(name) for name, value in same.items())
    rest = [pl.lit(None, dtype=t).alias(c) for c, t in schema.items() if c not in {*frame.columns, "listener_id"}]
    return frame.with_columns(rest)


def build(url: str, listeners: int, shards: int) -> list[str]:
    """A warehouse with one night of so many listeners; their ids."""
    ids = pl.Series("listener_id", [f"listener-{n:06}" for n in range(listeners)])
    shard = shards_of(ids, shards)
    warehouse = Warehouse(url)
    run = plan(warehouse, "shelves", NIGHT, shards=shards, inputs={}, settings={}, step_version="benchmark")
    if run is None:
        raise SystemExit("--out holds such a night already: name an empty folder")
    rows = template(max(np.bincount(shard, minlength=shards).tolist()))
    written = []
    for k in range(shards):
        own = ids.filter(pl.Series(shard == k)).sort()
        frame = rows.filter(pl.col("who") < len(own)).with_columns(
            own.gather(rows.filter(pl.col("who") < len(own))["who"])
        )
        entry = write_frame(run, k, frame.drop("who"), presorted=True)
        written.append(Written("shelves", NIGHT.isoformat(), entry))
    finish(run, written)
    return ids.to_list()


def resident(path: Path) -> int:
    """Pages of a file that are in memory."""
    size = path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE) as mapped:
        libc, pages = ctypes.CDLL(None, use_errno=True), -(-size // mmap.PAGESIZE)
        found = (ctypes.c_ubyte * pages)()
        at = np.frombuffer(mapped, np.uint8)
        if libc.mincore(ctypes.c_void_p(at.ctypes.data), ctypes.c_size_t(size), found):
            raise OSError(ctypes.get_errno(), "mincore")
        del at
        return sum(page & 1 for page in found)


def dropped(paths: list[Path]) -> None:
    """Drop files from the page cache, and see that they are gone."""
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if left := resident(path):
            raise SystemExit(f"{left} pages of {path.name} stay in memory, so a read would not be cold")


def measured(url: str, ids: list[str], reads: int, read: Callable[[str], int]) -> dict[str, float]:
    """Milliseconds of cold reads: median, 95th percentile, the longest; and shelves read."""
    manifest = Path(url) / f"shelves/date={NIGHT}/_current.json"
    files = json.loads(manifest.read_bytes())["files"]
    shards = max(f["shard"] for f in files) + 1
    took, busy, shelves = [], [], 0
    for listener in ids[:: max(1, len(ids) // reads)][:reads]:
        mine = [Path(url) / f["path"] for f in files if f["shard"] == shard_of(listener, shards)]
        dropped([manifest, *mine])
        began, worked = time.perf_counter(), time.process_time()
        shelves += read(listener)
        took.append(1000 * (time.perf_counter() - began))
        busy.append(1000 * (time.process_time() - worked))
    ends = {
        "median_ms": np.median(took),
        "p95_ms": np.percentile(took, 95),
        "longest_ms": max(took),
        "cpu_ms": np.median(busy),
    }
    return {name: round(float(value), 1) for name, value in ends.items()} | {"reads": len(took), "shelves": shelves}


def by_duckdb(url: str) -> Callable[[str], int]:
    """The example of docs/reading.md."""
    import duckdb

    def read(listener: str) -> int:
        night = open_night(url)
        shard = shard_of(listener, night.manifest["shards"])
        files = [f"{url}/{f['path']}" for f in night.manifest["files"] if f["shard"] == shard]
        asked = "select shelf_id, items from read_parquet(?) where listener_id = ?"
        return len(duckdb.execute(asked, [files, listener]).fetchall())

    return read


def main() -> None:
    """Build, read, print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("listeners", 100_000), ("shards", 64), ("reads", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", help="where the warehouse is kept; default: a folder that is deleted")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        url = given.out or f"{scratch}/warehouse"
        began = time.perf_counter()
        ids = build(url, given.listeners, given.shards)
        files = list(Path(url).rglob("*.parquet"))
        os.sync()
        size = {
            "listeners": len(ids),
            "files": len(files),
            "megabytes": round(sum(f.stat().st_size for f in files) / 1e6),
        }
        print(json.dumps({"benchmark": "reader", **size, "seconds_to_write": round(time.perf_counter() - began, 1)}))
        reader = measured(url, ids, given.reads, lambda who: len(open_night(url).shelves(who)))
        print(json.dumps({"benchmark": "reader", "by": "nightshelf.reader", **reader}))
        print(json.dumps({"benchmark": "reader", "by": "duckdb", **measured(url, ids, given.reads, by_duckdb(url))}))
        print(json.dumps({"benchmark": "reader", "python": sys.version.split()[0], "night": str(NIGHT)}))


if __name__ == "__main__":
    main()
