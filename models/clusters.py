"""Clusters of listeners: k-means centroids of their vectors, the track-side stand-in for "listeners like you".

Neighbours among millions of listeners would keep people inside a model. A few hundred centroids keep none: a cluster's
tracks are a sum over its listeners, and a listener belongs to the centroids nearest to a vector computed from their own
history. Vectors are scaled to length 1, so "near" is cosine (spherical k-means, Dhillon & Modha 2001). Starts are
k-means++ draws (Arthur & Vassilvitskii 2007) from a seeded generator, plain draws beyond 512; the rest is
deterministic.

    >>> centroids = fit(vectors, ClusterSettings(clusters=64), seed=1)      # float32 [64, d], each of length 1
    >>> ids, near = assign(vectors, centroids, top=3)                       # int32 [N, 3], cosine float32 [N, 3]
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, Field
from scipy.sparse import csr_matrix

_ROWS = 1 << 13
_MOST_DRAWN = 512


class ClusterSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the clusters of listeners."""

    clusters: int = Field(64, ge=1, description="most clusters; fewer where there are fewer listeners")
    listeners_per_cluster: int = Field(10, ge=1, description="a cluster is made for at least so many listeners")
    iterations: int = Field(10, ge=1, description="rounds of k-means")
    sample: int = Field(200_000, ge=1, description="listeners it is fitted on, the first in the order given")


DEFAULTS = ClusterSettings()


def fit(vectors: np.ndarray, settings: ClusterSettings = DEFAULTS, seed: int = 0) -> np.ndarray:
    """Centroids of listeners' vectors.

    Args:
        vectors: float32 [N, d] in an order that does not depend on shards (by hash of the listener); rows of zeros
            (listeners without history) are left out.

    Returns:
        float32 [k, d], each row of length 1; k is 0 when nobody has a vector.
    """
    points = unit(vectors[np.any(vectors != 0, axis=1)][: settings.sample])
    k = min(settings.clusters, max(1, len(points) // settings.listeners_per_cluster)) if len(points) else 0
    if k == 0:
        return np.zeros((0, vectors.shape[1]), np.float32)
    centroids = _plus_plus(points, k, np.random.default_rng(seed))
    previous = None
    for _ in range(settings.iterations):
        nearest = assign(points, centroids, 1)[0][:, 0]
        if previous is not None and np.array_equal(nearest, previous):
            break
        previous = nearest
        members = csr_matrix((np.ones(len(points), np.float32), (nearest, np.arange(len(points)))), (k, len(points)))
        sums = members @ points
        # An emptied cluster keeps its centroid: the rounds stay a function of the points alone.
        alive = np.linalg.norm(sums, axis=1) > 0
        centroids[alive] = unit(sums[alive])
    return centroids


def assign(vectors: np.ndarray, centroids: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """The `top` nearest clusters of each listener and their cosines, nearest first, equals by cluster number.

    Returns:
        int32 [N, top] and float32 [N, top]; -1 and -inf beyond the number of clusters, and for a listener without a
        vector.
    """
    ids = np.full((len(vectors), top), -1, np.int32)
    near = np.full((len(vectors), top), -np.inf, np.float32)
    kept = min(top, len(centroids))
    for start in range(0, len(vectors) if kept else 0, _ROWS):
        part = vectors[start : start + _ROWS]
        cosine = unit(part) @ centroids.T
        order = _largest(cosine, kept)
        known = np.any(part != 0, axis=1)
        ids[start : start + _ROWS, :kept][known] = order[known]
        near[start : start + _ROWS, :kept][known] = np.take_along_axis(cosine, order, axis=1)[known]
    return ids, near


def _largest(table: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest of each row, largest first, equals by column."""
    if k == 1:
        return np.argmax(table, axis=1)[:, None]
    if k < table.shape[1]:
        columns = np.sort(np.argpartition(-table, k, axis=1)[:, :k], axis=1)
    else:
        columns = np.broadcast_to(np.arange(k), table.shape)
    order = np.argsort(-np.take_along_axis(table, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32; rows of zeros stay zero."""
    vectors = np.asarray(vectors, np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def _plus_plus(points: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k starts, each drawn in proportion to its squared distance from those before; plain draws of distinct points
    where clusters are so many that those would cost more than they save."""
    if k > _MOST_DRAWN:
        return points[np.sort(rng.permutation(len(points))[:k])].copy()
    chosen = [int(rng.integers(len(points)))]
    distance = np.maximum(1 - points @ points[chosen[0]], 0).astype(np.float64)
    while len(chosen) < k:
        total = distance.sum()
        if total <= 0:
            chosen.append(int(rng.integers(len(points))))
            continue
        place = int(np.searchsorted(np.cumsum(distance), rng.random() * total, side="right"))
        chosen.append(min(place, len(points) - 1))
        distance = np.minimum(distance, np.maximum(1 - points @ points[chosen[-1]], 0))
    return points[chosen].copy()
