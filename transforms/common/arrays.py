"""Arrays to a file and back, npz without pickles, the same bytes for the same arrays; and looking keys up in them.

>>> save_arrays("/tmp/x.npz", {"a": np.arange(3)}); load_arrays("/tmp/x.npz")["a"].tolist()
[0, 1, 2]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse


def save_arrays(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays, in name order.

    Raises:
        ValueError: an array of Python objects, which would need a pickle.
    """
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read what `save_arrays` wrote."""
    with np.load(path, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def from_csr(name: str, matrix: sparse.csr_matrix) -> dict[str, np.ndarray]:
    """A sparse matrix as named arrays."""
    return {
        f"{name}.data": matrix.data,
        f"{name}.indices": matrix.indices,
        f"{name}.indptr": matrix.indptr,
        f"{name}.shape": np.array(matrix.shape, np.int64),
    }


def to_csr(name: str, arrays: dict[str, np.ndarray]) -> sparse.csr_matrix:
    """The sparse matrix that `from_csr` took apart."""
    shape = tuple(int(size) for size in arrays[f"{name}.shape"])
    return sparse.csr_matrix((arrays[f"{name}.data"], arrays[f"{name}.indices"], arrays[f"{name}.indptr"]), shape=shape)


def positions(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int64: where each wanted key stands among ascending `keys`, the first of equal ones; -1 where it does not."""
    if not len(keys):
        return np.full(len(wanted), -1)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)
