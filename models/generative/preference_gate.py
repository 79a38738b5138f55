"""Whether a tuned decoder ships: better by what listeners preferred, and no worse in what the reference was good at.

Both decoders are asked of the same listeners, whom tuning has not seen. Figures are by listener, differences paired, intervals
95% by bootstrap over listeners (`transforms.metrics.intervals`).

    accuracy     share of pairs in their true order, each pair weighed by its margin         must be higher: interval above 0
    reward_ndcg  NDCG of the shown tracks that were looked at, gains their rewards above the list's least
    recall       share of a listener's last listens that the generated list holds
    ndcg         NDCG of the same, every listen worth alike
    distance     of the list without what was heard before: mean cosine distance of pairs, its variety
    calibration  of that list, minus its divergence from the listener's past, by the first code of the semantic ids

Of each but the first the interval's lower end may lie below 0 by at most `tolerance` times the reference's figure; calibration is
KL(past || 0.99 list + 0.01 past) after Steck (RecSys 2018). What is not known to pass does not ship. The reference was fitted on
these listeners' listens too, the tuned one started from it, so neither has an advantage there. What may not be played is no
figure: a search under the trie of playable tracks cannot generate it, whatever the weights.

    >>> verdict = judged(reference, tuned, held, listens, vectors, PreferenceSettings(), seed=1)     # doctest: +SKIP
    >>> verdict.ships, verdict.figures["accuracy"].difference.low > 0                                # doctest: +SKIP
    (True, True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from models.clusters import unit
from models.generative.beam import NONE, Search
from models.generative.decoder import Decoder
from models.generative.preference import Shown, pairs_of, scores_of
from models.generative.trie import Trie
from models.sequence_data import Sequences
from models.settings import PreferenceSettings
from transforms.common.hashing import uniform
from transforms.metrics.intervals import Interval, paired_difference
from transforms.shelves.variety import divergence_of

SUCCESS = "accuracy"
GUARDS = ("reward_ndcg", "recall", "ndcg", "distance", "calibration")
FIRST = 20  # tracks of a list whose variety is measured


@dataclass(frozen=True)
class Figure:
    """Means of the reference and of the tuned decoder over the listeners that have both, and the paired difference."""

    reference: float
    tuned: float
    difference: Interval


@dataclass(frozen=True)
class Verdict:
    """What came of a comparison.

    Attributes:
        figures: by name, of SUCCESS and GUARDS.
        failed: names that hold the tuned decoder back; empty = it ships.
    """

    figures: Mapping[str, Figure]
    failed: tuple[str, ...]

    @property
    def ships(self) -> bool:
        """Whether the tuned decoder replaces the reference."""
        return not self.failed


def held_out(owner: np.ndarray, share: float, seed: int) -> np.ndarray:
    """bool [n]: whether a listener (uint64 hash) is left to the gate."""
    return np.asarray(uniform(seed, "preference gate", np.asarray(owner, np.uint64).view(np.int64)) < share)


def judged(
    reference: Decoder,
    tuned: Decoder,
    held: Shown,
    listens: Sequences,
    people: np.ndarray,
    vectors: np.ndarray,
    settings: PreferenceSettings,
    seed: int,
) -> Verdict:
    """Compare two decoders of one vocabulary.

    Args:
        held: lists of listeners that were not tuned on.
        listens: of the listeners `people`, uint64 hashes in the same order.
        vectors: float32 [n_items, k], what distance is measured by.
    """
    owners = np.unique(held.owner)
    order = np.lexsort((owners, uniform(seed, "preference judged", owners.view(np.int64))))
    owners = np.sort(owners[order[: settings.judged]])
    held = held.only(np.isin(held.owner, owners))
    asked = np.flatnonzero(np.isin(people, owners))
    before, after = (
        {**of_shown(one, held, owners, settings), **of_lists(one, listens, asked, people, owners, vectors, settings)}
        for one in (reference, tuned)
    )
    names = [str(owner) for owner in owners.tolist()]
    figures = {name: compared(names, before[name], after[name], seed) for name in (SUCCESS, *GUARDS)}
    return decided(figures, settings)


def compared(names: Sequence[str], reference: np.ndarray, tuned: np.ndarray, seed: int) -> Figure:
    """A figure of both by listener, float64 [listeners], NaN where a listener has none."""
    both = np.isfinite(reference) & np.isfinite(tuned)
    old, new = (float(values[both].mean()) if both.any() else float("nan") for values in (reference, tuned))
    return Figure(old, new, paired_difference(names, tuned, reference, seed=seed))


def decided(figures: Mapping[str, Figure], settings: PreferenceSettings) -> Verdict:
    """The rule: see the module. An interval of fewer than `least` listeners, or none, passes nothing."""
    failed = []
    for name, figure in figures.items():
        low, n = figure.difference.low, figure.difference.n
        floor = 0.0 if name == SUCCESS else -settings.tolerance * abs(figure.reference)
        passes = low > floor if name == SUCCESS else low >= floor
        if n < settings.least or not passes:
            failed.append(name)
    return Verdict(dict(figures), tuple(failed))


def of_shown(decoder: Decoder, shown: Shown, owners: np.ndarray, settings: PreferenceSettings) -> dict[str, np.ndarray]:
    """`accuracy` and `reward_ndcg` of each listener, float64 [owners], NaN where there is nothing to order."""
    scores = scores_of(decoder, shown)
    everything = settings.model_copy(update={"top": max(len(shown.item), 1), "pairs": 1 << 40})
    pairs = pairs_of(shown, scores, everything)
    right = np.sign(scores[pairs.preferred] - scores[pairs.less]) / 2 + 0.5
    of_owner = np.searchsorted(owners, shown.owner)
    at, weight = of_owner[pairs.list], pairs.margin.astype(np.float64)
    total = np.bincount(at, weight, len(owners))
    with np.errstate(invalid="ignore"):
        accuracy = np.bincount(at, weight * right, len(owners)) / np.where(total > 0, total, np.nan)
    lists = [_reward_ndcg(shown, scores, row) for row in range(len(shown))]
    return {SUCCESS: accuracy, "reward_ndcg": _mean_by(of_owner, np.array(lists, np.float64), len(owners))}


def _reward_ndcg(shown: Shown, scores: np.ndarray, row: int) -> float:
    """NDCG of one list's tracks that were looked at; NaN where all were worth the same."""
    part = slice(shown.starts[row], shown.starts[row + 1])
    there = shown.looked_at[part]
    gain = shown.reward[part][there].astype(np.float64)
    if not len(gain) or gain.min() == gain.max():
        return float("nan")
    gain = gain - gain.min()
    order = np.argsort(-scores[part][there], kind="stable")
    discount = 1 / np.log2(np.arange(2, len(gain) + 2))
    return float((gain[order] * discount).sum() / (np.sort(gain)[::-1] * discount).sum())


