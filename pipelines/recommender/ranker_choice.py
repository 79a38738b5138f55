"""Which kind of ranker a night gets: each is fitted on all stored nights but the last and measured on the last.

The figure is NDCG@50 of unheard candidates, a mean over listeners with a hit. It is the figure that promotion compares too
(`pipelines.recommender.promotion`): of the new recipe, of the ranker at work, and of each source alone by its own ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from transforms.metrics.ranking import score_lists

if TYPE_CHECKING:
    from models.settings import RankerSettings

RANK = "f_r_"  # a source's own rank, as a feature: 1 at the top, 0 where it did not find the track


def choose(
    data: pl.DataFrame, names: Sequence[str], settings: RankerSettings, seed: int
) -> tuple[str, dict[str, float]]:
    """The kind to use, and NDCG@50 of unheard candidates on the last night of the kinds fitted on those before.

    `best` measures all of them; a kind that the settings name is measured beside the blend.
    """
    from models.rankers.ranker import fit

    last = data["night"].max()
    held, rest = data.filter(pl.col("night") == last), data.filter(pl.col("night") < last)
    wanted = ("blend", "linear", "cross") if settings.kind == "best" else tuple({"blend": 0, settings.kind: 0})
    if not rest.height:
        return ("linear" if settings.kind == "best" else settings.kind), {}
    unheard = held.filter(~pl.col("heard_before"))
    matrix, groups = unheard.select(names).to_numpy().astype(np.float32), unheard["group"]
    scores = {kind: fit(rest, names, settings.model_copy(update={"kind": kind}), seed).score(matrix) for kind in wanted}
    if settings.kind == "best":
        # What `average` would be, without fitting its two members a second time.
        pair = [scores[kind] / spread(scores[kind], groups) for kind in ("linear", "cross")]
        scores["average"] = np.sum(pair, axis=0)
    found: dict[str, float] = {str(kind): ndcg(unheard, values) for kind, values in scores.items()}
    return (max(found, key=lambda kind: found[kind]) if settings.kind == "best" else settings.kind), found


def figure_of(ranker: Any, data: pl.DataFrame) -> float | None:
    """NDCG@50 of a fitted ranker on the last night's unheard candidates; None if they lack a feature it reads."""
    unheard = last_unheard(data)
    if not set(ranker.names) <= set(unheard.columns):
        return None
    return ndcg(unheard, ranker.score(unheard.select(ranker.names).to_numpy().astype(np.float32)))


def source_figures(data: pl.DataFrame) -> dict[str, float]:
    """NDCG@50 of each source alone on the last night's unheard candidates, in the order of its own ranks."""
    unheard = last_unheard(data)
    named = {c.removeprefix(RANK): c for c in unheard.columns if c.startswith(RANK)}
    ranks = {name: unheard[column].to_numpy() for name, column in sorted(named.items())}
    return {name: ndcg(unheard, np.where(rank > 0, rank, np.nan)) for name, rank in ranks.items()}


def last_unheard(data: pl.DataFrame) -> pl.DataFrame:
    """The candidates of the last night that were never heard before it."""
    return data.filter((pl.col("night") == pl.col("night").max()) & ~pl.col("heard_before"))


def spread(scores: np.ndarray, groups: pl.Series) -> float:
    """Standard deviation of scores around their group's mean; 1 where they do not differ."""
    frame = pl.DataFrame({"group": groups, "score": scores})
    centred = frame.select(pl.col("score") - pl.col("score").mean().over("group")).to_series()
    return float(centred.std() or 1.0)  # type: ignore[arg-type]


def ndcg(candidates: pl.DataFrame, scores: np.ndarray) -> float:
    """Mean NDCG@50 over groups with a listened candidate, of the order by score (equals in the order given; NaN = not listed)."""
    frame = candidates.select(listener_id="group", item=pl.int_range(pl.len()), hit=pl.col("listened").fill_null(False))
    listed = frame.with_columns(pl.Series("score", scores).fill_nan(None)).filter(pl.col("score").is_not_null())
    ranked = listed.with_columns(rank=pl.col("score").rank("ordinal", descending=True).over("listener_id"))
    measured = score_lists(ranked, frame.filter("hit").select("listener_id", "item"), (50,))
    return float(measured["ndcg@50"].mean() or 0.0)  # type: ignore[arg-type]
