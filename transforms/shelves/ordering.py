"""A chosen set of tracks as a session that flows: which track follows which, with a start and an end.

    cost(order) = sum over neighbours of -transition(a, b) - nearness(a, b) + repeat(a, b)  +  far(order)

`transition` is how often sessions show b right after a (in standard deviations), `nearness` the cosine of their embeddings,
`repeat` is paid where neighbours are of one artist or album. What rises or falls (tempo, energy, release) is paid by the distance
of each track from its place on the line. Up to `EXACT` tracks the cheapest path is found exactly, by dynamic programming over
subsets (Held & Karp 1962); beyond, a path built from the best links is improved by moving and reversing stretches (2-opt and
or-opt, Croes 1958, Or 1976) for a bounded number of rounds, so the same set always comes out in the same order.

    >>> order(np.array([[0, 5, 1], [5, 0, 4], [1, 4, 0]], float)).tolist()      # costs of going from row to column
    [0, 2, 1]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

EXACT = 10
ROUNDS = 12


class FlowSettings(BaseModel):
    """Weights of what makes neighbours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transitions: float = Field(1.0, ge=0, description="how often sessions show one track right after the other")
    nearness: float = Field(0.5, ge=0, description="cosine of two tracks' embeddings")
    same_artist: float = Field(1.0, ge=0, description="cost of two neighbours of one artist")
    same_album: float = Field(0.25, ge=0, description="cost of two neighbours of one album, beside that of the artist")
    line: float = Field(2.0, ge=0, description="cost of standing far from where a rising or falling value puts a track")


@dataclass(frozen=True)
class Flow:
    """What is known of how tracks follow each other, over n rows.

    Attributes:
        follows: CSR [n, n], how often the column is played right after the row; None = not known.
        vectors: float32[n, d] of unit length; None = not known.
        artist, album: int32[n], -1 unknown.
    """

    follows: sparse.csr_matrix | None = None
    vectors: np.ndarray | None = None
    artist: np.ndarray | None = None
    album: np.ndarray | None = None


def costs(rows: np.ndarray, flow: Flow, settings: FlowSettings | None = None) -> np.ndarray:
    """float64[k, k]: what it costs to play the column's track right after the row's; the diagonal is 0."""
    settings, k = settings or FlowSettings(), len(rows)
    out = np.zeros((k, k))
    if flow.follows is not None and settings.transitions:
        seen = np.log1p(np.asarray(flow.follows[rows][:, rows].todense(), float))
        spread = float(seen.std())
        out -= settings.transitions * seen / spread if spread > 0 else 0
    if flow.vectors is not None and settings.nearness:
        out -= settings.nearness * (flow.vectors[rows] @ flow.vectors[rows].T)
    for group, price in ((flow.artist, settings.same_artist), (flow.album, settings.same_album)):
        if group is not None and price:
            mine = group[rows]
            out += price * ((mine[:, None] == mine[None, :]) & (mine[:, None] >= 0))
    np.fill_diagonal(out, 0)
    return out


def order(cost: np.ndarray, places: np.ndarray | None = None, first: int | None = None) -> np.ndarray:
    """int64[k]: the cheapest path through every track.

    Args:
        cost: [k, k] as of `costs`.
        places: float[k, k], what it costs to put the row's track at the column's place; None = every place is free.
        first: the track that begins; None = whichever is cheapest.
    """
    k = len(cost)
    if k < 2:
        return np.arange(k)
    places = np.zeros((k, k)) if places is None else places
    return _exact(cost, places, first) if k <= EXACT else _improved(cost, places, first)


def on_a_line(values: np.ndarray, rising: bool, price: float) -> np.ndarray:
    """float64[k, k]: cost of each place for tracks whose values are to rise or fall; unknown values (NaN) may stand anywhere."""
    k = len(values)
    known = np.flatnonzero(np.isfinite(values))
    rank = np.full(k, np.nan)
    by = np.argsort(values[known] if rising else -values[known], kind="stable")
    rank[known[by]] = np.linspace(0, 1, len(known)) if len(known) > 1 else 0.5
    away = np.abs(rank[:, None] - np.linspace(0, 1, k)[None, :])
    return np.asarray(price * np.nan_to_num(away, nan=0.0) * k / 2)


