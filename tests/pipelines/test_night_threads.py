"""A night has the same bytes on one processor and on more, whatever the environment says of threads and of kernels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.threads import compute_with
from tests.pipelines.world import NIGHT, World, hashes, manifests, without
from transforms.common.errors import UserError

ROOT = Path(__file__).parents[2]
MADE = """
import sys, json
from pipelines.nightly import night
from tests.pipelines.world import NIGHT, SETTINGS
night(sys.argv[1], NIGHT, SETTINGS)
import models.threads
print(json.dumps(models.threads._begun()))
"""
LIBRARIES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
TENSORFLOW = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
AROUND = {
    "one processor, one thread of everything, oneDNN off": (
        1,
        {**dict.fromkeys((*LIBRARIES, *TENSORFLOW), "1"), "TF_ENABLE_ONEDNN_OPTS": "0"},
    ),
    "more threads than processors, oneDNN on": (
        2,
        {**dict.fromkeys(LIBRARIES, "2"), "POLARS_MAX_THREADS": "3"}
        | {**dict.fromkeys(TENSORFLOW, "16"), "TF_ENABLE_ONEDNN_OPTS": "1"},
    ),
}


@pytest.mark.parametrize("around", AROUND)
def test_a_night_has_the_same_bytes(around: str, world: World, tmp_path: Path) -> None:
    """What `world` made in this process, made again in one of its own: features, models, a ranker, shelves."""
    cpus, variables = AROUND[around]
    warehouse = World.copy(world.made, tmp_path / "w")
    without(warehouse, NIGHT)
    assert "models" not in {key.split("@")[0] for key in manifests(warehouse) if key.endswith(str(NIGHT))}
    mine = sorted(os.sched_getaffinity(0))[:cpus]
    done = subprocess.run(
        ["taskset", "-c", ",".join(map(str, mine)), sys.executable, "-c", MADE, warehouse.url],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) is True, "TensorFlow took no part"
    one, other = hashes(world.warehouse), hashes(warehouse)
    assert one.keys() == other.keys()
    assert [key for key in one if one[key] != other[key]] == []


def test_a_process_cannot_compute_with_two_numbers_of_threads() -> None:
    """The world's models have been fitted with the default here, or will be."""
    import tensorflow as tf

    tf.constant(1.0) + 1.0  # it has begun
    compute_with(2)
    with pytest.raises(
        UserError, match="^expected models.threads: 2, as TensorFlow began with.*found 3; use a process"
    ):
        compute_with(3)
