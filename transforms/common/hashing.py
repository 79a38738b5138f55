"""Stable hashes: the only source of order among equals, of identity, and of randomness.

Python's `hash` differs between processes and Polars' between versions, so neither may decide anything that is written.
Strings are hashed with BLAKE2b (8 bytes) over their distinct values; numbers derived from them are mixed with
SplitMix64 (Steele et al., OOPSLA 2014), which is vectorised here. A draw is a pure function of
(seed, purpose, what it is about), so a retried bundle draws the same.

    >>> stable_hash(["a", "b"]).tolist() == stable_hash(["a", "b"]).tolist()
    True
    >>> float(uniform(1, "draw", ["ann"], ["discover-weekly"])[0]) == float(uniform(1, "draw", ["ann"], ["discover-weekly"])[0])
    True
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import polars as pl
import pyarrow as pa

Column = pl.Series | Sequence[str] | Sequence[int] | np.ndarray

_M1, _M2, _GAMMA = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15)


def _mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser over a uint64 array (wraps around by design)."""
    with np.errstate(over="ignore"):
        x = x + _GAMMA
        x = (x ^ (x >> np.uint64(30))) * _M1
        x = (x ^ (x >> np.uint64(27))) * _M2
        return x ^ (x >> np.uint64(31))


def hash_text(text: str) -> int:
    """64-bit hash of one string."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def hash_texts(texts: Sequence[str]) -> np.ndarray:
    """`hash_text` of each, uint64."""
    digests = b"".join([blake2b(t.encode(), digest_size=8).digest() for t in texts])
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)


def _hash_column(values: Column) -> np.ndarray:
    series = values if isinstance(values, pl.Series) else pl.Series(values)
    if series.dtype.is_integer() or series.dtype.is_temporal():
        numbers = series if series.dtype == pl.UInt64 else series.cast(pl.Int64)
        return _mix(numbers.to_numpy().astype(np.uint64))
    encoded = (
        series.cast(pl.String).fill_null("\x00").to_arrow(compat_level=pl.CompatLevel.oldest()).dictionary_encode()
    )
    return hash_texts(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()]


def stable_hash(*columns: Column, seed: int = 0, purpose: str = "") -> np.ndarray:
    """Hash rows of equally long columns.

    Args:
        columns: strings, integers or dates; at least one.
        seed: the run's seed.
        purpose: keeps two uses of the same ids independent.

    Returns:
        uint64 array, one value a row; equal on every machine and in every process.
    """
    state = np.uint64(hash_text(f"{seed}/{purpose}"))
    out = np.full(len(columns[0]), state, dtype=np.uint64)
    for column in columns:
        out = _mix(out ^ _hash_column(column))
    return out


def uniform(seed: int, purpose: str, *columns: Column) -> np.ndarray:
    """Uniform numbers in [0, 1), float64, a pure function of seed, purpose and the row's columns."""
    return (stable_hash(*columns, seed=seed, purpose=purpose) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def hex_id(*columns: Column, purpose: str = "") -> pl.Series:
    """16 hex characters that identify a row, e.g. a session by (listener, first start)."""
    return hex_text(stable_hash(*columns, purpose=purpose)).alias("id")


def hex_text(numbers: np.ndarray) -> pl.Series:
    """uint64 as 16 hex characters each, without a Python object a row."""
    pairs = np.frombuffer("".join(f"{i:02x}" for i in range(256)).encode(), dtype=np.uint16)
    text = pairs[numbers.astype(">u8").view(np.uint8)].view(np.uint8)
    offsets = np.arange(0, 16 * (len(numbers) + 1), 16, dtype=np.int64)
    array = pa.LargeStringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text))
    return pl.Series("hex", pl.from_arrow(array), dtype=pl.String)
