"""Random draws as pure functions of a key: the same key and purpose always give the same number.

A key is a uint64 that names what is drawn for (a listener, one of their sessions, a play of it); `child` derives
one from another. Draws therefore need no generator state, and a world does not depend on who computes which part of
it in which order. Mixing is SplitMix64's finaliser (Steele et al., OOPSLA 2014).

    >>> ann = root(1, "listener")
    >>> bool(uniform(child(ann, np.arange(3)), "mood")[2] == uniform(child(ann, np.array([2])), "mood")[0])
    True
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from transforms.common.hashing import hash_text

_M1, _M2, _GAMMA = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15)


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + _GAMMA
    x ^= x >> np.uint64(30)
    x *= _M1
    x ^= x >> np.uint64(27)
    x *= _M2
    x ^= x >> np.uint64(31)
    return x


@lru_cache(maxsize=1024)
def _purpose(purpose: str) -> np.uint64:
    return np.uint64(hash_text(purpose))


def root(seed: int, purpose: str) -> np.ndarray:
    """The key everything of one kind descends from, uint64[1]."""
    return np.array([hash_text(f"{seed}/{purpose}")], dtype=np.uint64)


def child(keys: np.ndarray, index: np.ndarray | int) -> np.ndarray:
    """Keys of the index-th descendants; keys and index broadcast."""
    return _mix(keys ^ _mix(np.atleast_1d(np.asarray(index, dtype=np.int64)).astype(np.uint64)))


def uniform(keys: np.ndarray, purpose: str) -> np.ndarray:
    """Uniform numbers in [0, 1), one a key, float64."""
    return (_mix(keys ^ _purpose(purpose)) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(keys: np.ndarray, purpose: str) -> np.ndarray:
    """Standard normal numbers, one a key (Box and Muller 1958)."""
    radius = np.sqrt(-2.0 * np.log1p(-uniform(keys, purpose)))
    return radius * np.cos(2.0 * np.pi * uniform(keys, purpose + "/angle"))


def normals(keys: np.ndarray, purpose: str, width: int) -> np.ndarray:
    """Standard normal numbers [len(keys), width], float32."""
    return normal(child(keys[:, None], np.arange(width)[None, :]), purpose).astype(np.float32)


def geometric(keys: np.ndarray, purpose: str, mean: np.ndarray | float) -> np.ndarray:
    """Geometric numbers 0, 1, 2, ... with the given mean (> 0), int64."""
    mean = np.asarray(mean, dtype=np.float64)
    return np.floor(np.log1p(-uniform(keys, purpose)) / np.log(mean / (1.0 + mean))).astype(np.int64)


def poisson(keys: np.ndarray, purpose: str, rate: np.ndarray, most: int) -> np.ndarray:
    """Poisson numbers by inversion, at most `most`, int64."""
    u = uniform(keys, purpose)
    term = np.exp(-rate)
    below = term.copy()
    count = np.zeros(u.shape, dtype=np.int64)
    for k in range(1, most + 1):
        more = u >= below
        if not more.any():
            break
        count += more
        term = term * rate / k
        below += term
    return count


def pick(keys: np.ndarray, purpose: str, weights: np.ndarray) -> np.ndarray:
    """An index for each key, with probability proportional to weights [m] or, row by row, [len(keys), m]."""
    u = uniform(keys, purpose)
    cumulative = np.cumsum(weights, axis=-1, dtype=np.float64)
    if cumulative.ndim == 1:
        return np.minimum(np.searchsorted(cumulative, u * cumulative[-1], side="right"), len(cumulative) - 1)
    hit = (cumulative <= (u * cumulative[:, -1])[:, None]).sum(axis=1)
    return np.minimum(hit, weights.shape[1] - 1)


def zipf_rank(keys: np.ndarray, purpose: str, size: np.ndarray | int) -> np.ndarray:
    """A rank in [0, size) with probability about proportional to 1 / (rank + 1), int64."""
    size = np.asarray(size, dtype=np.float64)
    return np.minimum(np.floor(size ** uniform(keys, purpose)) - 1, size - 1).astype(np.int64)


def ids(prefix: str, keys: np.ndarray) -> np.ndarray:
    """Ids without meaning: the prefix and 14 hex characters of each key, object array of str."""
    return np.array([f"{prefix}{k >> 8:014x}" for k in keys.tolist()], dtype=object)
