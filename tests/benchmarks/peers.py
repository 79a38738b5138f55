"""What people would use instead, each with a small grid: implicit's ALS, item, co-session and listener neighbours.

A peer is a name and variants; a variant is a label and a function that lists the best unheard items of every listener.
The grid is settled on a validation cut and the winner alone is run on the cut that is reported, so a peer gets what a
careful person would give it, and no more than we give ourselves.

    >>> [p.name for p in peers()]
    ['implicit-als', 'item-knn-bm25', 'item-knn-cosine', 'co-session-knn', 'listener-knn', 'most-popular']
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from transforms.baselines import Baseline, BaselineSettings, Training, item_knn, keep_best, most_popular, recommend

PLACES = 50
Lister = Callable[[Training], pl.DataFrame]


@dataclass(frozen=True)
class Peer:
    """A method and its variants: label -> function from training to listener_id, item, rank."""

    name: str
    variants: dict[str, Lister]


def counts(training: Training, log: bool) -> sparse.csr_matrix:
    """CSR float32 [listeners, items] of plays, or log(1 + plays)."""
    plays = training.plays.group_by("row", "item").len().sort("row", "item")
    values = plays["len"].to_numpy().astype(np.float32)
    where = (plays["row"].to_numpy(), plays["item"].to_numpy())
    return sparse.csr_matrix((np.log1p(values) if log else values, where), shape=training.shape)


def als(factors: int, log: bool, alpha: float, reg: float, seed: int = 1) -> Lister:
    """implicit's ALS; what was played at all is left out of the lists."""

    def run(training: Training) -> pl.DataFrame:
        import implicit

        matrix = counts(training, log)
        model = implicit.als.AlternatingLeastSquares(
            factors=factors, regularization=reg, alpha=alpha, iterations=15, random_state=seed, num_threads=2
        )
        model.fit(matrix, show_progress=False)
        return _listed(training, *model.recommend(np.arange(matrix.shape[0]), matrix, N=PLACES))

    return run


def item_neighbours(kind: str, k: int) -> Lister:
    """implicit's item neighbours over listeners, by BM25 or cosine."""

    def run(training: Training) -> pl.DataFrame:
        from implicit.nearest_neighbours import BM25Recommender, CosineRecommender

        matrix = counts(training, log=True).astype(np.float64)
        model = (BM25Recommender if kind == "bm25" else CosineRecommender)(K=k, num_threads=2)
        model.fit(matrix, show_progress=False)
        return _listed(training, *model.recommend(np.arange(matrix.shape[0]), matrix, N=PLACES))

    return run


def co_sessions(half_life: float, neighbours: int) -> Lister:
    """Cosine over sessions, later items weighing more: the report's item-knn."""
    settings = BaselineSettings(knn_rows="session", knn_half_life=half_life, knn_neighbours=neighbours)
    return lambda training: _recommended(item_knn(training, settings), training)


def listener_neighbours(k: int, idf: bool) -> Lister:
    """What the k listeners most alike play, each weighing its cosine."""

    def run(training: Training) -> pl.DataFrame:
        matrix = counts(training, log=True).astype(np.float64)
        alike = matrix.copy()
        if idf:
            listeners = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1)
            alike = sparse.csr_matrix(alike.multiply(np.log(matrix.shape[0] / listeners)[None, :]))
        norms = np.sqrt(np.asarray(alike.multiply(alike).sum(axis=1)).ravel())
        alike = sparse.csr_matrix(sparse.diags(1 / np.maximum(norms, 1e-12)) @ alike)
        near = sparse.lil_matrix(alike @ alike.T)
        near.setdiag(0)
        nearest = keep_best(sparse.csr_matrix(near), k)
        return _recommended(Baseline("listener-knn", lambda rows, _: nearest[rows] @ matrix), training)

    return run


def peers() -> list[Peer]:
    """Every peer with its grid."""
    grid = [
        (factors, *rest)
        for factors, rest in itertools.product(
            (64, 128),
            [(True, 10.0, 0.1), (True, 10.0, 1.0), (True, 30.0, 1.0), (False, 1.0, 0.05), (False, 10.0, 0.05)],
        )
    ]
    return [
        Peer(
            "implicit-als",
            {
                f"{f} factors, {'log' if g else 'raw'} counts, alpha {a:g}, reg {r:g}": als(f, g, a, r)
                for f, g, a, r in grid
            },
        ),
        Peer("item-knn-bm25", {f"K {k}": item_neighbours("bm25", k) for k in (50, 200)}),
        Peer("item-knn-cosine", {f"K {k}": item_neighbours("cosine", k) for k in (50, 200)}),
        Peer(
            "co-session-knn",
            {
                f"half-life {h:g} days, {n} neighbours": co_sessions(h, n)
                for h in (30.0, 90.0, 36_500.0)
                for n in (100, 500)
            },
        ),
        Peer(
            "listener-knn",
            {f"k {k}{', idf' if i else ''}": listener_neighbours(k, i) for k in (20, 50, 200) for i in (False, True)},
        ),
        Peer("most-popular", {"": lambda training: _recommended(most_popular(training), training)}),
    ]


def _recommended(baseline: Baseline, training: Training) -> pl.DataFrame:
    return recommend(baseline, training, training.listener_ids, "unheard", PLACES)


def _listed(training: Training, ids: np.ndarray, scores: np.ndarray) -> pl.DataFrame:
    rows, places = np.nonzero((ids >= 0) & (scores > -1e30))
    return pl.DataFrame(
        {
            "listener_id": training.listener_ids.gather(rows),
            "item": training.items.gather(ids[rows, places].astype(np.int64)),
            "rank": (places + 1).astype(np.int32),
        }
    )
