"""The jobs, and what launches them.

Sums of a BLAS product depend, in their last bits, on how many threads share it, and so did a learned order of tracks: one and
two CPUs made different shelves of one version. So every process that runs a job has one thread for them, whatever its
machine or its environment says. What is parallel here are processes, compiled loops and TensorFlow, whose sums are not shared so.

Nor does a compiled library print where it panicked, whatever the environment says: where memory is what it lacks, printing needs
more of it, and the process would wait for itself for ever.
"""

from __future__ import annotations

import os
import sys

from transforms.common.allocation import keep_freed

keep_freed()
for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[name] = "1"
os.environ["RUST_BACKTRACE"] = "0"
if "numpy" in sys.modules:  # its library has looked at the environment already
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")
