"""Rules from one track to another: what comes soon after it, right after it, and in its company at all.

    soon[j, i]     = sum over plays of j, and of i d <= reach plays later in the session, of 1/d, over plays of j
    right[j, i]    = times i came right after j, over (plays of j that anything came after + shrink)
    company[j, i]  = sum over sessions with both of |session|^-1.5, over the geometric mean of the same for j and for i

The first is the sequential rules of Ludewig & Jannach (UMUAI 2018), the second a Markov chain, the third item kNN.
Each track keeps its strongest `kept` of each. Applied to the last play alone they are last-track rules; `decayed` sums
over the whole prefix, each track counting less the longer ago it was played.

    >>> rules = Rules.fit(SessionLog.from_lists([[1, 2, 3]]), 4, RuleSettings(shrink=0))
    >>> rules.soon[[1]].toarray().tolist(), rules.right[[1]].toarray().tolist()
    ([[0.0, 0.0, 1.0, 0.5]], [[0.0, 0.0, 1.0, 0.0]])
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, Field
from scipy import sparse

from transforms.next_in_session.sessions import UNKNOWN, Prefixes, SessionLog


class RuleSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the rules."""

    reach: int = Field(10, ge=1, description="plays that count as soon after")
    kept: int = Field(200, ge=1, description="rules kept a track")
    shrink: float = Field(1.0, ge=0, description="plays without a sequel added to every track's")
    longest: int = Field(200, ge=2, description="plays of a session that count as company, the last ones")
    decay: float = Field(3.0, gt=0, description="plays after which a track of the prefix counts 1/e")
    plays: int = Field(50, ge=1, description="last plays of the prefix that are looked at")


@dataclass(frozen=True)
class Rules:
    """Fitted rules; row = what was played, column = what may come.

    Attributes:
        soon, right, company: float64 CSR [n_items, n_items], zero rows and columns of the unknown track.
        plays: int64 [n_items], plays of each track; popularity.
        settings: what they were fitted with.
    """

    soon: sparse.csr_matrix
    right: sparse.csr_matrix
    company: sparse.csr_matrix
    plays: np.ndarray
    settings: RuleSettings

    @classmethod
    def fit(cls, log: SessionLog, n_items: int, settings: RuleSettings) -> Rules:
        """Count over sessions."""
        shape = (n_items, n_items)
        soon = right = sparse.csr_matrix(shape)
        for d in range(1, settings.reach + 1):
            at = np.flatnonzero(log.position >= d)
            a, b = log.items[at - d], log.items[at]
            keep = (a != UNKNOWN) & (b != UNKNOWN) & (a != b)
            step = sparse.csr_matrix((np.full(keep.sum(), 1.0 / d), (a[keep], b[keep])), shape=shape)
            soon = soon + step
            right = step if d == 1 else right
        followed = np.bincount(log.items[np.flatnonzero(log.position > 0) - 1], minlength=n_items)
        plays = np.bincount(log.items, minlength=n_items)
        plays[UNKNOWN] = 0
        return cls(
            _strongest(_divide(soon, plays), settings.kept),
            _strongest(_divide(right, followed + settings.shrink), settings.kept),
            _strongest(_company(log, n_items, settings), settings.kept),
            plays,
            settings,
        )

    def last_track(self, prefixes: Prefixes, rules: sparse.csr_matrix) -> sparse.csr_matrix:
        """The rules of the last play alone, [B, n_items]."""
        return rules[prefixes.last]

    def decayed(self, prefixes: Prefixes, rules: sparse.csr_matrix) -> sparse.csr_matrix:
        """The rules of all plays, [B, n_items], each track counting exp(-(ago - 1) / decay)."""
        rows, items, ago = prefixes.tracks(self.settings.plays)
        weight = np.exp(-(ago - 1) / self.settings.decay)
        history = sparse.csr_matrix((weight, (rows, items)), shape=(len(prefixes), rules.shape[0]))
        out = sparse.csr_matrix(history @ rules)
        out.sort_indices()
        return out


def _divide(counts: sparse.csr_matrix, by: np.ndarray) -> sparse.csr_matrix:
    """Rows divided by `by`."""
    return sparse.csr_matrix(sparse.diags_array(1.0 / np.maximum(by, 1e-9)) @ counts)


def _company(log: SessionLog, n_items: int, settings: RuleSettings) -> sparse.csr_matrix:
    """Cosine over sessions, each divided by its length^1.5, zero diagonal."""
    sizes = np.diff(log.starts)
    keep = (log.items != UNKNOWN) & (log.next_same > len(log.items))
    keep &= log.position >= sizes[log.session] - settings.longest
    sessions, items = log.session[keep], log.items[keep]
    length = np.minimum(sizes, settings.longest)[sessions]
    held = sparse.csr_matrix((length**-0.75, (sessions, items)), shape=(len(log), n_items))
    own = np.sqrt(np.asarray(held.power(2).sum(axis=0)).ravel())
    held = sparse.csr_matrix(held @ sparse.diags_array(1.0 / np.maximum(own, 1e-9)))
    parts = []
    across = sparse.csr_matrix(held.T)
    for start in range(0, n_items, 4096):  # the whole product need not stand in memory at once
        part = sparse.coo_matrix(across[start : start + 4096] @ held)
        other = part.row + start != part.col
        block = sparse.csr_matrix((part.data[other], (part.row[other], part.col[other])), shape=part.shape)
        parts.append(_strongest(block, settings.kept))
    return sparse.csr_matrix(sparse.vstack(parts))


def _strongest(matrix: sparse.csr_matrix, kept: int) -> sparse.csr_matrix:
    """The largest `kept` entries of each row; ties go to the smaller column. Columns of the result are sorted.

    Only rows that hold more are looked at: few do, and sorting all of them took most of the time of a fit.
    """
    matrix.sort_indices()
    sizes = np.diff(matrix.indptr)
    keep = np.ones(matrix.nnz, bool)
    for row in np.flatnonzero(sizes > kept).tolist():
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        data = matrix.data[part]
        least = np.partition(data, len(data) - kept)[len(data) - kept]
        above, level = data > least, data == least
        keep[part] = above | (level & (np.cumsum(level) <= kept - above.sum()))
    ends = np.concatenate([[0], np.cumsum(keep)])[matrix.indptr]
    return sparse.csr_matrix((matrix.data[keep], matrix.indices[keep], ends), shape=matrix.shape)
