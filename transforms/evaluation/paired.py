"""Two measurements of the same listeners side by side: the means of each, and the paired difference with its interval.

    rows of `measure` of one night, ranker or settings   (a)
    rows of `measure` of another                         (b)   ->  one row a list, target and metric: a, b, a - b, interval

A listener counts where both have a list of the kind and the listener had something to find; both means are over the same
listeners, so their difference is the difference of the means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from transforms.metrics.intervals import DRAWS, intervals

KEY = ["model", "target"]
SCHEMA = {
    "model": pl.String,
    "target": pl.String,
    "metric": pl.String,
    "a": pl.Float64,
    "b": pl.Float64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
}


def side_by_side(
    a: pl.DataFrame, b: pl.DataFrame, metrics: Sequence[str], *, draws: int = DRAWS, seed: int = 0
) -> pl.DataFrame:
    """Paired differences by list, target and metric.

    Args:
        a, b: rows of `measure`: listener_id, model, target and a column by metric.
        metrics: which of the columns; one that a side does not have is left out.
        draws: bootstrap replicates of an interval.

    Returns:
        Rows of SCHEMA, sorted by model, target and the order of `metrics`; n is the number of listeners in both.
    """
    there = [m for m in metrics if m in a.columns and m in b.columns]
    both = a.select("listener_id", *KEY, *there).join(b.select("listener_id", *KEY, *there), on=["listener_id", *KEY])
    out = []
    for (model, target), rows in sorted(both.partition_by(*KEY, as_dict=True).items()):
        ids = rows["listener_id"]
        values = [(rows[m].cast(pl.Float64).to_numpy(), rows[f"{m}_right"].cast(pl.Float64).to_numpy()) for m in there]
        known = [~(np.isnan(x) | np.isnan(y)) for x, y in values]
        columns = [np.where(k, x - y, np.nan) for (x, y), k in zip(values, known, strict=True)]
        found = intervals(ids, np.column_stack(columns), draws, seed) if there else []
        for metric, (x, y), k, i in zip(there, values, known, found, strict=True):
            if i.n:
                means = (float(x[k].mean()), float(y[k].mean()))
                out.append((model, target, metric, *means, i.value, i.low, i.high, i.n))
    return pl.DataFrame(out, schema=SCHEMA, orient="row")
