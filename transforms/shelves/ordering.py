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

from transforms.common.compiled import compiled

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
    return np.asarray(_held_karp(np.ascontiguousarray(cost, np.float64), places, -1 if first is None else first))


@compiled
def _held_karp(cost: np.ndarray, places: np.ndarray, first: int) -> np.ndarray:
    k = len(cost)
    best = np.full((1 << k, k), np.inf)
    came = np.full((1 << k, k), -1, np.int32)
    count = np.zeros(1 << k, np.int64)
    for start in range(k):
        if first < 0 or first == start:
            best[1 << start, start] = places[start, 0]
    for played in range(1, 1 << k):
        count[played] = count[played >> 1] + (played & 1)
        for track in range(k):
            if played >> track & 1:
                continue
            total, end = np.inf, -1
            for last in range(k):
                if best[played, last] + cost[last, track] < total:
                    total, end = best[played, last] + cost[last, track], last
            if end >= 0:
                here = played | 1 << track
                total += places[track, count[played]]
                if total < best[here, track]:
                    best[here, track], came[here, track] = total, end
    played, at_end = (1 << k) - 1, int(best[-1].argmin())
    out = np.zeros(k, np.int64)
    for place in range(k - 1, -1, -1):
        out[place] = at_end
        played, at_end = played & ~(1 << at_end), came[played, at_end]
    return out


def _improved(cost: np.ndarray, places: np.ndarray, first: int | None) -> np.ndarray:
    """A path of best links, then stretches moved and reversed while that is cheaper."""
    path = _greedy(cost, places, first).astype(np.int64)
    fixed = 0 if first is None else 1
    return np.asarray(_rounds(path, np.ascontiguousarray(cost, np.float64), places, fixed))


@compiled
def _rounds(path: np.ndarray, cost: np.ndarray, places: np.ndarray, fixed: int) -> np.ndarray:
    price = _price(path, cost, places)
    for _ in range(ROUNDS):
        before = price
        for length in range(1, 4):
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


@compiled
def _price(path: np.ndarray, cost: np.ndarray, places: np.ndarray) -> float:
    total = places[path[0], 0]
    for at in range(1, len(path)):
        total += cost[path[at - 1], path[at]] + places[path[at], at]
    return total


@compiled
def _moved(
    path: np.ndarray, price: float, cost: np.ndarray, places: np.ndarray, length: int, fixed: int
) -> tuple[np.ndarray, float]:
    """Every stretch of a length, as it is and reversed, put where it is cheapest."""
    k = len(path)
    way, best = np.empty(k, np.int64), path.copy()
    for start in range(fixed, k - length + 1):
        cheapest = price - 1e-9
        for turned in range(2 if length > 1 else 1):
            for target in range(fixed, k - length + 1):
                read = 0
                for at in range(k):  # the rest, with the stretch at `target`
                    if target <= at < target + length:
                        step = at - target
                        way[at] = path[start + (length - 1 - step if turned else step)]
                    else:
                        if read == start:
                            read += length
                        way[at] = path[read]
                        read += 1
                total = _price(way, cost, places)
                if total < cheapest:
                    cheapest, best = total, way.copy()
        if cheapest < price - 1e-9:
            path, price = best, cheapest
    return path, price


@compiled
def _reversed(
    path: np.ndarray, price: float, cost: np.ndarray, places: np.ndarray, fixed: int
) -> tuple[np.ndarray, float]:
    """Every stretch turned round where that is cheaper, the best end for each start."""
    k = len(path)
    way, best = np.empty(k, np.int64), path.copy()
    for start in range(fixed, k - 1):
        cheapest = price - 1e-9
        for stop in range(start + 2, k + 1):
            way[:] = path
            way[start:stop] = path[start:stop][::-1]
            total = _price(way, cost, places)
            if total < cheapest:
                cheapest, best = total, way.copy()
        if cheapest < price - 1e-9:
            path, price = best, cheapest
    return path, price