def _mean_by(at: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    known = np.isfinite(values)
    count = np.bincount(at[known], minlength=size)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(at[known], values[known], size) / np.where(count > 0, count, np.nan))


def of_lists(
    decoder: Decoder,
    listens: Sequences,
    asked: np.ndarray,
    people: np.ndarray,
    owners: np.ndarray,
    vectors: np.ndarray,
    settings: PreferenceSettings,
) -> dict[str, np.ndarray]:
    """The figures of generated lists: each listener's last listens are taken away and the list is made of those before.

    Args:
        asked: rows of `listens`, of listeners `people[asked]`.

    Returns:
        `recall`, `ndcg`, `distance`, `calibration`: float64 [owners], NaN for whoever has too few listens.
    """
    out = {name: np.full(len(owners), np.nan) for name in ("recall", "ndcg", "distance", "calibration")}
    sizes = np.diff(listens.starts)[asked]
    asked = asked[sizes > settings.next + 1]
    if not len(asked):
        return out
    place = np.searchsorted(owners, people[asked])
    past = listens.last(asked, decoder.settings.length, settings.next)
    search = Search(decoder, Trie.build(decoder.ids.codes, np.arange(len(decoder.items)) > 0))
    states = decoder.embed(*past)
    lists, _ = search(states, None, settings.best)
    unheard, _ = search(states, _heard(listens, asked, settings.next, len(decoder.items)), settings.best)
    turned, codes = unit(vectors), decoder.ids.codes[:, 0]
    for number, row in enumerate(asked):
        end = int(listens.starts[row + 1])
        following = np.unique(listens.items[end - settings.next : end])
        own = lists[number][lists[number] != NONE]
        at = int(place[number])
        if len(following := following[following > 0]) and len(own):
            out["recall"][at], out["ndcg"][at] = found_of(own, following)
        new = unheard[number][unheard[number] != NONE]
        out["distance"][at] = distance(turned[new[:FIRST]])
        out["calibration"][at] = -divergence(codes[past[0][number]], codes[new], decoder.ids.size)
    return out


def _heard(listens: Sequences, asked: np.ndarray, leave_out: int, n: int) -> sparse.csr_matrix:
    """float32 [asked, n], above 0 where a track was heard before a listener's last listens."""
    begins, ends = listens.starts[asked], listens.starts[asked + 1] - leave_out
    items = np.concatenate([listens.items[a:b] for a, b in zip(begins, ends, strict=True)])
    at = np.repeat(np.arange(len(asked)), ends - begins)
    return sparse.csr_matrix((np.ones(len(items), np.float32), (at, items)), (len(asked), n))


def found_of(ranked: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Recall and NDCG of a list, best first, of distinct wanted tracks.

    >>> found_of(np.array([4, 7, 9]), np.array([4, 5]))[0]
    0.5
    """
    hit = np.isin(ranked, wanted)
    discount = 1 / np.log2(np.arange(2, max(len(ranked), len(wanted)) + 2))
    best = discount[: min(len(wanted), len(ranked))].sum()
    return float(hit.sum() / len(wanted)), float((hit * discount[: len(ranked)]).sum() / best)


def distance(vectors: np.ndarray) -> float:
    """Mean cosine distance of pairs of vectors [n, d] of unit length; NaN for fewer than two."""
    n = len(vectors)
    if n < 2:
        return float("nan")
    return float(1 - (np.square(vectors.sum(axis=0)).sum() - np.square(vectors).sum()) / (n * (n - 1)))


def divergence(past: np.ndarray, listed: np.ndarray, size: int) -> float:
    """KL of the codes of a past from those of a list; NaN where either has none. Codes below 0 are of no track."""
    counts = [np.bincount(codes[codes >= 0], minlength=size).astype(np.float64) for codes in (past, listed)]
    if any(not count.sum() for count in counts):
        return float("nan")
    p, q = (count / count.sum() for count in counts)
    return divergence_of(p, q)


def numbers(verdict: Verdict) -> dict[str, float]:
    """A verdict as the registry notes it: every figure of both, and the interval of their difference."""
    found = {"preference_ships": float(verdict.ships)}
    for name, figure in verdict.figures.items():
        d = figure.difference
        values = {
            "reference": figure.reference,
            "tuned": figure.tuned,
            "difference": d.value,
            "low": d.low,
            "high": d.high,
        }
        found |= {f"preference_{name}_{what}": value for what, value in values.items()}
        found[f"preference_{name}_listeners"] = float(d.n)
        found[f"preference_{name}_failed"] = float(name in verdict.failed)
    return {name: round(value, 6) for name, value in found.items()}
