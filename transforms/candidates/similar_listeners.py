"""What listeners like oneself play, told through clusters of listeners.

Keeping each listener's history to compare with would put people inside a model. Instead listeners are grouped
(`models.clusters`), each counts in its few nearest groups, and only the groups' summed histories are kept, none of
which is one person's:

    score(u, i) = sum over the nearest clusters c of cos(history_u, profile_c) * share_ci
    share_ci = members of c who heard i / members of c ^ size_power

Overlap is what keeps this close to comparing with every listener (NDCG@50 .048 with clusters of ~4, .055 with all
listeners, and no loss once combined with the other sources).

    >>> histories = sparse.csr_matrix(np.float32([[0, 1, 1, 0], [0, 1, 1, 1]]))
    >>> fit_clusters(histories, np.int32([[0], [0]])).profiles.toarray().tolist()     # row 0 means no cluster
    [[0.0, 0.0, 0.0, 0.0], [0.0, 2.0, 2.0, 1.0]]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from pydantic import BaseModel, Field
from scipy import sparse

from transforms.candidates.base import ProductScores, Source, SourceInputs, largest, strongest_link
from transforms.candidates.blocks import Block
from transforms.candidates.history import heard_once, unit_rows
from transforms.common.arrays import from_csr, load_arrays, save_arrays, to_csr


class ProfileSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the clusters' profiles."""

    overlap: int = Field(3, ge=1, description="clusters each listener counts in")
    least_members: int = Field(2, ge=1, description="smaller clusters are dropped: none may be one person")
    tracks: int = Field(20_000, ge=1, description="tracks kept a cluster, the most heard")
    nearest: int = Field(30, ge=1, description="clusters a listener is compared with when scoring")
    size_power: float = Field(1.0, ge=0, le=1, description="how much large clusters are held back")


@dataclass(frozen=True)
class Clusters:
    """Fitted clusters.

    Attributes:
        profiles: float32 CSR [1 + clusters, n_items], members who heard each track; row 0 is empty and means none.
        members: float32[1 + clusters].
        listeners: float32[n_items], distinct listeners who heard each track.
        nearest, size_power: as in the settings.
    """

    profiles: sparse.csr_matrix
    members: np.ndarray
    listeners: np.ndarray
    nearest: int
    size_power: float

    @cached_property
    def unit(self) -> sparse.csr_matrix:
        """Profiles of length one, as columns: [n_items, clusters]."""
        return unit_rows(self.profiles).T.tocsr()

    @cached_property
    def heard(self) -> sparse.csr_matrix:
        """1 where a member heard the track: [1 + clusters, n_items]."""
        ones = np.ones(self.profiles.nnz, np.float32)
        return sparse.csr_matrix((ones, self.profiles.indices, self.profiles.indptr), shape=self.profiles.shape)

    @cached_property
    def signature(self) -> sparse.csr_matrix:
        """Each cluster's 200 most heard tracks, to explain it by: [1 + clusters, n_items]."""
        return largest(self.profiles.copy(), 200)

    @cached_property
    def shares_by_track(self) -> sparse.csr_matrix:
        """`shares` with tracks as rows."""
        return self.shares.T.tocsr()

    @cached_property
    def shares(self) -> sparse.csr_matrix:
        """What a cluster says of each track: [clusters, n_items]."""
        scale = np.maximum(self.members, 1.0) ** -self.size_power
        return sparse.csr_matrix(sparse.diags(scale.astype(np.float32)) @ self.profiles)

    def save(self, path: str | Path) -> None:
        """Write one npz without pickles."""
        save_arrays(
            path,
            {
                **from_csr("profiles", self.profiles),
                "members": self.members,
                "listeners": self.listeners,
                "nearest": np.array(self.nearest),
                "size_power": np.array(self.size_power),
            },
        )

    @classmethod
    def load(cls, path: str | Path) -> Clusters:
        """Read what `save` wrote."""
        found = load_arrays(path)
        return cls(
            to_csr("profiles", found),
            found["members"],
            found["listeners"],
            int(found["nearest"]),
            float(found["size_power"]),
        )


def fit_clusters(
    histories: sparse.csr_matrix, nearest: np.ndarray, settings: ProfileSettings | None = None
) -> Clusters:
    """Sum histories by cluster.

    Args:
        histories: [listeners, n_items], positive where heard.
        nearest: int [listeners, overlap], each one's clusters, nearest first (`models.clusters.assign`); -1 = none.
        settings: what is kept.

    Returns:
        clusters; none at all when nobody has a history.
    """
    settings = settings or ProfileSettings()
    listeners, n = histories.shape
    nearest = nearest[:, : settings.overlap]
    place = nearest >= 0
    owner = np.broadcast_to(np.arange(listeners)[:, None], nearest.shape)[place]
    belongs = sparse.csr_matrix(
        (np.ones(len(owner), np.float32), (nearest[place], owner)), (int(nearest.max(initial=-1)) + 1, listeners)
    )
    members = np.asarray(belongs.sum(axis=1)).ravel()
    large = members >= min(settings.least_members, listeners)
    once = sparse.csr_matrix(histories > 0).astype(np.float32)
    profiles = largest(sparse.csr_matrix(belongs[large] @ once), settings.tracks)
    return Clusters(
        profiles=sparse.csr_matrix(sparse.vstack([sparse.csr_matrix((1, n), dtype=np.float32), profiles])),
        members=np.concatenate([[0], members[large]]).astype(np.float32),
        listeners=np.bincount(once.indices, minlength=n).astype(np.float32),
        nearest=settings.nearest,
        size_power=settings.size_power,
    )


@dataclass(frozen=True)
class SimilarListeners(Source):
    """The source `similar_listeners`."""

    clusters: Clusters

    name: ClassVar[str] = "similar_listeners"
    reason: ClassVar[str] = "listeners_like_you"
    precedence: ClassVar[int] = 30
    blended: ClassVar[bool] = True

    @classmethod
    def of(cls, inputs: SourceInputs) -> Self | None:
        """From part `clusters`."""
        clusters = inputs.fitted.get("clusters")
        return None if clusters is None else cls(clusters)

    def likeness(self, block: Block) -> sparse.csr_matrix:
        """Cosine of each listener with its nearest clusters: [B, clusters]."""
        return largest(sparse.csr_matrix(heard_once(block) @ self.clusters.unit), self.clusters.nearest)

    def score(self, block: Block) -> ProductScores:
        """Two sparse products, through the nearest clusters."""
        return ProductScores(self.likeness(block), self.clusters.shares)

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The heard track that is heard most in the cluster that speaks most for the candidate."""
        cluster = strongest_link(self.likeness(block), self.clusters.shares_by_track, rows, items)
        return strongest_link(heard_once(block), self.clusters.signature, rows, cluster)
