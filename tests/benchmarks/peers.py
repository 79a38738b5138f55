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

from transforms.evaluation.baselines import (
    Baseline,
    Training,
    faded_history,
    item_similarity,
    most_popular,
    recommend,
    weighted_rows,
)
from transforms.evaluation.best_places import keep_best

PLACES = 50
EVERY = 10**6  # more neighbours than there are
FOREVER = 1e9  # a half-life that halves nothing
Lister = Callable[[Training], pl.DataFrame]


@dataclass(frozen=True)
class Peer:
    """A method and its grid.

    Attributes:
        variants: label -> function from training to listener_id, item, rank.
        ends: parts of labels at an end of the grid that could go on. A winner that holds one is not settled; an end beyond
            which there is nothing (every neighbour, no decay, one neighbour) is none.
    """

    name: str
    variants: dict[str, Lister]
    ends: tuple[str, ...] = ()


def at_an_edge(label: str, ends: tuple[str, ...]) -> bool:
    """Whether a variant stands at an end of its grid.

    >>> at_an_edge("K 20, idf", ("K 20", "K 800")), at_an_edge("K 200", ("K 20", "K 800"))
    (True, False)
    """
    return bool(set(label.split(", ")) & set(ends))


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
    """implicit's item neighbours over listeners, by BM25 or cosine.

    With every neighbour the item-to-item matrix A'A needs not be made: history (A'A) = (history A')A. What a track has in
    common with itself counts only for tracks that were heard, which are not listed.
    """

    def run(training: Training) -> pl.DataFrame:
        from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, bm25_weight, normalize

        matrix = counts(training, log=True).astype(np.float64)
        if k >= EVERY:
            weighted = bm25_weight(matrix.T, K1=1.2, B=0.75) if kind == "bm25" else normalize(matrix.T)
            return _through(matrix, sparse.csr_matrix(weighted.T), training)
        model = (BM25Recommender if kind == "bm25" else CosineRecommender)(K=k, num_threads=2)
        model.fit(matrix, show_progress=False)
        return _listed(training, *model.recommend(np.arange(matrix.shape[0]), matrix, N=PLACES))

    return run


def co_sessions(half_life: float, neighbours: int) -> Lister:
    """Cosine over sessions, later items weighing more: the report's item-knn."""

    def run(training: Training) -> pl.DataFrame:
        own = faded_history(training, half_life)
        if neighbours >= EVERY:
            rows = weighted_rows(training, "session")
            norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=0)).ravel())
            return _through(own, sparse.csr_matrix(rows @ sparse.diags(1 / np.maximum(norms, 1e-12))), training)
        similar = _similarity(training, neighbours)
        return _recommended(Baseline("item-knn", lambda rows, _: own[rows] @ similar), training)

    return run


_LAST: dict[str, tuple[Training, dict[int, sparse.csr_matrix]]] = {}


def _similarity(training: Training, neighbours: int) -> sparse.csr_matrix:
    """The last training's similarities, made once for all half-lives."""
    if "last" not in _LAST or _LAST["last"][0] is not training:
        _LAST["last"] = (training, {})
    made = _LAST["last"][1]
    if neighbours not in made:
        made[neighbours] = item_similarity(training, "session", neighbours)
    return made[neighbours]


def _through(history: sparse.csr_matrix, rows: sparse.csr_matrix, training: Training) -> pl.DataFrame:
    """The best of history (A'A), A being `rows`."""
    columns = sparse.csc_matrix(rows.T)
    return _recommended(Baseline("every-neighbour", lambda at, _: (history[at] @ columns) @ rows), training)


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
            (32, 64, 128, 256),
            [
                *((True, *rest) for rest in ((10.0, 1.0), (10.0, 10.0), (30.0, 1.0), (30.0, 10.0), (30.0, 30.0))),
                *((True, 100.0, reg) for reg in (10.0, 30.0)),
                *((False, *rest) for rest in ((1.0, 0.05), (10.0, 0.05), (10.0, 1.0), (30.0, 0.05), (30.0, 10.0))),
            ],
        )
    ]
    return [
        Peer(
            "implicit-als",
            {
                f"{f} factors, {'log' if g else 'raw'} counts, alpha {a:g}, reg {r:g}": als(f, g, a, r)
                for f, g, a, r in grid
            },
            ("32 factors", "256 factors", "alpha 1", "alpha 100", "reg 0.05"),
        ),
        *(
            Peer(
                f"item-knn-{kind}",
                {_neighbours(k, "K"): item_neighbours(kind, k) for k in (10, 50, 200, 1000, EVERY)},
                ("K 10",),
            )
            for kind in ("bm25", "cosine")
        ),
        Peer(
            "co-session-knn",
            {
                f"{_half_life(h)}, {_neighbours(n, 'neighbours')}": co_sessions(h, n)
                for h in (7.0, 30.0, 90.0, 365.0, FOREVER)
                for n in (30, 100, 500, EVERY)
            },
            (_half_life(7.0), _neighbours(30, "neighbours")),
        ),
        Peer(
            "listener-knn",
            {
                f"{_neighbours(k, 'k')}{', idf' if i else ''}": listener_neighbours(k, i)
                for k in (5, 20, 50, 200, EVERY)
                for i in (False, True)
            },
            ("k 5",),
        ),
        Peer("most-popular", {"": lambda training: _recommended(most_popular(training), training)}),
    ]


def _neighbours(k: int, name: str) -> str:
    return f"{name} {k}" if k < EVERY else f"every {name}"


def _half_life(days: float) -> str:
    return f"half-life {days:g} days" if days < FOREVER else "no decay"


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
