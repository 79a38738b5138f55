"""A word in one listener's taste: artists that a listener tagged so, found among all artists they are not known to have heard.

    python -m tests.benchmarks.prompts_taste --data DIR        # DIR/hetrec-lastfm-2k and DIR/hetrec-lastfm-2k-tags
    python -m tests.benchmarks.prompts_taste --data DIR --prompts 2000     # so many of all pairs of listener and tag

A random fifth of each listener's artists is held out. A prompt is one of the listener's own tags of held-out artists (one a
listener, by hash; with --prompts, a hashed sample of all their tags, so that a listener of many tags asks often); relevant are
the held-out artists that the listener tagged so; all artists outside the listener's other four fifths are ranked. What the
listener themselves tagged of the held-out artists is taken out of the tag counts. Half of the listeners (by hash) choose the
weights, the other half is reported, with bootstraps by listener. Then the overlap: of the lists that different listeners of the
reported half get for the same word, the share of ten places that two of them have in common.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from models.als import Als
from models.settings import AlsSettings
from tests.benchmarks.prompts_data import hetrec_tags
from transforms.common.hashing import uniform
from transforms.metrics.intervals import interval
from transforms.prompts.ranking import standardised

K = 10


class Set:
    """Listening, tags and the split, by row."""

    def __init__(self, data: Path, seed: int, prompts: int = 0) -> None:
        heard = pl.read_csv(data / "hetrec-lastfm-2k" / "user_artists.dat", separator="\t")
        self.users = heard["userID"].unique().sort().to_numpy()
        self.items = heard["artistID"].unique().sort().to_numpy()
        rows, cols = np.searchsorted(self.users, heard["userID"]), np.searchsorted(self.items, heard["artistID"])
        out = uniform(seed, "held out", rows, cols) < 0.2
        shape = (len(self.users), len(self.items))
        weight = np.log1p(heard["weight"].to_numpy()).astype(np.float32)
        self.train = sparse.csr_matrix((weight[~out], (rows[~out], cols[~out])), shape)
        self.held = sparse.csr_matrix((np.ones(out.sum()), (rows[out], cols[out])), shape)
        said = hetrec_tags(data).filter(pl.col("listener").is_in(self.users) & pl.col("artist").is_in(self.items))
        tags = said["tag"].unique().sort().to_list()
        at = {t: n for n, t in enumerate(tags)}
        u, i = np.searchsorted(self.users, said["listener"]), np.searchsorted(self.items, said["artist"])
        t = np.array([at[x] for x in said["tag"].to_list()])
        hidden = np.asarray(self.held[u, i]).ravel() > 0
        self.tags = sparse.csr_matrix((np.ones(len(u)), (t, i)), (len(tags), shape[1]))  # counts of every listener
        self.queries: list[tuple[int, int, np.ndarray]] = []
        frame = pl.DataFrame({"u": u[hidden], "t": t[hidden], "i": i[hidden]})
        for key, part in frame.partition_by("u", as_dict=True, maintain_order=True).items():
            mine = part["t"].unique().sort().to_numpy()
            one = mine[int(uniform(seed, "tag", np.array([key[0]]))[0] * len(mine))]
            for tag in mine.tolist() if prompts else [int(one)]:
                self.queries.append((int(key[0]), tag, part.filter(pl.col("t") == tag)["i"].unique().to_numpy()))
        if 0 < prompts < len(self.queries):
            drawn = uniform(
                seed, "prompt", np.array([q[0] for q in self.queries]), np.array([q[1] for q in self.queries])
            )
            self.queries = [self.queries[n] for n in np.sort(np.argsort(drawn)[:prompts])]
        own = frame.group_by("u", "t").agg("i")
        self.own = {(a, b): np.array(c) for a, b, c in own.rows()}


def ndcg(score: np.ndarray, known: np.ndarray, wanted: np.ndarray) -> float:
    values = score.astype(float).copy()
    values[known] = -np.inf
    best = np.argpartition(-values, K)[:K]
    best = best[np.lexsort((best, -values[best]))]
    gain = np.isin(best, wanted) / np.log2(np.arange(2, K + 2))
    return float(gain.sum() / (1 / np.log2(np.arange(2, 2 + min(K, len(wanted))))).sum())


def parts_of(data: Set, seed: int) -> list[dict[str, np.ndarray]]:
    """Each query's parts over all artists: taste, taste within the word, tag counts, tag by company, popularity."""
    coo = data.train.tocoo()
    als = Als.fit(coo.row, coo.col, coo.data, *data.train.shape, AlsSettings(factors=64), seed)
    factors = np.asarray(als.item_factors)
    vectors = factors / np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-9)
    holds = data.train.copy()
    plays = np.asarray((holds > 0).sum(axis=0)).ravel().astype(float)
    together = sparse.csr_matrix(holds.T @ holds).tocoo()
    norm = np.sqrt(np.asarray(holds.multiply(holds).sum(axis=0)).ravel())
    keep = together.row != together.col
    value = together.data[keep] / (norm[together.row[keep]] * norm[together.col[keep]] + 20)
    near = sparse.csr_matrix((value, (together.row[keep], together.col[keep])), together.shape)
    fits = als.fold_in(data.train) @ factors.T
    company = np.asarray((data.train @ near).todense())
    out = []
    for user, tag, _ in data.queries:
        counts = np.asarray(data.tags[tag].todense()).ravel()
        counts[data.own[user, tag]] -= 1
        share = counts / (np.asarray(data.tags.sum(axis=0)).ravel() + 10)
        centre = (np.log1p(counts)[:, None] * vectors).sum(axis=0)
        tag_company = np.asarray(near.T @ np.log1p(counts)).ravel() / np.sqrt(plays + 10)
        known = data.train[user].indices
        within = np.zeros(len(counts), np.float32)
        within[known] = data.train[user].data * np.log1p(counts[known])
        own = sparse.csr_matrix(within)
        in_word = np.asarray((own @ near).todense()).ravel()
        fold_word = als.fold_in(own) @ factors.T if own.nnz else np.zeros((1, len(counts)))
        out.append({
            "als": fits[user], "company": np.sqrt(company[user]), "word als": fold_word[0], "word company": np.sqrt(in_word),
            "counts": np.log1p(counts), "share": np.sqrt(share), "tag company": np.sqrt(np.maximum(tag_company, 0)),
            "tag als": vectors @ (centre / max(float(np.linalg.norm(centre)), 1e-9)), "popular": np.log1p(plays),
        })  # fmt: skip
    every = np.ones(len(data.items), bool)
    return [{k: standardised(v.astype(np.float32), every) for k, v in one.items()} for one in out]


