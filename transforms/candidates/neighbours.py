"""Track-to-track neighbours, fitted from the window of co-listens: who stands in sessions with whom, who comes next.

Two matrices over the vocabulary. `together[j, i]` is a cosine over sessions, each divided by its length^1.5 so that a
long radio session says little about each of its pairs (Ludewig & Jannach 2018 call the same idea inverse session
length weighting):

    together[j, i] = t_ji / (t_jj t_ii)^power          t_ji = decayed sum over sessions with both of length^-1.5

`after[j, i]` is the directional n_ji / s_j: how much of what follows j within a few plays is i, n being the sum of
distance decays and s_j the sessions with j. Each track keeps its strongest neighbours. `mass[i]` is the sum of t_ji
over all other tracks j, before anything is cut; it makes "what share of a candidate's company is heard" a look-up.

    >>> pairs = pl.DataFrame({"track_a": ["a", "a", "b"], "track_b": ["a", "b", "b"], "together": [2, 1, 2],
    ...                       "next_ab": [0, 3, 0], "next_ba": [0, 0, 0], "sessions": [3, 1, 2]})
    >>> fit_neighbours(pairs, ["", "a", "b"], NeighbourSettings(power=0.5)).together.toarray()[1].tolist()
    [0.0, 0.0, 0.5]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import BaseModel, Field
from scipy import sparse

from transforms.common.arrays import from_csr, load_arrays, save_arrays, to_csr

_UNIT = 2.0**-20


class NeighbourSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the track-to-track neighbours."""

    power: float = Field(0.4, ge=0, le=1, description="how much popular tracks are held back; 0.5 is the cosine")
    per_track: int = Field(300, ge=1, description="neighbours kept a track")


@dataclass(frozen=True)
class Neighbours:
    """Fitted neighbours over n vocabulary rows.

    Attributes:
        together: float32 CSR [n, n], zero diagonal; row = track of a history, column = candidate.
        after: float32 CSR [n, n], likewise, zero diagonal.
        shared: float32 CSR [n, n], the raw t_ji of the entries of `together`, transposed: row = candidate.
        mass: float32[n], sum of t_ji over all j other than i.
        own: float32[n], t_ii.
    """

    together: sparse.csr_matrix
    after: sparse.csr_matrix
    shared: sparse.csr_matrix
    mass: np.ndarray
    own: np.ndarray

    @cached_property
    def towards_shared(self) -> sparse.csr_matrix:
        """`shared` with candidates as columns."""
        return self.shared.T.tocsr()

    @cached_property
    def towards_together(self) -> sparse.csr_matrix:
        """`together` with candidates as rows, to explain one."""
        return self.together.T.tocsr()

    @cached_property
    def towards_after(self) -> sparse.csr_matrix:
        """`after` with candidates as rows."""
        return self.after.T.tocsr()

    def save(self, path: str | Path) -> None:
        """Write one npz without pickles; equal neighbours give equal bytes."""
        save_arrays(
            path,
            {
                **from_csr("together", self.together),
                **from_csr("after", self.after),
                **from_csr("shared", self.shared),
                "mass": self.mass,
                "own": self.own,
            },
        )

    @classmethod
    def load(cls, path: str | Path) -> Neighbours:
        """Read what `save` wrote."""
        found = load_arrays(path)
        together, after, shared = (to_csr(name, found) for name in ("together", "after", "shared"))
        return cls(together, after, shared, found["mass"], found["own"])


def fit_neighbours(
    pairs: pl.DataFrame, track_ids: Sequence[str], settings: NeighbourSettings | None = None
) -> Neighbours:
    """Neighbours of every vocabulary track.

    Args:
        pairs: the co-listens window: `track_a`, `track_b` (each unordered pair once, and the diagonal), `together`,
            `next_ab`, `next_ba` (in 2^-20, as in table `co_listens`), `sessions`; sums over days, decayed or not.
        track_ids: the vocabulary in row order, row 0 a placeholder.
        settings: normalisation and size.
    """
    settings = settings or NeighbourSettings()
    n = len(track_ids)
    rows = pl.DataFrame(
        {"track_id": pl.Series(list(track_ids)[1:], dtype=pl.String), "item": np.arange(1, n, dtype=np.int32)}
    )
    known = (
        pairs.join(rows.rename({"track_id": "track_a", "item": "a"}), on="track_a")
        .join(rows.rename({"track_id": "track_b", "item": "b"}), on="track_b")
        .with_columns(pl.col("together", "next_ab", "next_ba").cast(pl.Float64) * _UNIT)
        .sort("a", "b")
    )
    own = known.filter(pl.col("a") == pl.col("b"))
    size, sessions = np.zeros(n), np.zeros(n)
    size[own["a"].to_numpy()] = own["together"].to_numpy()
    sessions[own["a"].to_numpy()] = own["sessions"].to_numpy()
    known = known.filter(pl.col("a") != pl.col("b"))
    both = pl.concat(
        [
            known.select("a", "b", "together", after=pl.col("next_ab")),
            known.select(a="b", b="a", together="together", after=pl.col("next_ba")),
        ]
    )
    a, b, t = (both[name].to_numpy() for name in ("a", "b", "together"))
    mass = np.bincount(b, weights=t, minlength=n).astype(np.float32)
    scale = np.where(size > 0, size, 1.0) ** -settings.power
    both = both.with_columns(
        cosine=pl.Series(t * scale[a] * scale[b]).cast(pl.Float32),
        share=pl.Series(both["after"].to_numpy() / np.maximum(sessions[a], 1e-9)).cast(pl.Float32),
    )
    near = _strongest(both, "cosine", settings.per_track)
    following = _strongest(both, "share", settings.per_track)
    return Neighbours(
        together=_matrix(near, "a", "b", "cosine", n),
        after=_matrix(following, "a", "b", "share", n),
        shared=_matrix(near, "b", "a", "together", n),
        mass=mass,
        own=size.astype(np.float32),
    )


def _strongest(pairs: pl.DataFrame, by: str, per_track: int) -> pl.DataFrame:
    """The strongest pairs of each `a`; equals go to the smaller row."""
    return (
        pairs.filter(pl.col(by) > 0)
        .sort("a", by, "b", descending=[False, True, False])
        .filter(pl.int_range(pl.len()).over("a") < per_track)
    )


def _matrix(pairs: pl.DataFrame, row: str, column: str, value: str, n: int) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(
        (pairs[value].cast(pl.Float32).to_numpy(), (pairs[row].to_numpy(), pairs[column].to_numpy())), shape=(n, n)
    )
    matrix.sort_indices()
    return matrix
