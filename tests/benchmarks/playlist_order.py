"""Order and continuation of people's own playlists: neighbours recovered, and what comes next, with intervals.

    python -m tests.benchmarks.playlist_order --data DIR        # DIR/polimi2018-playlists

Split: by md5 of the playlist's id, 60% to learn from, 20% to choose weights on, 20% reported. Order: a playlist's tracks are
given as a set; counted is the share of its neighbouring pairs that are neighbours again. Continuation: the first half of a
playlist is given, all tracks that it does not hold are ranked, the second half is what is to be found (R-precision, NDCG@50).
Intervals are bootstraps by playlist.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from transforms.common.hashing import uniform
from transforms.metrics.intervals import interval
from transforms.shelves.ordering import Flow, FlowSettings, costs, order

LENGTH = 3, 40
Orderer = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Learned:
    """What the playlists to learn from say: flow, cosine of tracks by playlists, popularity."""

    flow: Flow
    cosine: sparse.csr_matrix
    plays: np.ndarray


def playlists_of(folder: Path) -> tuple[dict[int, np.ndarray], np.ndarray, np.ndarray]:
    """Playlist -> rows of tracks in order; artist and album of each row."""
    tracks = pl.read_csv(folder / "tracks.csv")
    row = {t: n for n, t in enumerate(tracks["track_id"].to_list())}
    rows = pl.read_csv(folder / "train_new_pos.csv").sort("playlist_id", "pos")
    found = {}
    for key, part in rows.partition_by("playlist_id", as_dict=True, maintain_order=True).items():
        found[int(key[0])] = np.array(list(dict.fromkeys(row[t] for t in part["track_id"].to_list())))  # type: ignore[call-overload]
    return found, tracks["artist_id"].to_numpy().astype(np.int32), tracks["album_id"].to_numpy().astype(np.int32)


def part_of(playlist: int) -> str:
    """Which part of the split a playlist is in."""
    drawn = md5(str(playlist).encode(), usedforsecurity=False).digest()[0] / 256
    return "learn" if drawn < 0.6 else "choose" if drawn < 0.8 else "report"


def learn(lists: list[np.ndarray], artist: np.ndarray, album: np.ndarray) -> Learned:
    """Transitions both ways, and cosines with a shrinkage of 5."""
    n = len(artist)
    pairs = np.array([(a, b) for rows in lists for a, b in pairwise(rows.tolist())])
    follows = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (n, n))
    at = np.concatenate([np.full(len(rows), i) for i, rows in enumerate(lists)])
    holds = sparse.csr_matrix((np.ones(len(at)), (at, np.concatenate(lists))), (len(lists), n))
    together = sparse.csr_matrix(holds.T @ holds)
    plays = np.asarray(holds.sum(axis=0)).ravel()
    together.setdiag(0)
    together.eliminate_zeros()
    together = together.tocoo()
    value = together.data / (np.sqrt(plays[together.row] * plays[together.col]) + 5)
    cosine = sparse.csr_matrix((value, (together.row, together.col)), (n, n))
    return Learned(Flow(sparse.csr_matrix(follows + follows.T), None, artist, album), cosine, plays)


def flowing(learned: Learned, settings: FlowSettings, like: float, together: float) -> Orderer:
    """Ours: transitions, company and artist; `together` prices neighbours of one artist (negative: they belong together)."""

    def orderer(rows: np.ndarray) -> np.ndarray:
        price = costs(rows, learned.flow, settings)
        near = np.asarray(learned.cosine[rows][:, rows].todense())
        spread = near.std()
        price -= like * near / spread if spread > 0 else 0
        artist = learned.flow.artist[rows]  # type: ignore[index]
        price += together * (artist[:, None] == artist[None, :])
        np.fill_diagonal(price, 0)
        return rows[order(price)]

    return orderer


def greedy(learned: Learned) -> Orderer:
    """The nearest unplayed track follows, by cosine."""

    def orderer(rows: np.ndarray) -> np.ndarray:
        near = np.asarray(learned.cosine[rows][:, rows].todense())
        path, left = [0], set(range(1, len(rows)))
        while left:
            path.append(max(left, key=lambda t: (near[path[-1], t], -t)))
            left.remove(path[-1])
        return rows[path]

    return orderer


def recovered(truth: np.ndarray, made: np.ndarray) -> float:
    """Share of neighbouring pairs that are neighbours again."""
    pairs = {frozenset(p) for p in pairwise(truth.tolist())}
    return len(pairs & {frozenset(p) for p in pairwise(made.tolist())}) / len(pairs)


def shuffled(rows: np.ndarray, seed: int = 1) -> np.ndarray:
    """The set, in an order that says nothing."""
    return rows[np.argsort(uniform(seed, "shuffle", rows))]


def order_scores(lists: list[np.ndarray], orderer: Orderer) -> np.ndarray:
    """One share a playlist."""
    return np.array([recovered(rows, orderer(shuffled(rows))) for rows in lists])


def continuation(lists: list[np.ndarray], score: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """R-precision and NDCG@50 of each playlist's second half."""
    precision, gain = [], []
    for rows in lists:
        given, wanted = rows[: len(rows) // 2], set(rows[len(rows) // 2 :].tolist())
        values = score(given).copy()
        values[given] = -np.inf
        best = np.lexsort((np.arange(len(values)), -values))[: max(50, len(wanted))].tolist()
        precision.append(len(wanted & set(best[: len(wanted)])) / len(wanted))
        hits = np.array([b in wanted for b in best[:50]]) / np.log2(np.arange(2, 52))
        gain.append(hits.sum() / (1 / np.log2(np.arange(2, 2 + min(50, len(wanted))))).sum())
    return np.array(precision), np.array(gain)


def continuing(learned: Learned, artist: float, follows: float, popular: float) -> Callable[[np.ndarray], np.ndarray]:
    """Company of what was given, the last tracks the more; tracks of its artists and albums; what follows its last tracks."""
    flow = learned.flow
    popularity = np.log1p(learned.plays)

    def score(given: np.ndarray) -> np.ndarray:
        weight = 0.97 ** np.arange(len(given))[::-1]
        out = np.asarray(learned.cosine[given].T @ weight).ravel() / weight.sum()
        scale = out.max() or 1.0
        out = out / scale
        for group, price in ((flow.artist, artist), (flow.album, artist)):
            share = np.bincount(group[given], weights=weight, minlength=group.max() + 1) / weight.sum()  # type: ignore[index, union-attr]
            out = out + price * share[group]
        after = np.asarray(flow.follows[given[-3:]].sum(axis=0)).ravel()  # type: ignore[index]
        return out + follows * np.log1p(after) + popular * popularity / popularity.max()

    return score


def figures(name: str, values: np.ndarray) -> str:
    """Mean with its interval."""
    mean = interval([str(n) for n in range(len(values))], values)
    return f"  {name:22} {mean.value:.4f} ({mean.low:.4f} to {mean.high:.4f})"


def main() -> None:
    """Choose on one part, report on the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--choose", type=int, default=300, help="playlists that weights are chosen on")
    parser.add_argument("--report", type=int, default=1000, help="playlists that are reported")
    o = parser.parse_args()
    found, artist, album = playlists_of(o.data / "polimi2018-playlists")
    parts = {
        p: [r for k, r in sorted(found.items()) if part_of(k) == p and LENGTH[0] <= len(r) <= LENGTH[1]]
        for p in ("learn", "choose", "report")
    }
    parts["report"] = parts["report"][: o.report]
    print({p: len(v) for p, v in parts.items()})
    learned = learn(parts["learn"], artist, album)
    few = parts["choose"][: o.choose]
    plain = FlowSettings(nearness=0, same_artist=0, same_album=0)
    grid = list(product((0.0, 1.0), (-2.0, 0.0, 1.0)))
    best = max(grid, key=lambda g: float(order_scores(few, flowing(learned, plain, *g)).mean()))
    print("order: company beside transitions, neighbours of one artist:", best)
    default = FlowSettings(nearness=0)
    orderers: dict[str, Orderer] = {
        "random": lambda rows: rows,
        "popularity": lambda rows: rows[np.argsort(-learned.plays[rows], kind="stable")],
        "greedy similarity": greedy(learned),
        "ours, chosen": flowing(learned, plain, *best),
        "ours, artists spaced": flowing(learned, default, 0.5, 0.0),
    }
    print(f"share of true neighbours recovered, {len(parts['report'])} playlists")
    scores = {name: order_scores(parts["report"], orderer) for name, orderer in orderers.items()}
    for name, values in scores.items():
        print(figures(name, values))
    print(figures("ours - greedy", scores["ours, chosen"] - scores["greedy similarity"]))
    ways = list(product((0.0, 0.1, 0.3), (0.0, 0.1), (0.0, 0.05)))
    way = max(ways, key=lambda w: continuation(few, continuing(learned, *w))[1].mean())
    print("continuation: artist and album, follows, popularity:", way)
    scorers = {
        "random": lambda given: uniform(1, "random", np.arange(len(artist)) + int(given[0])),
        "popularity": lambda given: learned.plays,
        "greedy similarity": lambda given: np.asarray(learned.cosine[given].sum(axis=0)).ravel(),
        "ours": continuing(learned, *way),
    }
    made = {name: continuation(parts["report"], scorer) for name, scorer in scorers.items()}
    for which, title in enumerate(("R-precision", "NDCG@50")):
        print(f"continuation, {title}")
        for name, values in made.items():
            print(figures(name, values[which]))
        print(figures("ours - greedy", made["ours"][which] - made["greedy similarity"][which]))


if __name__ == "__main__":
    main()
