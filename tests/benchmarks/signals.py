"""What signals cost a night's fold, and what trials say of planted signals over several worlds.

    python -m tests.benchmarks.signals fold [--listeners 50000] [--plays 333000] [--repeat 3]
    python -m tests.benchmarks.signals planted [--worlds 3] [--listeners 120]

`fold` folds one date with the log's stored columns as signals (the default) and without any, and prints CPU seconds of each, and
bytes of the tables. `planted` makes small worlds (tests/pipelines/signal_world.py), each with another seed of what is
planted, and prints what `nightshelf signal try` says of each signal.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.features import features
from pipelines.recommender.signal_trial import trial
from pipelines.runtime.config import Settings
from tests.benchmarks.incremental import day, day_of_listens, put
from tests.pipelines.signal_world import AHEAD, MADE, planted
from tests.pipelines.world import NIGHT
from transforms.tables.upkeep import tables
from transforms.tables.warehouse import Warehouse, folder

CONTEXTS, PLATFORMS = ("album", "playlist", "radio", "search"), ("android", "ios", "web")
LEAKS = ("hint", "review")


def with_columns(listens: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Listens with contexts, platforms, shuffle, and up to three devices a listener."""
    rng, n = np.random.default_rng(seed), listens.height
    return listens.with_columns(
        context=pl.Series(np.array(CONTEXTS)[rng.integers(len(CONTEXTS), size=n)].tolist()),
        platform=pl.Series(np.array(PLATFORMS)[rng.integers(len(PLATFORMS), size=n)].tolist()),
        shuffle=pl.Series(rng.random(n) < 0.3),
        device_id=pl.format("{} {}", "listener_id", pl.Series(rng.integers(3, size=n))),
    )


def fold(listeners: int, tracks: int, plays: int, repeat: int) -> dict[str, float]:
    """CPU seconds of a date's fold with signals and without, by turns; bytes a listener of the tables of signals."""
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    out: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        warehouse, settings = Warehouse(scratch), Settings(shards=8)
        none = settings.model_copy(update={"signals": settings.signals.model_copy(update={"stored": ()})})
        listens = with_columns(day_of_listens(1, listeners, tracks, plays), 1)
        put(warehouse, 1, listens, settings.shards)
        for _ in range(repeat):
            for label, chosen in (("without", none), ("with", settings)):
                for table in tables(warehouse):
                    if table != "listens":
                        warehouse.store.delete(folder(table, day(1)))
                began = time.process_time()
                features(warehouse.url, day(1), day(1), chosen)
                seconds[label].append(time.process_time() - began)
        people = listens["listener_id"].n_unique()
        for table in ("listener_signals", "track_signals", "sessions"):
            manifest = warehouse.need(table, day(1))
            out[f"{table}, rows a listener"] = manifest.rows / people
            out[f"{table}, bytes a listener"] = sum(f.bytes for f in manifest.files) / people
    return {**{f"{label}, CPU seconds": statistics.median(found) for label, found in seconds.items()}, **out}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("fold", "planted"))
    parser.add_argument("--listeners", type=int)
    parser.add_argument("--tracks", type=int, default=200_000)
    parser.add_argument("--plays", type=int, default=333_000, help="a day")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--worlds", type=int, default=3)
    args = parser.parse_args()
    if args.what == "fold":
        found = fold(args.listeners or 50_000, args.tracks, args.plays, args.repeat)
        print(json.dumps({name: round(value, 2) for name, value in found.items()}))
        return
    for seed in range(7, 7 + args.worlds):
        with tempfile.TemporaryDirectory() as scratch:
            world = planted(Path(scratch), args.listeners or 120, seed)
            for name in ("wish", "style", "plan", "noise", "hint", "review"):
                ignored = tuple(one for one in LEAKS if one != name)
                signals = MADE.signals.model_copy(update={"ignored": ignored})
                found_one = trial(world.warehouse.url, name, MADE.model_copy(update={"signals": signals}), NIGHT, AHEAD)
                print(f"seed {seed}", *found_one.lines(), sep="\n", flush=True)


if __name__ == "__main__":
    main()
