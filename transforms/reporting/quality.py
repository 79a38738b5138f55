"""How good a night was, read from table `evaluation`: charts, differences and tables for each kind of target.

>>> kind_of("source:als"), kind_of("ranker"), kind_of("item-knn")
('source', 'ranker', 'baseline')
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from transforms.reporting.charts import Chart, Mark, interval_chart, number

TARGET_WORDS = {
    "unheard": "Unheard: recordings new to the listener, known to somebody by the night",
    "repeat": "Repeat: recordings the listener had heard",
    "all": "All: new and old together",
}
METRICS = ("ndcg@50", "ndcg@10", "recall@50", "recall@10", "hit@10", "mrr@10")
PRIMARY = "ranker"
_KINDS = {"ranker": "ranker", "blend": "blend"}


def kind_of(model: str) -> str:
    """The class that colours a model: ranker, blend, source, shelf or baseline."""
    return _KINDS.get(model) or (model.split(":", maxsplit=1)[0] if ":" in model else "baseline")


def model_words(model: str) -> str:
    """`source:als` -> `als`; the colour says the rest."""
    return model.split(":", 1)[-1]


@dataclass(frozen=True)
class Quality:
    """What one target's section tells."""

    target: str
    words: str
    chart: Chart
    differences: Chart | None
    versus: str
    table: list[dict[str, Any]]
    metrics: tuple[str, ...]
    segments: list[tuple[str, Chart]]
    about: str


def quality(evaluation: pl.DataFrame | None) -> list[Quality]:
    """A section a target: NDCG@50 of everything, differences, all metrics, segments."""
    if evaluation is None:
        return []
    out = []
    for target, words in TARGET_WORDS.items():
        values = values_of(evaluation, target, "ndcg@50").sort(["value", "model"], descending=[True, False])
        if values.is_empty():
            continue
        differences = differences_from_baseline(evaluation, target)
        versus = differences["versus"][0] if differences.height else ""
        order = values["model"].to_list()
        shown = differences.sort(pl.col("model").replace_strict(order, list(range(len(order))), default=len(order)))
        segments = []
        for segment in sorted(set(evaluation["segment"]) - {"all"}, key=_segment_order):
            part = values_of(evaluation, target, "ndcg@50", segment)
            part = part.filter(pl.col("model").is_in([PRIMARY, versus, "shelf:discover-weekly"]))
            if part.height:
                listeners = max(part["n"].to_list())
                segments.append((f"{segment}, {listeners:,} listeners", interval_chart(_marks(part))))
        out.append(
            Quality(
                target,
                words,
                interval_chart(_marks(values)),
                interval_chart(_marks(shown), signed=True) if shown.height else None,
                versus,
                metric_table(evaluation, target, METRICS),
                METRICS,
                segments,
                _about(evaluation, target),
            )
        )
    return out


def _segment_order(segment: str) -> int:
    digits = "".join(c if c.isdigit() else " " for c in segment).split()
    return int(digits[0]) if digits else -1


def values_of(evaluation: pl.DataFrame, target: str, metric: str, segment: str = "all") -> pl.DataFrame:
    return evaluation.filter(
        pl.col("versus").is_null() & (pl.col("model") != "targets"), target=target, metric=metric, segment=segment
    )


def differences_from_baseline(evaluation: pl.DataFrame, target: str) -> pl.DataFrame:
    """Paired differences of NDCG@50 from the baseline most models are compared with: the one chosen beforehand."""
    rows = evaluation.filter(pl.col("versus").is_not_null(), target=target, metric="ndcg@50", segment="all")
    # the primary model is compared with every other; the chosen baseline is what a model other than it is compared with
    chosen = rows.filter(pl.col("model") != PRIMARY)["versus"].unique().to_list()
    return rows.filter(pl.col("versus").is_in(chosen[:1])) if chosen else rows.clear()


def _marks(rows: pl.DataFrame) -> list[Mark]:
    return [
        Mark(model_words(r["model"]), r["value"], r["low"], r["high"], kind_of(r["model"]))
        for r in rows.iter_rows(named=True)
    ]


def metric_table(evaluation: pl.DataFrame | None, target: str, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """A row a model, best NDCG@50 first: name, kind, n, value and interval of each metric."""
    if evaluation is None:
        return []
    rows = evaluation.filter(pl.col("versus").is_null() & (pl.col("model") != "targets"), target=target, segment="all")
    out = []
    for (model,), own in rows.partition_by("model", as_dict=True).items():
        by = {r["metric"]: r for r in own.iter_rows(named=True)}
        cells = [
            (
                number(by[m]["value"]),
                f"{number(by[m]['low'])} to {number(by[m]['high'])}" if by[m]["low"] is not None else "",
            )
            if m in by
            else ("–", "")
            for m in metrics
        ]
        first = by.get("ndcg@50", {}).get("value", -1.0)
        out.append(
            {"name": model_words(str(model)), "kind": kind_of(str(model)), "cells": cells, "_by": (-first, model)}
        )
    return sorted(out, key=lambda row: row["_by"])


def _about(evaluation: pl.DataFrame, target: str) -> str:
    own = evaluation.filter(model="targets", target=target, segment="all")
    shown = {r["metric"]: r for r in own.iter_rows(named=True)}
    if "targets" not in shown:
        return ""
    text = f"{shown['targets']['n']:,} listeners with {shown['targets']['value']:.1f} targets each on average"
    if target != "repeat" and shown.get("unknown_share"):
        share = 100 * shown["unknown_share"]["value"]
        text += f"; {share:.1f}% of a listener's targets nobody had played by the night"
    return text + "."
