"""`hashing.uniform` for compiled loops: the same number for the same row, one row at a time.

>>> state = np.uint64(hash_text("1/draw"))
>>> first, second = np.array([7]), np.array([9])
>>> float(uniform(1, "draw", first, second)[0]) == uniform_of(state, np.uint64(7), np.uint64(9))
True
"""

from __future__ import annotations

import numpy as np

from transforms.common.compiled import compiled

_M1, _M2, _GAMMA = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@compiled
def mix(x: np.uint64) -> np.uint64:
    """SplitMix64's finaliser of one number."""
    x = x + _GAMMA
    x = (x ^ (x >> _30)) * _M1
    x = (x ^ (x >> _27)) * _M2
    return x ^ (x >> _31)


@compiled
def uniform_of(state: np.uint64, first: np.uint64, second: np.uint64) -> float:
    """`hashing.uniform` of one row of two integer columns; `state` is `hash_text` of "seed/purpose"."""
    return float(mix(mix(state ^ mix(first)) ^ mix(second)) >> _11) * 2.0**-53
