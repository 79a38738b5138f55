"""A whole night on a Flink cluster on this machine, compared with the local runner's, table by table (`make flink`).

The command line of an installed package makes both nights: `nightshelf ingest` and `nightshelf run`, the second time with
options that hand each job to the cluster. What is made, and every process's log, stays in the folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pipelines.settings_file import to_yaml
from tests.flink.cluster import TASK_MANAGERS, Cluster, cluster
from tests.flink.compare import compare
from tests.pipelines.world import END, NIGHT, SETTINGS, simulated
from transforms.tables.warehouse import Warehouse

SHARDS = 4
JOBS = 8  # at the least: ingest, features, models, ranker and scores, and the nights before it


def make(nightshelf: Path, world: Path, warehouse: Path, settings: Path, log: Path, beam: Sequence[str] = ()) -> None:
    """Ingest the world and make its night, as a user does.

    Raises:
        RuntimeError: a command failed; it names the log.
    """
    ingest = ["ingest", "--format", "csv", "--input", str(world / "listens" / "*.csv"), "--end-date", f"{END}"]
    ingest += ["--mapping", str(world / "mapping.yaml"), "--tracks", str(world / "tracks.parquet")]
    ingest += ["--listeners-file", str(world / "listeners.parquet")]
    ingest += [f"--{kind}={world / kind}.parquet" for kind in ("feedback", "impressions")]
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with open(log, "wb") as out:
        for command in (ingest, ["run", "--date", f"{NIGHT}"]):
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
    return [f"{len(states)} jobs finished on {TASK_MANAGERS} task managers, {workers} workers started"]


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
    world, settings = simulated(out / "world"), out / "settings.yaml"
    settings.write_text(to_yaml(SETTINGS.model_copy(update={"shards": SHARDS})))
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)

    say(f"made a world; logs are in {out}")
    make(binaries / "nightshelf", world, out / "local", settings, out / "local.log")
    say("made the night on the local runner")
    with cluster(given.jars.resolve(), binaries / "python", out / "flink") as running:
        say("started a job manager, two task managers and the job server")
        make(binaries / "nightshelf", world, out / "cluster", settings, out / "cluster.log", running.options)
        for line in ("made the night on the cluster", *worked(running)):
            say(line)
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
