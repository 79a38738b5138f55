"""Clusters of listeners: obvious groups are found, the same every time, and nobody without a vector is in one."""

from __future__ import annotations

import numpy as np

from models.clusters import ClusterSettings, assign, fit


def three_groups(size: int = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    centers = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    points = np.repeat(centers, size, axis=0) + 0.1 * rng.standard_normal((3 * size, 3), np.float32)
    return np.concatenate(
        [points * rng.uniform(0.1, 9, (3 * size, 1)).astype(np.float32), np.zeros((1, 3), np.float32)]
    )


def test_obvious_groups_are_found_whatever_the_lengths_of_vectors() -> None:
    points = three_groups()
    centroids = fit(points, ClusterSettings(clusters=3), seed=1)
    ids, near = assign(points, centroids, top=2)
    groups = ids[:-1, 0].reshape(3, 40)
    assert (groups == groups[:, :1]).all() and len(set(groups[:, 0].tolist())) == 3
    assert (near[:-1, 0] >= near[:-1, 1]).all()
    assert ids[-1].tolist() == [-1, -1], "no vector, no cluster"


def test_same_seed_same_bytes_and_fewer_clusters_for_few_listeners() -> None:
    points = three_groups()
    settings = ClusterSettings(clusters=64, listeners_per_cluster=10)
    centroids = fit(points, settings, seed=3)
    assert centroids.shape == (12, 3)
    assert np.array_equal(centroids, fit(points, settings, seed=3))
    assert np.allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-5)


def test_nobody_at_all() -> None:
    centroids = fit(np.zeros((4, 3), np.float32))
    assert centroids.shape == (0, 3)
    assert assign(np.ones((2, 3), np.float32), centroids, 2)[0].tolist() == [[-1, -1], [-1, -1]]
