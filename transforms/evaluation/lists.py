"""Lists measured as numbers in one compiled walk: relevance, novelty, new artists and exposures of a listener at once.

The definitions are those of `transforms.metrics.ranking` (relevance) and `transforms.metrics.beyond` (the rest), to the last bit;
a test compares the two. There are some eighty lists a night, each of up to 50 items for every listener.

    judge = Judge.of(codes, targets, heard, facts)
    judge.measured(listed, "unheard")          values float64 [listeners, METRICS], exposures by item
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from transforms.common.compiled import compiled
from transforms.evaluation.coding import Codes
from transforms.evaluation.facts import MeasureFacts, Runs, runs
from transforms.metrics.ranking import CUTOFFS, metric_names

TOP = max(CUTOFFS)
BEYOND = (f"novelty@{TOP}", f"new_artist_share@{TOP}")
METRICS = (*metric_names(), *BEYOND)


@dataclass(frozen=True)
class Judge:
    """What lists of some listeners are measured by.

    Attributes:
        listeners: how many; a listener is a number below.
        relevant: by target, the items of each listener.
        played: artists that each listener had played.
        credits: artists of each item.
        bits: float64 by item, its self-information, -log2((listeners of the item + 1) / (all + 1)).
    """

    listeners: int
    relevant: Mapping[str, Runs]
    played: Runs
    credits: Runs
    bits: np.ndarray

    @classmethod
    def of(
        cls,
        codes: Codes,
        targets: pl.DataFrame,
        heard: pl.DataFrame,
        facts: MeasureFacts,
        kinds: Mapping[str, Callable[[pl.DataFrame], pl.DataFrame]],
    ) -> Judge:
        """From frames by name.

        Args:
            targets: listener_id, item and what `kinds` read: by target, those of them that it asks for.
            heard: listener_id, item heard by the night.
        """
        size, items = codes.listeners.height, codes.items.height
        coded = codes.coded(targets)
        relevant = {
            kind: runs(of(coded).select("listener_id", "item").unique().sort("listener_id", "item"), size)
            for kind, of in kinds.items()
        }
        bounds, artists = facts.artists
        bounds = np.concatenate([bounds, np.full(items - facts.items.height, bounds[-1])])
        mine = codes.coded(heard)
        count = np.diff(bounds)[mine["item"].to_numpy()]
        at = np.arange(int(count.sum())) + np.repeat(bounds[mine["item"].to_numpy()] - np.cumsum(count) + count, count)
        pairs = pl.DataFrame({"listener_id": np.repeat(mine["listener_id"].to_numpy(), count), "artist": artists[at]})
        had = pl.Series(np.concatenate([facts.audience, np.zeros(items - facts.items.height, np.int64)]))
        bits = (-((had + 1) / (facts.listeners + 1)).log(2.0)).to_numpy()
        return cls(size, relevant, runs(pairs.unique().sort("listener_id", "artist"), size), (bounds, artists), bits)

    @classmethod
    def of_relevance(cls, relevant: Mapping[str, pl.DataFrame], shape: tuple[int, int]) -> Judge:
        """Of numbers alone, where nothing is known of items: by target two columns, listener and item, each pair once.

        Args:
            shape: how many listeners and items.
        """
        size, items = shape
        nothing, no_artist = np.zeros(max(shape) + 1, np.int64), np.zeros(0, np.int32)
        ordered = {target: runs(pairs.sort(pairs.columns), size) for target, pairs in relevant.items()}
        return cls(size, ordered, (nothing[: size + 1], no_artist), (nothing[: items + 1], no_artist), np.zeros(items))

    def asked(self, target: str) -> np.ndarray:
        """int64: the listeners who have something to find."""
        return np.flatnonzero(np.diff(self.relevant[target][0]))

    def measured(self, listed: pl.DataFrame, target: str) -> tuple[np.ndarray, np.ndarray]:
        """Metrics of a list of each listener, and how often each item stands in one.

        Args:
            listed: listener_id, item (numbers), rank; in any order.

        Returns:
            float64 [listeners, METRICS], NaN for listeners with nothing to find, and for BEYOND without a list; int64 by item,
            of listeners with something to find.
        """
        ordered = listed.select("listener_id", "item", "rank")
        at = ordered["listener_id"].to_numpy(), ordered["rank"].to_numpy()
        if not _ascending(*at):
            ordered = ordered.sort("listener_id", "rank")
        lists = runs(ordered.select("listener_id", "item"), self.listeners)
        return _measured(
            *lists,
            *self.relevant[target],
            *self.played,
            *self.credits,
            self.bits,
            np.array(CUTOFFS, np.int64),
            *_gains(),
        )


def _ascending(rows: np.ndarray, ranks: np.ndarray) -> bool:
    same = rows[1:] == rows[:-1]
    return bool(np.all(np.where(same, ranks[1:] > ranks[:-1], rows[1:] > rows[:-1])))


@cache
def _gains() -> tuple[np.ndarray, np.ndarray]:
    """By place from 1, in the arithmetic of `score_lists`: what a hit is worth, and the most that so many can be.

    Worked out when it is first asked for: Polars' threads must not begin while modules are loaded, since they die in a fork.
    """
    worth = (1.0 / (pl.Series(np.arange(1, TOP + 1)) + 1).log(2.0)).to_numpy()
    return np.concatenate([[0.0], worth]), np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(2, TOP + 2)))])


@compiled
def _add(total: float, rest: float, value: float) -> tuple[float, float]:
    """Kahan's sum and what it lacks so far, as Polars sums a group."""
    value -= rest
    more = total + value
    return more, (more - total) - value


