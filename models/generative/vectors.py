"""One vector of what is known of a track: the views of it side by side, their main directions kept.

    x_i = PCA([w_1 unit(a_i), w_2 unit(c_i), w_3 unit(s_i)])        a: co-listening, c: content, s: sequence

A track that nobody has played has content alone. What it lacks is filled in from its content by ridge regression on the tracks
that have both (attribute-to-feature mapping, Gantner et al., ICDM 2010), so that its semantic id stands among tracks like it and
not in a corner of its own. Content is a bag of artists, album, tags and text, weighed by idf, in its main directions.

    >>> x = combined([View(als, 1.0), View(content, 1.0)], content, SemanticIdSettings())     # float32 [n, 64]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from models.clusters import unit
from models.settings import SemanticIdSettings

POWER_STEPS, OVERSAMPLING = 2, 16


@dataclass(frozen=True)
class View:
    """One kind of evidence.

    Attributes:
        vectors: float32 [n, k]; a row of zeros where a track lacks it.
        weight: how much it counts; 0 = not at all.
    """

    vectors: np.ndarray
    weight: float


def content_vectors(bag: sparse.csr_matrix, dims: int, seed: int) -> np.ndarray:
    """float32 [n, dims], the main directions of an idf-weighted bag [n, values]; zero for an empty row.

    A randomised range finder with two power steps (Halko, Martinsson & Tropp, SIAM Review 2011); values of one track alone say
    nothing of another and are left out.
    """
    n = bag.shape[0]
    found = sparse.csr_matrix(bag, dtype=np.float32, copy=True)
    tracks = np.bincount(found.indices, minlength=bag.shape[1])
    idf = np.where(tracks > 1, np.log(max(n, 2) / np.maximum(tracks, 1)), 0.0).astype(np.float32)
    found = sparse.csr_matrix(found @ sparse.diags(idf))
    squares = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
    found = sparse.csr_matrix(sparse.diags((1 / np.where(squares > 0, squares, 1)).astype(np.float32)) @ found)
    width = min(dims + OVERSAMPLING, *found.shape)
    out = np.zeros((n, dims), np.float32)
    if not found.nnz or width < 1:
        return out
    around = np.random.default_rng(seed).standard_normal((found.shape[1], width)).astype(np.float32)
    basis = np.linalg.qr(found @ around)[0]
    for _ in range(POWER_STEPS):
        basis = np.linalg.qr(found @ np.linalg.qr(found.T @ basis)[0])[0]
    short = np.asarray(found.T @ basis, np.float64)
    turned = main_directions(short, dims)
    lengths = np.linalg.norm(short @ turned, axis=0)
    out[:, : turned.shape[1]] = (basis @ (turned * lengths)).astype(np.float32)
    out[squares == 0] = 0  # not the rounding of a sum
    return out


def main_directions(vectors: np.ndarray, dims: int) -> np.ndarray:
    """float64 [k, <= dims], the main directions of the rows as they are (uncentred), largest first.

    A direction points where its largest entry is positive, so that equal inputs give equal directions.
    """
    wide = vectors.astype(np.float64)
    _, found = np.linalg.eigh(wide.T @ wide)
    found = found[:, ::-1][:, :dims]
    return np.asarray(found * np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])]))


def filled(vectors: np.ndarray, content: np.ndarray, ridge: float) -> np.ndarray:
    """Unit vectors with the rows that are zero predicted from content; what has neither stays zero."""
    known, described = np.any(vectors != 0, axis=1), np.any(content != 0, axis=1)
    out, both, lacking = unit(vectors), known & described, ~known & described
    if both.any() and lacking.any():
        x, y = content[both].astype(np.float64), out[both].astype(np.float64)
        weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y)
        out[lacking] = unit((content[lacking] @ weights).astype(np.float32))
    return out


def combined(views: Sequence[View], fill: np.ndarray | None, settings: SemanticIdSettings) -> np.ndarray:
    """float32 [n, settings.dims], rows of zeros where nothing is known.

    Args:
        fill: content float32 [n, k] that fills in what a view lacks; None = nothing is filled in.

    Raises:
        ValueError: no view counts.
    """
    counted = [view for view in views if view.weight > 0 and view.vectors.size]
    if not counted:
        raise ValueError("no view has both vectors and a weight above 0; semantic ids need one of them")
    parts = []
    for view in counted:
        rows = unit(view.vectors) if fill is None else filled(view.vectors, fill, settings.ridge)
        parts.append(view.weight * rows)
    wide = np.concatenate(parts, axis=1)
    found = (wide @ main_directions(wide, settings.dims)).astype(np.float32)
    out = np.zeros((len(wide), settings.dims), np.float32)
    out[:, : found.shape[1]] = found
    return out
