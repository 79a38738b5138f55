"""Which kind of ranker a night gets: each is fitted on the stored nights before the last and measured on the last.

The figure is NDCG@50 of tracks never heard before: whole lists, ranked among all of their candidates, against everything their
listeners heard for the first time in the days after, whether it was a candidate or not; a mean over listeners. A ranking among
positives and a sample of negatives would reorder the rankers (Krichene & Rendle, 2020). Nights stand a horizon apart, so what the
last night is measured by happened after everything that the others look at. It is the figure that promotion compares too
(`pipelines.recommender.promotion`): of the new recipe, of the ranker at work then, and of each source alone by its own ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from transforms.common.hashing import stable_hash
from transforms.metrics.ranking import score_lists

if TYPE_CHECKING:
    from models.settings import RankerSettings

RANK = "f_r_"  # a source's own rank, as a feature: 1 at the top, 0 where it did not find the track


@dataclass(frozen=True)
class Judged:
    """The night that rankers are compared on; the frames of `ranker_examples.judged`.

    Attributes:
        candidates: list, item, features.
        heard: list, item of what was heard for the first time.
    """

    candidates: pl.DataFrame
    heard: pl.DataFrame

    def matrix(self, names: Sequence[str]) -> np.ndarray:
        """float32 [n, f]: features of the candidates."""
        return self.candidates.select(names).to_numpy().astype(np.float32)

    def by_listener(self, scores: np.ndarray) -> pl.DataFrame:
        """listener_id (the list's number), ndcg@50 of everyone who heard something new; NaN scores are not listed."""
        tie = pl.Series(stable_hash(pl.Series(np.arange(self.candidates.height))))
        listed = self.candidates.select("item", listener_id="list").with_columns(
            score=pl.Series(scores).fill_nan(None), tie=tie
        )
        listed = listed.drop_nulls("score").sort("listener_id", "score", "tie", descending=[False, True, False])
        ranked = listed.with_columns(rank=pl.int_range(1, pl.len() + 1).over("listener_id"))
        return score_lists(ranked, self.heard.select("item", listener_id="list"), (50,)).select(
            "listener_id", "ndcg@50"
        )

    def ndcg(self, scores: np.ndarray) -> float:
        """Mean NDCG@50 of an order by score; 0 where nobody heard anything new."""
        return float(self.by_listener(scores)["ndcg@50"].mean() or 0.0)  # type: ignore[arg-type]


def choose(
    rest: pl.DataFrame, last: Judged, names: Sequence[str], settings: RankerSettings, seed: int
) -> tuple[str, dict[str, float]]:
    """The kind to use, and NDCG@50 on the last night of the kinds fitted on those before.

    Args:
        rest: examples of the nights before; empty: nothing can be compared.

    `best` measures all of them; a kind that the settings name is measured beside the blend.
    """
    from models.rankers.kinds import fit

    wanted = ("blend", "linear", "cross") if settings.kind == "best" else tuple({"blend": 0, settings.kind: 0})
    if not rest.height or not last.candidates.height:
        return ("linear" if settings.kind == "best" else settings.kind), {}
    matrix = last.matrix(names)
    scores = {kind: fit(rest, names, settings.model_copy(update={"kind": kind}), seed).score(matrix) for kind in wanted}
    if settings.kind == "best":
        # What `average` would be, without fitting its two members a second time.
        pair = [scores[kind] / spread(scores[kind], last.candidates["list"]) for kind in ("linear", "cross")]
        scores["average"] = np.sum(pair, axis=0)
    found: dict[str, float] = {str(kind): last.ndcg(values) for kind, values in scores.items()}
    return (max(found, key=lambda kind: found[kind]) if settings.kind == "best" else settings.kind), found


def figure_of(ranker: Any, last: Judged) -> float | None:
    """NDCG@50 of a fitted ranker on the night; None if its candidates lack a feature it reads."""
    if not set(ranker.names) <= set(last.candidates.columns):
        return None
    return last.ndcg(ranker.score(last.matrix(ranker.names)))


def source_figures(last: Judged) -> dict[str, float]:
    """NDCG@50 of each source alone on the night, in the order of its own ranks."""
    named = {c.removeprefix(RANK): c for c in last.candidates.columns if c.startswith(RANK)}
    ranks = {name: last.candidates[column].to_numpy() for name, column in sorted(named.items())}
    return {name: last.ndcg(np.where(rank > 0, rank, np.nan)) for name, rank in ranks.items()}


def spread(scores: np.ndarray, groups: pl.Series) -> float:
    """Standard deviation of scores around their group's mean; 1 where they do not differ."""
    frame = pl.DataFrame({"group": groups, "score": scores})
    centred = frame.select(pl.col("score") - pl.col("score").mean().over("group")).to_series()
    return float(centred.std() or 1.0)  # type: ignore[arg-type]
