"""The readout of an experiment: what each arm's listeners did after a night, and the difference from the control.

Listeners are dealt to arms by a hash, so arms are compared as they are: the mean over an arm's listeners of a value each,
and the difference from the control with a 95% bootstrap interval by listener. Arms have different listeners, so a
difference is not paired; both means are drawn in the same replicate, weighted by listener. The control is the arm called
`control`, else the first by name.

Rows of the result: model `arm:<arm>`, target `experiment`, segment the experiment's name.

    >>> values = pl.DataFrame({"listener_id": ["a", "b", "c", "d"], "experiment": ["e"] * 4,
    ...                        "arm": ["control", "control", "new", "new"], "plays": [1.0, 3.0, 4.0, 6.0]})
    >>> [(r["model"], r["value"]) for r in arm_rows(values) if r["versus"]]
    [('arm:new', 3.0)]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from transforms.metrics.intervals import DRAWS, bootstrap_means

TARGET = "experiment"
CONTROL = "control"
_NAMES = ("listener_id", "experiment", "arm")


def arm_rows(values: pl.DataFrame, *, draws: int = DRAWS, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of table `evaluation`: every metric of every arm, and its difference from the control.

    Args:
        values: one row a listener: listener_id, experiment, arm, and a column a metric (null = unknown).
        draws: bootstrap replicates.
    """
    out: list[dict[str, Any]] = []
    for (name,), part in sorted(values.partition_by("experiment", as_dict=True).items()):
        out += _readout(str(name), part, draws, seed)
    return out


def _readout(experiment: str, part: pl.DataFrame, draws: int, seed: int) -> Iterator[dict[str, Any]]:
    arms = part["arm"].unique().sort().to_list()
    control = CONTROL if CONTROL in arms else arms[0]
    metrics = [c for c in part.columns if c not in _NAMES and part[c].null_count() < part.height]
    pairs = [(arm, metric) for arm in arms for metric in metrics]
    columns = {
        (arm, metric): part.select(pl.when(pl.col("arm") == arm).then(pl.col(metric).cast(pl.Float64)))
        .to_series()
        .fill_null(np.nan)
        .to_numpy()
        for arm, metric in pairs
    }
    if not pairs:
        return
    replicates = bootstrap_means(part["listener_id"], np.column_stack([columns[p] for p in pairs]), draws, seed)
    drawn = {pair: replicates[:, j] for j, pair in enumerate(pairs)}
    known = {pair: np.sort(column[~np.isnan(column)]) for pair, column in columns.items()}
    for arm, metric in pairs:
        own, base = known[arm, metric], known[control, metric]
        if not len(own):
            continue
        named = {"model": f"arm:{arm}", "target": TARGET, "segment": experiment, "metric": metric}
        yield {**named, "value": float(own.mean()), **_ends(drawn[arm, metric]), "n": len(own), "versus": None}
        if arm != control and len(base):
            away = drawn[arm, metric] - drawn[control, metric]
            difference = float(own.mean() - base.mean())
            yield {**named, "value": difference, **_ends(away), "n": len(own) + len(base), "versus": f"arm:{control}"}


def _ends(replicates: np.ndarray) -> dict[str, float]:
    there = replicates[np.isfinite(replicates)]
    if not len(there):
        return {"low": float("nan"), "high": float("nan")}
    low, high = np.quantile(there, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}
