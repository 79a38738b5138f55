"""A whole night on a Flink cluster on this machine, compared with the local runner's, table by table (`make flink`).

The command line of an installed package makes both nights: `nightshelf ingest`, `run` and `evaluate`, the second time with
options that hand each job to the cluster. What is made, and every process's log, stays in the folder. The world and the
models are as small as a night allows, since every job of the cluster begins with workers that import everything anew:
what is compared is the way, not the load.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.runtime.config import Settings
from pipelines.runtime.settings_file import to_yaml
from tests.flink.cluster import TASK_MANAGERS, Cluster, cluster
from tests.flink.compare import compare
from tests.pipelines.world import END, NIGHT, simulated
from transforms.tables.warehouse import Warehouse

SMALL = {"listeners": 40, "tracks": 300, "days": 12}
SETTINGS = Settings.model_validate(
    {
        "shards": 4,
        "models": {
            "als": {"factors": 8, "iterations": 2},
            "two_tower": {"dims": 8, "hidden": 16, "epochs": 1, "batch": 64},
            "sequence": {
                "dims": 8,
                "layers": 1,
                "length": 10,
                "epochs": 1,
                "batch": 64,
                "windows": 128,
                "negatives": 32,
            },
        },
        "candidates": {"per_source": 30},
        "bootstrap": {"nights": 1, "days_apart": 3},
        "outcomes": {"horizons": [3]},
        "evaluation": {"draws": 100},
        "ranker": {"kind": "linear"},
        "gates": {"ingest": {"rejects": 0.5}},  # the log's one listener that is a machine weighs more among forty
    }
)
# ingest, features, models and scores of the night and of one before it, outcomes, ranker, evaluation
JOBS = 10


def make(nightshelf: Path, world: Path, warehouse: Path, settings: Path, log: Path, beam: Sequence[str] = ()) -> None:
    """Ingest the world, make its night and measure it, as a user does.

    Raises:
        RuntimeError: a command failed; it names the log.
    """
    ingest = ["ingest", "--format", "csv", "--input", str(world / "listens" / "*.csv"), "--end-date", f"{END}"]
    ingest += ["--mapping", str(world / "mapping.yaml"), "--tracks", str(world / "tracks.parquet")]
    ingest += ["--listeners-file", str(world / "listeners.parquet")]
    ingest += [f"--{kind}={world / kind}.parquet" for kind in ("feedback", "impressions")]
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    night = f"--date={NIGHT}"
    with open(log, "wb") as out:
        for command in (ingest, ["run", night], ["evaluate", night, f"--days={(END - NIGHT).days}"]):
            full = [str(nightshelf), *command, "--warehouse", str(warehouse), "--config", str(settings), *beam]
            done = subprocess.run(full, cwd=log.parent, env=env, stdout=out, stderr=subprocess.STDOUT)
            if done.returncode:
                raise RuntimeError(f"nightshelf {command[0]} ended with {done.returncode}; see {log}")


def worked(running: Cluster) -> list[str]:
    """What shows that the cluster did the work; raises RuntimeError if it did not."""
    states = running.jobs()
    if len(states) < JOBS or set(states) != {"FINISHED"}:
        raise RuntimeError(f"expected at least {JOBS} finished jobs, found {states}")
    workers = len(list(running.logs.glob("worker-*.log")))
    if workers < TASK_MANAGERS * JOBS:
        raise RuntimeError(f"expected a worker of each task manager and job, found {workers}")
    used = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in running.cpu_seconds().items())
    return [
        f"{len(states)} jobs finished on {TASK_MANAGERS} task managers, {workers} workers started",
        f"processor time: {used}",
    ]


def stages(warehouse: Path) -> dict[str, float]:
    """Seconds of every job, from its record, in the order they ran."""
    records = [json.loads(path.read_text()) for path in (warehouse / "runs").glob("*.json")]
    jobs: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for record in records:
        jobs.setdefault((record["job"], record["seconds"]), []).append(record)
    ran = sorted(jobs.items(), key=lambda pair: min(r["at"] for r in pair[1]))
    return {f"{job} {max(r['date'] for r in found)}": seconds for (job, seconds), found in ran}


def busy() -> float:
    """Processor seconds of this process and of the commands it ran."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def main() -> None:
    """Make both nights, compare them, and exit with 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jars", type=Path, required=True, help="Folder with the jars of Flink and Beam's runner.")
    parser.add_argument(
        "--environment", type=Path, required=True, help="Virtual environment with the package installed."
    )
    parser.add_argument("--out", type=Path, required=True, help="Folder to work in; it is emptied first.")
    given = parser.parse_args()
    # Asked to end, it ends by an exception, so that the cluster is stopped on the way.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out, binaries = given.out.resolve(), given.environment.absolute() / "bin"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)

    world, settings = simulated(out / "world", **SMALL), out / "settings.yaml"
    settings.write_text(to_yaml(SETTINGS))
    say(f"made a world; logs are in {out}")
    make(binaries / "nightshelf", world, out / "local", settings, out / "local.log")
    say(f"made the night on the local runner ({busy():.0f} s of processors so far)")
    with cluster(given.jars.resolve(), binaries / "python", out / "flink") as running:
        say("started a job manager, two task managers and the job server")
        make(binaries / "nightshelf", world, out / "cluster", settings, out / "cluster.log", running.options)
        for line in (f"made the night on the cluster ({busy():.0f} s of processors outside it)", *worked(running)):
            say(line)
    took = stages(out / "local")
    for name, seconds in stages(out / "cluster").items():
        say(f"{name}: {seconds:.1f} s on the cluster, {took.get(name, 0.0):.1f} s on the local runner")
    same, differences = compare(Warehouse(str(out / "local")), Warehouse(str(out / "cluster")))
    for how in sorted(set(same.values())):
        say(f"{sum(found == how for found in same.values())} tables and dates with {how}")
    for line in differences:
        say(f"DIFFERS {line}")
    if differences or not same:
        sys.exit(1)
    say("the nights are equal")


if __name__ == "__main__":
    main()