@compiled
def _mean(values: np.ndarray) -> float:
    """The mean, summed from the smallest on."""
    total = rest = 0.0
    for value in np.sort(values):
        total, rest = _add(total, rest, value)
    return total / len(values)


@compiled
def _any_is(marks: np.ndarray, places: np.ndarray, mark: int) -> bool:
    """Whether any of these places is marked so."""
    found = False
    for place in places:
        found = found or marks[place] == mark
    return found


@compiled
def _relevance(
    out: np.ndarray,
    found: np.ndarray,
    sums: np.ndarray,
    first: int,
    many: int,
    cutoffs: np.ndarray,
    ideal: np.ndarray,
) -> None:
    """Recall, NDCG, reciprocal rank and hit at every cutoff, from what was found up to it."""
    for n in range(len(cutoffs)):
        hit = 0 < first <= cutoffs[n]
        out[4 * n] = found[n] / many
        out[4 * n + 1] = sums[n] / ideal[min(many, cutoffs[n])]
        out[4 * n + 2] = 1.0 / first if hit else 0.0
        out[4 * n + 3] = 1.0 if hit else 0.0


@compiled
def _measured(
    bounds: np.ndarray,
    items: np.ndarray,
    w_bounds: np.ndarray,
    w_items: np.ndarray,
    p_bounds: np.ndarray,
    p_artists: np.ndarray,
    c_bounds: np.ndarray,
    c_artists: np.ndarray,
    bits: np.ndarray,
    cutoffs: np.ndarray,
    gains: np.ndarray,
    ideal: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """As `Judge.measured`: of lists, of what is wanted, of artists played and credited, the values of each list."""
    top, kinds = len(gains) - 1, 4 * len(cutoffs)
    out, exposures = np.full((len(bounds) - 1, kinds + 2), np.nan), np.zeros(len(bits), np.int64)
    # whose an item or artist is, as a row's number from 1
    wanted, seen = np.zeros(len(bits), np.int32), np.zeros(len(bits), np.int32)
    played = np.zeros(c_artists.max() + 1 if len(c_artists) else 1, np.int32)
    found, sums, rest = np.zeros(len(cutoffs), np.int64), np.zeros(len(cutoffs)), np.zeros(len(cutoffs))
    own = np.empty(top, np.float64)
    for row in range(len(bounds) - 1):
        many = w_bounds[row + 1] - w_bounds[row]
        if many == 0:
            continue
        for at in range(w_bounds[row], w_bounds[row + 1]):
            wanted[w_items[at]] = row + 1
        for at in range(p_bounds[row], p_bounds[row + 1]):
            played[p_artists[at]] = row + 1
        found[:] = 0
        sums[:] = rest[:] = 0.0
        first = shown = credited = new = 0
        for place in range(1, min(top, bounds[row + 1] - bounds[row]) + 1):
            item = items[bounds[row] + place - 1]
            if seen[item] == row + 1:  # twice in a list: two places, counted once
                continue
            seen[item] = row + 1
            exposures[item] += 1
            own[shown] = bits[item]
            shown += 1
            artists = c_artists[c_bounds[item] : c_bounds[item + 1]]
            credited += len(artists) > 0
            new += len(artists) > 0 and not _any_is(played, artists, row + 1)
            if wanted[item] == row + 1:
                first = first or place
                for n in range(len(cutoffs)):
                    if place <= cutoffs[n]:
                        found[n] += 1
                        sums[n], rest[n] = _add(sums[n], rest[n], gains[place])
        _relevance(out[row], found, sums, first, many, cutoffs, ideal)
        if shown:
            out[row, kinds] = _mean(own[:shown])
        if credited:
            out[row, kinds + 1] = new / credited
    return out, exposures
