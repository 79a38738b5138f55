"""How good a ranked list is against what was listened to afterwards, one row a listener.

For every listener with at least one relevant item: recall, NDCG, reciprocal rank and hit rate of the first k places.
Full ranking: the list was chosen among everything, never among a sample (Krichene & Rendle, KDD 2020, show that sampled
metrics reorder models). Relevance is binary. With r_1..r_k in {0, 1} the relevance of the first k places and n the
number of relevant items:

    recall@k = sum r_i / n                      hit@k = 1 if any r_i
    ndcg@k   = sum r_i / log2(i + 1), divided by the same sum over an ideal list: min(k, n) ones first
    mrr@k    = 1 / (first i with r_i = 1), or 0

An item that stands in a list twice takes two places and counts once. A listener without a list scores 0, so a model
cannot gain by staying silent; a listener without relevant items has no row.

    >>> ranked = pl.DataFrame({"listener_id": ["ann"] * 3, "item": [7, 8, 9], "rank": [1, 2, 3]})
    >>> relevant = pl.DataFrame({"listener_id": ["ann", "ann"], "item": [8, 5]})
    >>> score_lists(ranked, relevant, cutoffs=(3,)).select("recall@3", "mrr@3").row(0)
    (0.5, 0.5)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

CUTOFFS = (10, 20, 50)
KINDS = ("recall", "ndcg", "mrr", "hit")


def metric_names(cutoffs: Iterable[int] = CUTOFFS) -> list[str]:
    """Names of the columns `score_lists` makes, in order."""
    return [f"{kind}@{k}" for k in cutoffs for kind in KINDS]


def score_lists(ranked: pl.DataFrame, relevant: pl.DataFrame, cutoffs: Sequence[int] = CUTOFFS) -> pl.DataFrame:
    """Score every listener's list.

    Args:
        ranked: listener_id, item, rank; ranks order a listener's list (gaps allowed; equal ranks are a caller's error
            that would make the answer depend on row order).
        relevant: listener_id, item; repeated rows count once.
        cutoffs: the k of each metric.

    Returns:
        One row a listener in `relevant`, sorted: listener_id, relevant (count), and `metric_names(cutoffs)`.

    Raises:
        ValueError: two rows of one listener have the same rank.
    """
    wanted = relevant.select("listener_id", "item").unique()
    counts = wanted.group_by("listener_id").agg(pl.len().alias("relevant"))
    longest = max(cutoffs)
    lists = ranked.select("listener_id", "item", "rank").join(counts, on="listener_id", how="semi")
    if lists.select(pl.struct("listener_id", "rank").is_duplicated().any()).item():
        raise ValueError("a listener's list holds the same rank twice")
    hits = (
        lists.sort("listener_id", "rank")
        .with_columns(place=pl.int_range(1, pl.len() + 1).over("listener_id"))
        .filter(pl.col("place") <= longest)
        .unique(["listener_id", "item"], keep="first", maintain_order=True)
        .join(wanted, on=["listener_id", "item"], how="semi")
        .with_columns(gain=1.0 / (pl.col("place") + 1).log(2.0))
    )
    ideal = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(2, longest + 2)))])
    per_listener = hits.group_by("listener_id").agg(
        *(pl.col("place").le(k).sum().alias(f"found@{k}") for k in cutoffs),
        *(pl.col("gain").filter(pl.col("place") <= k).sort(descending=True).sum().alias(f"dcg@{k}") for k in cutoffs),
        pl.col("place").min().alias("first"),
    )
    table = counts.join(per_listener, on="listener_id", how="left")
    columns = []
    for k in cutoffs:
        best = pl.lit(pl.Series(ideal)).gather(pl.min_horizontal("relevant", pl.lit(k)))
        columns += [
            (pl.col(f"found@{k}").fill_null(0) / pl.col("relevant")).alias(f"recall@{k}"),
            (pl.col(f"dcg@{k}").fill_null(0.0) / best).alias(f"ndcg@{k}"),
            pl.when(pl.col("first") <= k).then(1.0 / pl.col("first")).otherwise(0.0).alias(f"mrr@{k}"),
            (pl.col("first") <= k).fill_null(False).cast(pl.Float64).alias(f"hit@{k}"),
        ]
    return table.select("listener_id", "relevant", *columns).sort("listener_id")
