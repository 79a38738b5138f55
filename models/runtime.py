"""What every TensorFlow module of this package needs: determinism, and CSR arrays cut into padded blocks.

`deterministic(seed)` makes a fit a function of its inputs and its seed on one machine type. `buckets` groups rows of a
CSR matrix by length so that padding stays below half of the work and no batch exceeds a given number of cells.

    >>> [rows.tolist() for rows, width in buckets(np.array([1, 9, 2, 0]), cells=100)]
    [[0], [2], [1]]
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from scipy.sparse import csr_matrix
from tensorflow.core.protobuf import saved_model_pb2

# A night loads one model a date, so equal graphs are traced more than once, and on purpose.
tf.get_logger().setLevel("ERROR")
_COUNTED = re.compile(r"\b(__(?:inference|forward|backward)_\w*?_|PartitionedCall-|CustomGradient-)(\d+)(?!\w)")
_CAPTURED = re.compile(r'(key: "_user_specified_name"\s+value \{\s+s: )"\d+"')


def deterministic(seed: int) -> None:
    """Turn on op determinism and seed every generator TensorFlow and Keras may reach for."""
    tf.config.experimental.enable_op_determinism()
    tf.keras.backend.reset_uids()  # a layer's name stands in what is saved
    random.seed(seed)
    np.random.seed(seed % 2**32)
    tf.random.set_seed(seed)


def export(module: tf.Module, folder: Path) -> None:
    """Save a module with its function `embed` as the serving signature; equal modules are equal files."""
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.embed})
    canonical(folder)


def canonical(export: Path) -> None:
    """Rewrite a SavedModel so that equal models are equal files, whatever the process had traced before.

    Function names end in a count of everything the process has made so far (they are numbered anew, in that order), and
    so do the names of captured variables (they are called the same: nothing reads them). The fingerprint, a random id
    beside checksums of the file as it was, is left out; loading does without it.
    """
    path = export / "saved_model.pb"
    text = text_format.MessageToString(saved_model_pb2.SavedModel.FromString(path.read_bytes()))
    found = sorted(set(_COUNTED.findall(text)), key=lambda name: int(name[1]))
    order = {name: n for n, name in enumerate(found)}
    text = _COUNTED.sub(lambda m: f"{m[1]}{order[m[1], m[2]]:06d}", text)
    text = _CAPTURED.sub(r'\1"captured"', text)
    model = text_format.Parse(text, saved_model_pb2.SavedModel())
    for meta in model.meta_graphs:
        functions = sorted(meta.graph_def.library.function, key=lambda f: f.signature.name)
        del meta.graph_def.library.function[:]
        meta.graph_def.library.function.extend(functions)
    path.write_bytes(model.SerializeToString(deterministic=True))
    (export / "fingerprint.pb").unlink(missing_ok=True)


def buckets(lengths: np.ndarray, cells: int, most: int = 1 << 30) -> Iterator[tuple[np.ndarray, int]]:
    """Row numbers in batches of like length, shortest first, with the width to pad them to; empty rows are left out.

    Widths are 1, 2, 3, 4, 6, 8, 12, 16, ...: few enough shapes, at most half of a batch is padding.

    Args:
        lengths: int [m], stored entries of each row.
        cells: a batch has at most so many rows x width (always at least one row).
        most: a batch has at most so many rows.
    """
    order = np.argsort(lengths, kind="stable")
    order = order[np.searchsorted(lengths[order], 1) :]
    widths = _width(lengths[order])
    for width in np.unique(widths):
        rows = order[widths == width]
        step = max(1, min(most, cells // int(width)))
        for start in range(0, len(rows), step):
            yield rows[start : start + step], int(width)


def _width(lengths: np.ndarray) -> np.ndarray:
    power = 2 ** np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)
    return np.where(lengths <= power * 3 // 4, np.maximum(power * 3 // 4, 1), power)


def padded(matrix: csr_matrix, rows: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Entries of the given rows as int32 columns and float32 values of shape [len(rows), width]; 0, 0 where padded."""
    starts = matrix.indptr[rows].astype(np.int64)[:, None]
    lengths = (matrix.indptr[rows + 1] - matrix.indptr[rows]).astype(np.int64)[:, None]
    offset = np.arange(width)[None, :]
    there = offset < lengths
    place = np.where(there, starts + offset, 0)
    if not len(matrix.indices):
        return np.zeros(there.shape, np.int32), np.zeros(there.shape, np.float32)
    columns = np.where(there, matrix.indices[place], 0).astype(np.int32)
    return columns, np.where(there, matrix.data[place], 0).astype(np.float32)
