"""What experiments measure of a listener, over the days since they were first exposed and over as many days before.

    plays                   plays that count as heard
    active_days             days with one
    plays_attributed        heard plays that name a shelf
    saves                   saves and likes
    skip_share              skipped plays / plays of which it is known: a ratio of sums
    attributed_skip_share   the same of plays that name a shelf

The days before are the covariate of CUPED: the same listener's habit, which no arm can have moved.

    >>> METRICS["skip_share"].denominator, METRICS["skip_share"].better
    ('known', -1)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from transforms.experiments.moments import Moments
from transforms.listening.plays import is_heard
from transforms.outcomes.join import SAVES


@dataclass(frozen=True)
class MetricKind:
    """A metric: the column that is summed, the one it is divided by (None = the listeners), and which way is better."""

    numerator: str
    denominator: str | None = None
    better: int = 1


METRICS: dict[str, MetricKind] = {
    "plays": MetricKind("plays"),
    "active_days": MetricKind("active_days"),
    "plays_attributed": MetricKind("plays_attributed"),
    "saves": MetricKind("saves"),
    "skip_share": MetricKind("skips", "known", -1),
    "attributed_skip_share": MetricKind("attributed_skips", "attributed_known", -1),
}
COUNTS = ("plays", "active_days", "plays_attributed", "saves", "skips", "known", "attributed_skips", "attributed_known")


def counted(
    listens: pl.DataFrame, feedback: pl.DataFrame | None, keys: Sequence[str] = ("listener_id",)
) -> pl.DataFrame:
    """COUNTS of every listener (or of any keys that both frames have): the keys and a column each, sorted by the keys."""
    from_shelf = pl.col("shelf_id").is_not_null()
    said = pl.col("skipped").is_not_null()
    played = (
        listens.with_columns(is_heard())
        .group_by(keys)
        .agg(
            plays=pl.col("heard").sum(),
            active_days=pl.col("started_at").filter("heard").dt.date().n_unique(),
            plays_attributed=(pl.col("heard") & from_shelf).sum(),
            skips=pl.col("skipped").fill_null(False).sum(),
            known=said.sum(),
            attributed_skips=(pl.col("skipped").fill_null(False) & from_shelf).sum(),
            attributed_known=(said & from_shelf).sum(),
        )
    )
    saved = played.select(keys).clear().with_columns(saves=pl.lit(0))
    if feedback is not None:
        saved = feedback.filter(pl.col("kind").is_in(SAVES)).group_by(keys).agg(saves=pl.len())
    every = played.join(saved, on=list(keys), how="full", coalesce=True)
    return every.select(*keys, *(pl.col(c).fill_null(0).cast(pl.Float64) for c in COUNTS)).sort(keys)


def per_listener(
    exposed: pl.DataFrame, listens: pl.DataFrame, feedback: pl.DataFrame | None, through: date, before: int
) -> pl.DataFrame:
    """What each exposed listener did since, and before.

    Args:
        exposed: listener_id, experiment, arm, first_exposed_on (date); one row a listener and experiment.
        listens: of the days from `before` days before the earliest exposure to `through`.
        feedback: likewise; None = the log has none.
        through: the last day that counts.
        before: days before the exposure that make the covariate.

    Returns:
        The rows of `exposed` with COUNTS as they were from the day of exposure on, and `before_` each.
    """
    keys, since = ["listener_id", "experiment"], pl.col("first_exposed_on")
    mine, out = exposed.select(*keys, "first_exposed_on"), exposed
    day = pl.col("day")
    for prefix, inside in (
        ("", (day >= since) & (day <= through)),
        ("before_", (day >= since - timedelta(days=before)) & (day < since)),
    ):

        def of_days(frame: pl.DataFrame, at: str, inside: pl.Expr = inside) -> pl.DataFrame:
            return frame.with_columns(day=pl.col(at).dt.date()).join(mine, on="listener_id").filter(inside)

        sums = counted(of_days(listens, "started_at"), None if feedback is None else of_days(feedback, "at"), keys)
        out = out.join(sums.rename({c: prefix + c for c in COUNTS}), on=keys, how="left")
    return out.with_columns(pl.col(p + c).fill_null(0.0) for p in ("", "before_") for c in COUNTS).sort(keys)


def moments(values: pl.DataFrame) -> dict[tuple[str, str, str], Moments]:
    """(experiment, arm, metric) -> sums over listeners, of rows of `per_listener`."""
    out: dict[tuple[str, str, str], Moments] = {}
    for (experiment, arm), part in values.group_by("experiment", "arm", maintain_order=True):
        for name, kind in METRICS.items():
            y, x = part[kind.numerator].to_numpy(), part[f"before_{kind.numerator}"].to_numpy()
            d = part[kind.denominator].to_numpy() if kind.denominator else np.zeros(len(y))
            out[str(experiment), str(arm), name] = Moments.of(y, x=x, d=d)
    return out