def _exact(cost: np.ndarray, places: np.ndarray, first: int | None) -> np.ndarray:
    """Held-Karp: the cheapest way to have played a set and to end at a track, set by set."""
    k = len(cost)
    best = np.full((1 << k, k), np.inf)
    came = np.full((1 << k, k), -1, np.int32)
    for start in range(k) if first is None else (first,):
        best[1 << start, start] = places[start, 0]
    for played in range(1, 1 << k):
        place = played.bit_count()
        ends = np.flatnonzero(np.isfinite(best[played]))
        if not len(ends) or place == k:
            continue
        through = best[played, ends][:, None] + cost[ends]
        at = through.argmin(axis=0)
        for track in range(k):
            if not played >> track & 1:
                here, total = played | 1 << track, through[at[track], track] + places[track, place]
                if total < best[here, track]:
                    best[here, track], came[here, track] = total, ends[at[track]]
    played, at_end = (1 << k) - 1, int(best[-1].argmin())
    out = []
    while at_end >= 0:
        out.append(at_end)
        played, at_end = played & ~(1 << at_end), int(came[played, at_end])
    return np.array(out[::-1])


def _improved(cost: np.ndarray, places: np.ndarray, first: int | None) -> np.ndarray:
    """A path of best links, then stretches moved and reversed while that is cheaper."""
    path = _greedy(cost, places, first)
    price = _price(path, cost, places)
    fixed = 0 if first is None else 1
    for _ in range(ROUNDS):
        before = price
        for length in (1, 2, 3):
            path, price = _moved(path, price, cost, places, length, fixed)
        path, price = _reversed(path, price, cost, places, fixed)
        if price > before - 1e-9:
            break
    return path


def _greedy(cost: np.ndarray, places: np.ndarray, first: int | None) -> np.ndarray:
    k = len(cost)
    start = int(places[:, 0].argmin()) if first is None and places.any() else int(cost.min(axis=1).argmin())
    path = [start if first is None else first]
    left = np.ones(k, bool)
    left[path[0]] = False
    while left.any():
        candidates = np.flatnonzero(left)
        nxt = int(candidates[(cost[path[-1], candidates] + places[candidates, len(path)]).argmin()])
        path.append(nxt)
        left[nxt] = False
    return np.array(path)


def _price(path: np.ndarray, cost: np.ndarray, places: np.ndarray) -> float:
    return float(cost[path[:-1], path[1:]].sum() + places[path, np.arange(len(path))].sum())


def _moved(
    path: np.ndarray, price: float, cost: np.ndarray, places: np.ndarray, length: int, fixed: int
) -> tuple[np.ndarray, float]:
    for start in range(fixed, len(path) - length + 1):
        part, rest = path[start : start + length], np.delete(path, np.s_[start : start + length])
        ways = [np.insert(rest, at, p) for p in (part, part[::-1]) for at in range(fixed, len(rest) + 1)]
        every = np.array(ways)
        prices = cost[every[:, :-1], every[:, 1:]].sum(axis=1) + places[every, np.arange(len(path))].sum(axis=1)
        best = int(prices.argmin())
        if prices[best] < price - 1e-9:
            path, price = every[best], float(prices[best])
    return path, price


def _reversed(
    path: np.ndarray, price: float, cost: np.ndarray, places: np.ndarray, fixed: int
) -> tuple[np.ndarray, float]:
    for start in range(fixed, len(path) - 1):
        ways = np.array(
            [np.r_[path[:start], path[start:stop][::-1], path[stop:]] for stop in range(start + 2, len(path) + 1)]
        )
        prices = cost[ways[:, :-1], ways[:, 1:]].sum(axis=1) + places[ways, np.arange(len(path))].sum(axis=1)
        best = int(prices.argmin())
        if prices[best] < price - 1e-9:
            path, price = ways[best], float(prices[best])
    return path, price
