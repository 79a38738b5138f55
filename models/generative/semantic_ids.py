"""Semantic ids: a few codes a track, coarse to fine, so that tracks alike begin alike.

    r_0 = x_i,   c_l = argmin_k |r_(l-1) - C_l[k]|^2,   r_l = r_(l-1) - C_l[c_l]          residual k-means, l = 1 .. levels
    id  = (c_1, ..., c_levels, n)                                n counts the tracks whose other codes are equal

The codes of generative retrieval (TIGER, Rajput et al., NeurIPS 2023) without the auto-encoder: residual k-means reconstructs as
well and its codes are in better balance (Deng et al., OneRec, 2025). The last code makes every id one track's, in order of the
vocabulary, which is a hash.

    >>> ids = fit(vectors, SemanticIdSettings(levels=2, codes=16), seed=1)
    >>> ids.codes.shape, len(np.unique(ids.codes[1:], axis=0)) == len(vectors) - 1          # row 0, the unknown track, has -1
    ((1000, 3), True)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from models.clusters import unit
from models.settings import SemanticIdSettings
from transforms.common.arrays import load_arrays, save_arrays

_ROWS = 1 << 13
NEAR, ASKED = 10, 2000  # neighbours of a track, and the tracks that are asked for theirs
DEFAULTS = SemanticIdSettings()


@dataclass(frozen=True)
class SemanticIds:
    """The ids of all tracks.

    Attributes:
        codes: int32 [n, levels + 1], the last resolving collisions; -1 all along where nothing is known of a track.
        codebooks: float32 [levels, k, d].
        errors: float32 [n], squared distance of a track's vector from its codes' sum, over the mean squared length; 0 without.
    """

    codes: np.ndarray
    codebooks: np.ndarray
    errors: np.ndarray

    @property
    def levels(self) -> int:
        """Codes before the last."""
        return self.codes.shape[1] - 1

    @property
    def size(self) -> int:
        """Codes that a level has."""
        return int(self.codebooks.shape[1])

    @property
    def known(self) -> np.ndarray:
        """bool [n], tracks with an id."""
        return self.codes[:, 0] >= 0

    def save(self, path: str | Path) -> None:
        """Write one npz file."""
        save_arrays(path, {"codes": self.codes, "codebooks": self.codebooks, "errors": self.errors})

    @classmethod
    def load(cls, path: str | Path) -> SemanticIds:
        """Read what `save` wrote."""
        found = load_arrays(path)
        return cls(found["codes"], found["codebooks"], found["errors"])


def codes_of_a_level(tracks: int, most: int) -> int:
    """The power of two nearest to sqrt(tracks), at least 2 and at most `most`: two levels then tell most tracks apart."""
    return int(min(most, max(2, 2 ** round(np.log2(max(tracks, 1)) / 2))))


def fit(vectors: np.ndarray, settings: SemanticIdSettings = DEFAULTS, seed: int = 0) -> SemanticIds:
    """Ids of every track that has a vector.

    Args:
        vectors: float32 [n, d], rows in order of hash; a row of zeros (the unknown track, tracks of which nothing is known) has
            no id.
    """
    known = np.flatnonzero(np.any(vectors != 0, axis=1))
    size = codes_of_a_level(len(known), settings.codes)
    rng = np.random.default_rng(seed)
    left = np.asarray(vectors[known], np.float32).copy()
    scale = float(np.square(left, dtype=np.float64).sum(axis=1).mean()) if len(known) else 1.0
    codes = np.full((len(vectors), settings.levels + 1), -1, np.int32)
    codebooks = np.zeros((settings.levels, size, vectors.shape[1]), np.float32)
    for level in range(settings.levels):
        codebooks[level] = kmeans(left[: settings.sample], size, settings.iterations, rng)
        nearest = assign(left, codebooks[level])
        codes[known, level] = nearest
        left -= codebooks[level][nearest]
    codes[known, -1] = _order_among_equals(codes[known, :-1])
    errors = np.zeros(len(vectors), np.float32)
    errors[known] = np.square(left).sum(axis=1) / max(scale, 1e-12)
    return SemanticIds(codes, codebooks, errors)


def kmeans(points: np.ndarray, k: int, iterations: int, rng: np.random.Generator) -> np.ndarray:
    """Centroids float32 [k, d] by Lloyd's rounds from k-means++ draws; those nobody is near to are the farthest points."""
    if not len(points):
        return np.zeros((k, points.shape[1]), np.float32)
    centroids = _starts(points, k, rng)
    for _ in range(iterations):
        nearest, distance = assign(points, centroids), None
        members = sparse.csr_matrix(
            (np.ones(len(points), np.float32), (nearest, np.arange(len(points)))), (k, len(points))
        )
        count = np.bincount(nearest, minlength=k)
        moved = (members @ points) / np.maximum(count, 1)[:, None]
        empty = np.flatnonzero(count == 0)
        if len(empty):
            distance = np.square(points - centroids[nearest]).sum(axis=1)
            farthest = np.argsort(-distance, kind="stable")[: len(empty)]
            moved[empty[: len(farthest)]] = points[farthest]
        if np.array_equal(moved, centroids):
            break
        centroids = moved.astype(np.float32)
    return centroids


