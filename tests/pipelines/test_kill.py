"""A run killed anywhere leaves nothing a reader can see, and running again gives the bytes of a run that was not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from pipelines.nightly import night
from tests.pipelines.kill_points import FIVE
from tests.pipelines.world import LIGHT, NIGHT, World, hashes, ingested, manifests, without
from transforms.tables.upkeep import check_table, states
from transforms.tables.warehouse import Warehouse


@cache
def killer() -> tuple[subprocess.Popen[str], Path]:
    """The process whose forks are killed, and the file of what they say; it ends with this one, whose pipe it reads."""
    said = Path(tempfile.mkdtemp()) / "said"
    with open(said, "w") as err:
        command = [sys.executable, "-m", "tests.pipelines.killer"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True), said


def killed(what: str, warehouse: Warehouse, pattern: str, n: int, log: Path | None = None) -> None:
    """Run in a process of its own that dies at the point."""
    process, said = killer()
    assert process.stdin is not None and process.stdout is not None
    asked = [what, warehouse.url, pattern, str(n), *([str(log)] if log else [])]
    print(json.dumps(asked), file=process.stdin, flush=True)
    ended = process.stdout.readline()
    assert ended == f"{-signal.SIGKILL}\n", (pattern, ended, said.read_text()[-2000:])


def assert_readable(warehouse: Warehouse) -> None:
    """Every manifest's files are there with the committed bytes, made of inputs that are current."""
    for key, manifest in manifests(warehouse).items():
        assert check_table(warehouse, manifest) == [], key
    assert [s.manifest.table for s in states(warehouse) if s.moved] == []


def assert_equal(warehouse: Warehouse, other: Warehouse) -> None:
    made, whole = hashes(warehouse), hashes(other)
    assert made.keys() == whole.keys()
    assert [key for key in whole if made[key] != whole[key]] == []
    versions = [{k: m.version for k, m in manifests(w).items()} for w in (warehouse, other)]
    assert versions[0] == versions[1]


def test_a_night_killed_again_and_again_ends_with_the_bytes_of_one_that_was_not(light, tmp_path):
    """`python -m tests.benchmarks.survival --night` kills at all twenty points, with every model and 200 listeners."""
    warehouse = World.copy(light.made, tmp_path / "killed")
    without(warehouse, NIGHT)
    seen = [set(manifests(warehouse))]
    for pattern, n, _ in FIVE:
        killed("light", warehouse, pattern, n)
        assert_readable(warehouse)
        seen.append(set(manifests(warehouse)))
        assert seen[-1] >= seen[-2]
        shelves = f"shelves@{NIGHT}" in seen[-1]
        assert shelves == (
            pattern == "runs/*"
        )  # readers enter at the shelves: they come last, and all of a night with them
    assert {f"rankers@{NIGHT}", f"candidates@{NIGHT}"} == seen[-2] - seen[-3], "a night half committed"
    night(warehouse.url, NIGHT, LIGHT)
    assert_equal(warehouse, light.warehouse)


def test_an_ingest_killed_again_and_again(unmade, tmp_path):
    warehouse = Warehouse(str(tmp_path / "killed"))
    reached = []
    for pattern, n in (
        ("listens/*.parquet", 5),
        ("listens/*/_current.json", 4),
        ("tracks/*/_current.json", 1),
        ("rejects/*/_current.json", 1),
    ):
        killed("ingest", warehouse, pattern, n, unmade.log)
        assert_readable(warehouse)
        reached.append(len(manifests(warehouse)))
        assert warehouse.dates("rejects") == []  # the ledger comes last: the files do not count as ingested
    assert reached == sorted(set(reached)) and reached[0] == 0
    assert ingested(unmade.log, Path(warehouse.url)).url == warehouse.url
    assert_equal(warehouse, Warehouse(str(unmade.ingested)))
