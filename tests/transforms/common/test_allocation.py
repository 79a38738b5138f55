"""A process that runs jobs asks the system once for memory that it uses again and again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from transforms.common.allocation import keep_freed

ROOT = Path(__file__).parent.parent.parent.parent
FAULTS = """
import resource, sys
if sys.argv[1] == "job":
    import pipelines
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(10 << 20)  # 80 MB
before = faults()
for _ in range(10):
    np.ones(10 << 20)
print(faults() - before)
"""


def faults(kind: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, kind], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not keep_freed(), reason="another C library than glibc")
def test_what_is_freed_is_used_again() -> None:
    pages = 10 * (80 << 20) // 4096
    plain = faults("plain")
    if plain < pages // 600:  # even with pages of 2 MB
        pytest.skip("the C library keeps what is freed by itself here")
    assert faults("job") < plain / 5