def _starts(points: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k points, each drawn in proportion to its squared distance from those before (Arthur & Vassilvitskii 2007)."""
    squares = np.square(points).sum(axis=1)
    chosen = [int(rng.integers(len(points)))]
    distance = np.full(len(points), np.inf)
    while len(chosen) < k:
        last = points[chosen[-1]]
        distance = np.minimum(
            distance, np.maximum(squares - 2 * (points @ last) + float(last @ last), 0).astype(np.float64)
        )
        total = float(distance.sum())
        place = int(np.searchsorted(np.cumsum(distance), rng.random() * total, side="right"))
        chosen.append(min(place, len(points) - 1))
    return points[chosen].copy()


def assign(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """int32 [n], the nearest centroid of each point, the first of equals."""
    half = 0.5 * np.square(centroids).sum(axis=1)
    out = np.zeros(len(points), np.int32)
    for start in range(0, len(points), _ROWS):
        out[start : start + _ROWS] = (points[start : start + _ROWS] @ centroids.T - half).argmax(axis=1)
    return out


def _order_among_equals(codes: np.ndarray) -> np.ndarray:
    """int32 [n]: how many rows before have the same codes."""
    order = np.lexsort(codes.T[::-1])
    ordered = codes[order]
    first = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)] if len(codes) else np.zeros(0, bool)
    start = np.maximum.accumulate(np.where(first, np.arange(len(codes)), 0))
    out = np.zeros(len(codes), np.int32)
    out[order] = np.arange(len(codes)) - start
    return out


def measured(ids: SemanticIds, company: np.ndarray) -> dict[str, float]:
    """What the ids are worth, for the registry.

    Args:
        company: float32 [n, k], co-listening vectors: whoever is near in them should begin alike.

    Returns:
        semantic_id_error (share of the vectors' squared length that the codes leave), semantic_id_balance_<level> (entropy of
        the codes over its largest), semantic_id_alone (share of tracks that no other shares all codes but the last with),
        semantic_id_neighbours_<level> and semantic_id_by_chance_<level> (share of a track's ten nearest, and of all tracks,
        that share the codes up to that level).
    """
    codes = ids.codes[ids.known]
    if not len(codes):
        return {}
    found = {"semantic_id_error": float(ids.errors[ids.known].mean())}
    for level in range(ids.levels):
        share = np.bincount(codes[:, level], minlength=ids.size) / len(codes)
        entropy = -(share * np.log(np.maximum(share, 1e-12))).sum() / np.log(ids.size)
        found[f"semantic_id_balance_{level + 1}"] = float(entropy)
    _, groups = np.unique(codes[:, :-1], axis=0, return_counts=True)
    found["semantic_id_alone"] = float((groups == 1).sum() / len(codes))
    both = np.flatnonzero(ids.known & np.any(company != 0, axis=1))
    if len(both) > NEAR:
        vectors, asked = unit(company[both]), np.arange(min(ASKED, len(both)))
        cosine = vectors[asked] @ vectors.T
        cosine[asked, asked] = -np.inf
        near = np.argsort(-cosine, axis=1, kind="stable")[:, :NEAR]
        mine = ids.codes[both]
        for level in range(1, ids.levels + 1):
            alike = (mine[near][:, :, :level] == mine[asked][:, None, :level]).all(axis=2)
            _, groups = np.unique(mine[:, :level], axis=0, return_counts=True)
            found[f"semantic_id_neighbours_{level}"] = float(alike.mean())
            found[f"semantic_id_by_chance_{level}"] = float(np.square(groups / len(mine)).sum())
    return {name: round(value, 6) for name, value in found.items()}
