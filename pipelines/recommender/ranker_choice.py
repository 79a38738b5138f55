"""Which order a night gets: a ranker only where it beats the untrained blend on nights it has not seen.

Discoveries and repeats are two lists that are ordered apart, and each is judged by itself. Every stored night but the first is
ordered by each kind of ranker, fitted on the nights before it alone, and by the blend; a listener's figure is the mean of
their nights. A kind is used if the 95% interval of its paired difference from the blend lies above 0 (`intervals`, bootstrap
over listeners); of several that pass, the one with the highest mean. Where the linear ranker was asked for and none passes, the
order halfway between it and the blend is asked in the same way: it gains less and strays less, so its interval is narrower. Where
that does not pass either, the blend orders the list: what cannot be told apart takes the simpler, and a ranker that learned the
wrong way round never reaches a shelf.

The figure is NDCG@50: whole lists, ranked among all of their candidates, against everything their listeners heard for the first
time (of repeats: again) in the days after, whether it was a candidate or not. A ranking among positives and a sample of
negatives would reorder the rankers (Krichene & Rendle, 2020). Nights stand a horizon apart, so what a night is measured by
happened after everything that its rankers look at.

    >>> choose(data, night, names, settings.ranker, seed)["discoveries"].used        # doctest: +SKIP
    'blend'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from transforms.common.hashing import stable_hash
from transforms.metrics.intervals import Interval, paired_difference
from transforms.metrics.ranking import score_lists

if TYPE_CHECKING:
    from models.settings import RankerSettings

RANK = "f_r_"  # a source's own rank, as a feature: 1 at the top, 0 where it did not find the track
BLEND = "blend"
SOURCE = "source:"  # before the name of a source that orders alone
LEAST = 20  # listeners below whom an interval is no evidence
DISCOVERIES, REPEATS = "discoveries", "repeats"
LISTS = (DISCOVERIES, REPEATS)
RANKERS = ("linear", "cross", "average")  # what `best` chooses among
HALFWAY = {"linear": "halfway"}  # what is asked where a kind does not pass
_METRIC = "ndcg@50"


@dataclass(frozen=True)
class Judged:
    """A night that orders are compared on, or one of its two lists; the frames of `ranker_examples.judged`.

    Attributes:
        candidates: list (the listener's number, the same on every night), item, heard_before, features.
        heard: list, item, heard_before of what was heard in the days after.
    """

    candidates: pl.DataFrame
    heard: pl.DataFrame

    def only(self, name: str) -> Judged:
        """One of LISTS."""
        wanted = pl.col("heard_before") if name == REPEATS else ~pl.col("heard_before")
        return Judged(self.candidates.filter(wanted), self.heard.filter(wanted))

    def matrix(self, names: Sequence[str]) -> np.ndarray:
        """float32 [n, f]: features of the candidates."""
        return self.candidates.select(names).to_numpy().astype(np.float32)

    def by_listener(self, scores: np.ndarray) -> pl.DataFrame:
        """listener_id (the list's number), ndcg@50 of everyone who heard something; NaN scores are not listed."""
        tie = pl.Series(stable_hash(pl.Series(np.arange(self.candidates.height))))
        listed = self.candidates.select("item", listener_id="list").with_columns(
            score=pl.Series(scores).fill_nan(None), tie=tie
        )
        listed = listed.drop_nulls("score").sort("listener_id", "score", "tie", descending=[False, True, False])
        ranked = listed.with_columns(rank=pl.int_range(1, pl.len() + 1).over("listener_id"))
        return score_lists(ranked, self.heard.select("item", listener_id="list"), (50,)).select("listener_id", _METRIC)

    def ndcg(self, scores: np.ndarray) -> float:
        """Mean NDCG@50 of an order by score; 0 where nobody heard anything."""
        return mean_of(self.by_listener(scores))


@dataclass(frozen=True)
class Choice:
    """What one list is ordered by, and what that rests on.

    Attributes:
        used: the kind; `blend` where none was shown to be better.
        tried: the kind that was asked for, or of several the best; None = only the blend was asked for.
        figures: NDCG@50 by kind, and by `source:<name>` of each source alone; empty where no unseen night could be measured.
        gain: of `tried` over the blend, with its interval; None where nothing was compared.
        nights: unseen nights that were measured.
    """

    used: str = BLEND
    tried: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    gain: Interval | None = None
    nights: int = 0


def choose(
    data: pl.DataFrame, night: Callable[[int], Judged], names: Sequence[str], settings: RankerSettings, seed: int
) -> dict[str, Choice]:
    """What each of LISTS is ordered by.

    Args:
        data: examples of all nights, with `night` (0 = the oldest).
        night: a night's whole lists, by its number.
        names: the features.

    `best` compares every kind; a kind that the settings name is compared with the blend.
    """
    from models.rankers.kinds import fit

    asked = tuple(k for k in (RANKERS if settings.kind == "best" else (settings.kind,)) if k != BLEND)
    measured: dict[str, dict[str, list[pl.DataFrame]]] = {name: {} for name in LISTS}
    nights = dict.fromkeys(LISTS, 0)
    for number in range(1, int(data["night"].max() or 0) + 1):  # type: ignore[arg-type]
        before = data.filter(pl.col("night") < number)
        whole = night(number)
        if not before.height or not whole.candidates.height:
            continue
        kinds = (BLEND, *asked, *(HALFWAY[k] for k in asked if k in HALFWAY))
        rankers = {k: fit(before, names, settings.model_copy(update={"kind": k}), seed) for k in kinds}
        for name in LISTS:
            part = whole.only(name)
            if not part.candidates.height or not part.heard.height:
                continue
            nights[name] += 1
            matrix = part.matrix(names)
            for label, scores in {**{k: r.score(matrix) for k, r in rankers.items()}, **alone(part)}.items():
                measured[name].setdefault(label, []).append(part.by_listener(scores))
    return {name: verdict(measured[name], asked, nights[name]) for name in LISTS}


def verdict(measured: Mapping[str, Sequence[pl.DataFrame]], asked: Sequence[str], nights: int) -> Choice:
    """The choice for one list.

    Args:
        measured: order -> listener_id, ndcg@50 of each unseen night.
        asked: kinds that may be used beside the blend.
    """
    if not measured or not asked:
        return Choice(tried=asked[0] if asked else None, nights=nights)
    pooled = {name: _pooled(frames) for name, frames in measured.items()}
    figures = {name: mean_of(frame) for name, frame in pooled.items()}
    gains = {kind: gain_of(pooled[kind], pooled[BLEND]) for kind in pooled if kind in (*asked, *HALFWAY.values())}
    passed = [kind for kind in asked if gains[kind].low > 0]
    if not passed:
        passed = [half for kind in asked if (half := HALFWAY.get(kind)) in gains and gains[half].low > 0]
    tried = max(passed or asked, key=lambda kind: figures[kind])
    return Choice(tried if passed else BLEND, tried, figures, gains[tried], nights)


def gain_of(ours: pl.DataFrame, blend: pl.DataFrame) -> Interval:
    """Paired difference in NDCG@50. Of fewer than LEAST listeners a bootstrap says too much: the interval is everything."""
    both = ours.join(blend, on="listener_id", suffix="_blend", maintain_order="left")
    if both.height < LEAST:
        mean = float((both[_METRIC] - both[f"{_METRIC}_blend"]).mean() or 0.0)  # type: ignore[arg-type]
        return Interval(mean, -1.0, 1.0, both.height)
    ids = both["listener_id"].cast(pl.String)
    return paired_difference(ids, both[_METRIC].to_numpy(), both[f"{_METRIC}_blend"].to_numpy())


def alone(last: Judged) -> dict[str, np.ndarray]:
    """`source:<name>` -> score by each source's own ranks, NaN where it did not find the track."""
    named = {c.removeprefix(RANK): c for c in last.candidates.columns if c.startswith(RANK)}
    ranks = {name: last.candidates[column].to_numpy() for name, column in sorted(named.items())}
    return {f"{SOURCE}{name}": np.where(rank > 0, rank, np.nan) for name, rank in ranks.items() if (rank > 0).any()}


def mean_of(figures: pl.DataFrame) -> float:
    """Mean over listeners; 0 without any."""
    return float(figures[_METRIC].mean() or 0.0)  # type: ignore[arg-type]


def figures_of(ranker: Any, last: Judged) -> pl.DataFrame | None:
    """listener_id, ndcg@50 of a fitted ranker on a list of a night; None if its candidates lack a feature it reads."""
    if not set(ranker.names) <= set(last.candidates.columns):
        return None
    return last.by_listener(ranker.score(last.matrix(ranker.names)))


def _pooled(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """A listener's mean over nights, so that a bootstrap draw takes their nights together."""
    return pl.concat(frames).group_by("listener_id").agg(pl.col(_METRIC).mean()).sort("listener_id")
