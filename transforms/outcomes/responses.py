"""What listeners did with what a night placed and showed: the evidence of estimates and experiments.

Both come from the one join of `transforms.outcomes.join`, looked at for the days that are measured, whether or not they are one
of the stored horizons: `drawn_items` for the counterfactual estimates (drawn slots of shelves that were looked at), `by_listener`
for an experiment's readout (every listener of an arm, also those who did nothing).

    night's shelves, impressions, listens, feedback  ->  answers  ->  drawn_items, by_listener
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from transforms.outcomes.join import Known, join_outcomes, labels
from transforms.tables.schema import TABLES

METRICS = ("plays", "active_days", "placed_heard", "new_placed_heard", "attributed", "saved")


def answers(
    shelves: pl.DataFrame,
    listens: pl.DataFrame,
    recordings: pl.DataFrame,
    night: date,
    days: int,
    *,
    impressions: pl.DataFrame | None = None,
    feedback: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The outcomes of everything placed, after `days` days: rows of table `outcomes`, stages `placed` and `shown`.

    Args:
        shelves: the night's rows of some listeners.
        listens, impressions, feedback: of (night, night + days]; no feedback = saves cannot be known.
        recordings: track_id, recording_id.
    """
    nobody = TABLES["candidates"].empty()
    return join_outcomes(
        night,
        days,
        nobody,
        listens,
        recordings,
        shelves=shelves,
        impressions=impressions,
        feedback=feedback,
        known=Known(completed=False, skipped=False),
    )


def drawn_items(answered: pl.DataFrame) -> pl.DataFrame:
    """Every item that the night drew, of the shelves that were looked at (any item of which was shown).

    Returns:
        listener_id, shelf_id, track_id, shown (this item has an impression), listened, attributed, saved.
    """
    looked_at = answered.filter(pl.col("stage") == "shown").select("listener_id", "shelf_id").unique()
    drawn = answered.filter(pl.col("propensity").is_not_null())
    return drawn.join(looked_at, on=["listener_id", "shelf_id"], how="semi").select(
        "listener_id",
        "shelf_id",
        "track_id",
        "listened",
        shown=pl.col("stage") == "shown",
        attributed=(pl.col("origin") == "attributed").fill_null(False),
        saved="saved",
    )


def by_listener(
    shelves: pl.DataFrame,
    answered: pl.DataFrame,
    listens: pl.DataFrame,
    recordings: pl.DataFrame,
    night: date,
    days: int,
    *,
    saves: bool = False,
) -> pl.DataFrame:
    """One row a listener of an experiment: listener_id, experiment, arm and METRICS, 0 where nothing was done.

    plays: recordings heard in the days, each counted once a day; active_days: days with one; placed_heard: placed
    recordings that were heard, new_placed_heard: those of them never heard before; attributed: heard, and such a play names
    the shelf; saved: placed recordings saved (null unless `saves`: the log has feedback).
    """
    dealt = (
        shelves.filter(pl.col("arm").is_not_null())
        .select("listener_id", "experiment", "arm")
        .unique("listener_id", keep="any")
    )
    dealt = dealt.with_columns(pl.col("experiment", "arm").str.split("+")).explode("experiment", "arm")
    mine = listens.join(dealt.select("listener_id").unique(), on="listener_id", how="semi")
    parts = []
    for n in range(days):
        of_day = labels(mine, recordings, night + timedelta(n), 1).filter("heard")
        parts.append(of_day.group_by("listener_id").agg(plays=pl.len()))
    active = pl.concat(parts).group_by("listener_id").agg(pl.col("plays").sum(), active_days=pl.len())
    heard = pl.col("listened")
    placed = answered.group_by("listener_id").agg(
        placed_heard=heard.sum(),
        new_placed_heard=(heard & ~pl.col("heard_before")).sum(),
        attributed=(pl.col("origin") == "attributed").sum(),
        saved=pl.col("saved").sum(),
    )
    out = dealt.join(active, on="listener_id", how="left").join(placed, on="listener_id", how="left")
    out = out.with_columns(pl.col(m).fill_null(0).cast(pl.Float64) for m in METRICS).sort("listener_id", "experiment")
    return out if saves else out.with_columns(saved=pl.lit(None, dtype=pl.Float64))
