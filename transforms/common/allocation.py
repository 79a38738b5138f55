"""Memory that one step frees is kept for the next one.

The C library gives large blocks back to the system as soon as they are freed and asks for them again, page by page, a moment
later. Training does so with the same tensors in every step: a fifth of a fit's processor time was spent in the kernel. So
blocks come from the heap whatever their size, and the heap's end is given back only where much of it is free.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # mallopt(3)
KEPT_BYTES = 1 << 30


def keep_freed() -> bool:
    """Let the C library keep what is freed, up to a gigabyte at the heap's end; whether it can be told to."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library than glibc
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