def scores(data: Set, parts: list[dict[str, np.ndarray]], weights: dict[str, float], rows: list[int]) -> np.ndarray:
    values = []
    for n in rows:
        user, _, wanted = data.queries[n]
        total = sum(w * parts[n][k] for k, w in weights.items() if w)
        values.append(ndcg(np.asarray(total), data.train[user].indices, wanted))
    return np.array(values)


def overlap(
    data: Set, parts: list[dict[str, np.ndarray]], weights: dict[str, float], rows: list[int]
) -> tuple[float, int]:
    """Mean share of ten places that two listeners' lists for one word have in common, and the number of such pairs."""
    best: dict[int, list[set[int]]] = {}
    for n in rows:
        user, tag, _ = data.queries[n]
        total = np.asarray(sum(w * parts[n][k] for k, w in weights.items() if w), float)
        total[data.train[user].indices] = -np.inf
        best.setdefault(tag, []).append(set(np.argsort(-total, kind="stable")[:K].tolist()))
    shared = [len(a & b) / K for lists in best.values() for a, b in combinations(lists, 2)]
    return float(np.mean(shared)), len(shared)


def chosen(data: Set, parts: list[dict[str, np.ndarray]], rows: list[int]) -> dict[str, float]:
    """Weights by coordinate ascent: each of a few values in turn, two rounds."""
    others = ("word als", "word company", "share", "tag company", "tag als", "popular")
    weights = {"als": 0.5, "company": 0.5, "counts": 1.0, **dict.fromkeys(others, 0.0)}
    best = scores(data, parts, weights, rows).mean()
    for _ in range(2):
        for name in list(weights):
            for value in (0.0, 0.5, 1.0, 2.0):
                tried = scores(data, parts, {**weights, name: value}, rows).mean()
                if tried > best + 1e-6:
                    best, weights = tried, {**weights, name: value}
    return weights


def main() -> None:
    """Choose on one half, report the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--prompts", type=int, default=0, help="prompts of all pairs of listener and tag; 0 = one a listener"
    )
    o = parser.parse_args()
    data = Set(o.data, o.seed, o.prompts)
    parts = parts_of(data, o.seed)
    half = uniform(o.seed, "half", np.array([q[0] for q in data.queries])) < 0.5
    choose, report = np.flatnonzero(half).tolist(), np.flatnonzero(~half).tolist()
    weights = chosen(data, parts, choose[:250])
    print(f"{len(data.queries)} prompts, {len(choose[:250])} to choose on, {len(report)} reported; weights {weights}")
    ways = {
        "popular": {"popular": 1.0}, "listener alone": {"als": 1.0, "company": 1.0}, "tag counts alone": {"counts": 1.0},
        "tag counts + listener": {"counts": 1.0, "als": 0.5, "company": 0.5}, "all parts": weights,
    }  # fmt: skip
    ids = [str(data.queries[n][0]) for n in report]
    for name, way in ways.items():
        found = interval(ids, scores(data, parts, way, report))
        print(f"  {name:22} NDCG@10 {found.value:.4f} ({found.low:.4f} to {found.high:.4f})")
    print("overlap of two listeners' lists for one word, share of ten places")
    for name, way in ways.items():
        shared, pairs = overlap(data, parts, way, report)
        print(f"  {name:22} {shared:.3f} ({pairs} pairs of lists)")


if __name__ == "__main__":
    main()
