"""Choosing a group's tracks one after the other, so that nobody is left out.

A list L gives member m the satisfaction

    s_m(L) = sum_i w_i r_m(L_i) / sum_i w_i r_m(best_i)        w_i = 1 / log2(1 + i), best: what m would choose alone

between 0 and 1. Each place takes the track that raises the welfare of the group most,

    W = sum_m f(s_m)     f(s) = s^(1 - a) / (1 - a), log s for a = 1

the a-fair welfare of Mo and Walrand ("Fair end-to-end window-based congestion control", 2000): with a = 0 it is the mean of the
members, with a = 1 proportional fairness (Nash's product), and with growing a the least satisfied alone decide. f is concave, so
whoever has had little gains more by the next track: over the list the members take turns where tastes differ, and where they
agree everybody's favourites come first. `EDGE` is added to s, since log 0 would make one member's first track worth anything.

Example: two members like a, b, c, a third x, y, z, best first. The mean gives a, b, c; proportional fairness gives a, x, b.
"""

from __future__ import annotations

import numpy as np

from transforms.common.compiled import compiled

EDGE = 0.05


@compiled
def weights(size: int) -> np.ndarray:
    """float64[size], what each place of a list counts."""
    return 1.0 / np.log2(np.arange(size) + 2.0)


@compiled
def alone(relevance: np.ndarray, size: int) -> np.ndarray:
    """float64 by member: what the best list of their own would be worth, at least a hair.

    Args:
        relevance: float64 [members, tracks].
    """
    w = weights(size)
    out = np.full(len(relevance), 1e-9)
    for m in range(len(relevance)):
        best = np.sort(relevance[m])[::-1]
        for i in range(min(size, len(best))):
            out[m] += w[i] * best[i]
    return out


@compiled
def satisfaction(relevance: np.ndarray, items: np.ndarray) -> np.ndarray:
    """float64 by member, s above; at most 1.

    Args:
        relevance: float64 [members, tracks].
        items: places of the list's tracks in order, -1 after the last.
    """
    w, most = weights(len(items)), alone(relevance, len(items))
    out = np.zeros(len(relevance))
    for place in range(len(items)):
        if items[place] >= 0:
            for m in range(len(relevance)):
                out[m] += w[place] * relevance[m, items[place]] / most[m]
    return np.minimum(out, 1.0)


@compiled
def _welfare(s: float, fairness: float) -> float:
    if fairness == 1.0:
        return np.log(s + EDGE)
    return (s + EDGE) ** (1.0 - fairness) / (1.0 - fairness)


@compiled
def choose(  # noqa: PLR0912 (a compiled loop)
    relevance: np.ndarray,
    recording: np.ndarray,
    bounds: np.ndarray,
    artists: np.ndarray,
    size: int,
    spares: int,
    fairness: float,
    cap: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Places of the chosen tracks, items first, then spares; -1 after the last. And each member's satisfaction with the items.

    Args:
        relevance: float64 [members, tracks], tracks in the order that decides among equals.
        recording: int64 by track; one of each is chosen.
        bounds, artists: of each track the codes of its artists, artists[bounds[t]:bounds[t + 1]], counted from 0.
        size, spares: how many.
        fairness: a, above.
        cap: tracks of one artist at most.
    """
    members, tracks = relevance.shape
    w, most = weights(size + spares), alone(relevance, size)
    got, before = np.zeros(members), np.zeros(members)
    out = np.full(size + spares, -1, np.int64)
    free = np.ones(tracks, np.bool_)
    count = np.zeros((artists.max() if len(artists) else 0) + 1, np.int64)
    for place in range(size + spares):
        for m in range(members):
            before[m] = _welfare(got[m], fairness)
        best, chosen = -np.inf, -1
        for t in range(tracks):
            if not free[t]:
                continue
            gain = 0.0
            for m in range(members):
                if relevance[m, t] > 0:
                    gain += _welfare(got[m] + w[place] * relevance[m, t] / most[m], fairness) - before[m]
            if gain > best:
                best, chosen = gain, t
        if chosen < 0:
            break
        out[place] = chosen
        for m in range(members):
            got[m] += w[place] * relevance[m, chosen] / most[m]
        for at in range(bounds[chosen], bounds[chosen + 1]):
            count[artists[at]] += 1
        for t in range(tracks):
            if free[t]:
                if recording[t] == recording[chosen]:
                    free[t] = False
                for at in range(bounds[t], bounds[t + 1]):
                    if count[artists[at]] >= cap:
                        free[t] = False
    return out, satisfaction(relevance, out[:size])
