"""EASE with sessions as rows, solved within each track's neighbourhood: what predicts a track beside everything else.

EASE (Steck, WWW 2019) predicts each column of a matrix X from the others by ridge regression. Its inverse is dense over
all tracks, or over all sessions in the dual; both forms grow with the cube of something that a large log has millions
of. Each track is therefore regressed on its nearest few alone (the sparse approximation of Steck, NeurIPS 2019, with
neighbourhoods instead of a thresholded covariance):

    b_N,i = (T_NN + lambda I)^-1 t_N,i       N = the `neighbours` tracks nearest to i; negative weights are dropped
    score(u, i) = sum over j heard by u of sqrt(plays_uj) * b_ji

T = X'X is the co-listens window, whose rows are sessions that weigh length^-1.5, so nothing but the summed table is read
and no session is kept. A neighbour that says only what another says already adds nothing, where a sum of cosines
counts it twice.

Of T the `pairs` nearest entries a track are read, others count as 0. Cost of a fit: one solve of size `neighbours` and
`neighbours` * `pairs` reads a track, in blocks of bounded memory; it grows with the catalog, not with listeners.

    >>> pairs = sparse.csr_matrix(np.float32([[0, 0, 0], [0, 0, 1], [0, 1, 0]]))
    >>> fit_ease(pairs, np.float32([0, 1, 1]), EaseSettings(penalty=1.0)).toarray()[1].tolist()
    [0.0, 0.0, 0.5]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from pydantic import BaseModel, Field
from scipy import sparse

from transforms.candidates.base import ProductScores, Source, SourceInputs, row_numbers, strongest_link
from transforms.candidates.blocks import Block
from transforms.candidates.history import root_plays

_CELLS = 1 << 22


class EaseSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of EASE within neighbourhoods."""

    neighbours: int = Field(30, ge=1, le=256, description="tracks that a track is predicted from")
    pairs: int = Field(
        300, ge=1, description="pairs of a track that are read, its nearest; too few lose most of the quality"
    )
    penalty: float = Field(1.0, gt=0, description="ridge penalty, in means of t_ii over tracks")


def fit_ease(
    shared: sparse.csr_matrix, own: np.ndarray, settings: EaseSettings | None = None, power: float = 0.4
) -> sparse.csr_matrix:
    """Regression weights of every track.

    Args:
        shared: [n, n], t_ij at (i, j) for the strongest j of each i, empty diagonal; a pair left out both ways counts
            as never played together.
        own: float[n], t_ii; 0 = never played in a session.
        settings: size and penalty.
        power: nearest is largest t_ij / (t_ii t_jj)^power, equals by row.

    Returns:
        float32 CSR [n, n], row = track of a history, column = candidate; zero diagonal, no negative weight.
    """
    settings = settings or EaseSettings()
    n = len(own)
    own = np.asarray(own, np.float64)
    shared = _nearest(shared, np.where(own > 0, own, 1.0) ** -power, max(settings.pairs, settings.neighbours))
    width = np.minimum(np.diff(shared.indptr), settings.neighbours)
    items = np.argsort(width, kind="stable")
    items = items[width[items] > 0]
    width = width[items]
    column = np.minimum(np.arange(settings.neighbours), width[:, None] - 1)
    nearest = shared.indices[shared.indptr[items][:, None] + column]
    penalty = settings.penalty * (own[own > 0].mean() if (own > 0).any() else 1.0)
    # A table from track to its place among a target's neighbours, for one block of targets at a time.
    step = max(1, _CELLS // max(n, 1))
    place = np.full((step, n), -1, np.int16)
    parts = []
    for start in range(0, len(items), step):
        part = slice(start, start + step)
        parts.append(_solve(shared, own, items[part], nearest[part], width[part], penalty, place))
    rows, columns, weights = (
        (np.concatenate(found) for found in zip(*parts, strict=True)) if parts else (np.zeros(0, np.int64),) * 3
    )
    found = sparse.csr_matrix((weights.astype(np.float32), (rows, columns)), shape=(n, n))
    found.sort_indices()
    return found


def _nearest(shared: sparse.csr_matrix, scale: np.ndarray, count: int) -> sparse.csr_matrix:
    """Each row's `count` entries with the largest t_ij * scale_j, nearest first; equals by row of the vocabulary."""
    rows = row_numbers(shared)
    order = np.lexsort((shared.indices, -shared.data * scale[shared.indices], rows))
    kept = order[np.arange(shared.nnz) - shared.indptr[rows] < count]
    pointer = np.append(0, np.cumsum(np.minimum(np.diff(shared.indptr), count)))
    return sparse.csr_matrix((shared.data[kept].astype(np.float64), shared.indices[kept], pointer), shape=shared.shape)


def _solve(
    shared: sparse.csr_matrix,
    own: np.ndarray,
    items: np.ndarray,
    nearest: np.ndarray,
    width: np.ndarray,
    penalty: float,
    place: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of a block of targets as entries (neighbour, target, weight > 0); `place` comes and goes all -1."""
    widest = int(width.max())
    nearest = nearest[:, :widest]
    there = np.arange(widest) < width[:, None]
    target = np.arange(len(items))
    row, column = np.nonzero(there)
    place[row, nearest[row, column]] = column
    gram = np.zeros((len(items), widest, widest))
    whose, entry = _entries(shared, nearest[row, column])
    at = place[row[whose], shared.indices[entry]]
    inside = np.flatnonzero(at >= 0)
    whose = whose[inside]
    gram[row[whose], column[whose], at[inside]] = shared.data[entry[inside]]
    gram = np.maximum(gram, gram.transpose(0, 2, 1))  # a pair may be among one track's nearest and not the other's
    # The diagonal of a place that is not used is 1, so its weight is 0.
    diagonal = np.arange(widest)
    gram[:, diagonal, diagonal] = np.where(there, own[nearest] + penalty, 1.0)
    wanted = np.zeros((len(items), widest))
    whose, entry = _entries(shared, items)
    at = place[whose, shared.indices[entry]]
    wanted[whose[at >= 0], at[at >= 0]] = shared.data[entry[at >= 0]]
    place[target[:, None], nearest] = -1
    weights = np.linalg.solve(gram, wanted[:, :, None])[:, :, 0]
    kept = there & (weights > 0)
    return nearest[kept], np.broadcast_to(items[:, None], kept.shape)[kept], weights[kept]


def _entries(matrix: sparse.csr_matrix, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of all stored entries of some rows, and the number (in `rows`) of the row each belongs to."""
    counts = np.diff(matrix.indptr)[rows]
    whose = np.repeat(np.arange(len(rows)), counts)
    first = matrix.indptr[rows] - (np.cumsum(counts) - counts)
    return whose, first[whose] + np.arange(len(whose))


@dataclass(frozen=True)
class Ease(Source):
    """The source `ease`.

    Attributes:
        weights: from `fit_ease`.
        history: block -> weights [B, n_items].
    """

    weights: sparse.csr_matrix
    history: Callable[[Block], sparse.csr_matrix] = root_plays

    name: ClassVar[str] = "ease"
    reason: ClassVar[str] = "played_together_with"
    precedence: ClassVar[int] = 20

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """From part `ease`, its weights."""
        weights = inputs.fitted.get("ease")
        return None if weights is None else cls(weights)

    def score(self, block: Block) -> ProductScores:
        """One sparse product."""
        return ProductScores(self.history(block), self.weights)

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The track of the history with the largest term of the sum."""
        return strongest_link(self.history(block), sparse.csr_matrix(self.weights.T), rows, items)
