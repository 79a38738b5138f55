"""Equal versions on one CPU and on many: no sum depends on how many threads share it, whatever the environment says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FIT = """
import hashlib, os, sys
if sys.argv[1] == "late":
    import numpy
import pipelines
import numpy as np, scipy.linalg
from threadpoolctl import threadpool_info
import models
pools = [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]
assert pools and set(pools) == {1}, pools
assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
draw = np.random.default_rng(1)
left, right = (draw.standard_normal((20_000, 24)).astype(np.float32) for _ in range(2))
weights = np.linalg.solve(left.T @ left + np.eye(24, dtype=np.float32), left.T @ right)
print(hashlib.sha256(weights.tobytes() + (left @ weights[:, 0]).tobytes()).hexdigest())
"""


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_product_has_the_same_bytes_however_many_threads_there_are(when: str) -> None:
    """`late`: numpy was there before us, and had looked at the environment."""
    printed = set()
    for threads, cpus in (("1", 1), ("2", 2), ("8", 2), (None, 1)):
        environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
        environment |= {"TF_ENABLE_ONEDNN_OPTS": "1", **({"OPENBLAS_NUM_THREADS": threads} if threads else {})}
        mine = sorted(os.sched_getaffinity(0))[:cpus]
        done = subprocess.run(
            ["taskset", "-c", ",".join(map(str, mine)), sys.executable, "-c", FIT, when],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        printed.add(done.stdout)
    assert len(printed) == 1


LOADED = """
import os
import tests.benchmarks.faults.loaded
names = [open(f"/proc/self/task/{t}/comm").read().strip() for t in os.listdir("/proc/self/task")]
begun = [name for name in names if name.startswith(("polars-0", "polars-1", "tokio"))]
assert not begun, begun
assert os.environ["RUST_BACKTRACE"] == "0"
"""


def test_no_module_begins_polars_threads_while_it_is_loaded() -> None:
    """Worker processes are forks of one that has loaded the program: there such threads are gone, and who asks waits for ever."""
    environment = os.environ | {"RUST_BACKTRACE": "1"}
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
