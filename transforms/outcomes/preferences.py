"""What outcomes say of preference: the tracks that a listener was shown after a night, what each was worth, which were looked at.

    reward(u, i)  = sum over immediate and mid-term rewards of weight * [the label holds]          `outcomes.rewards`
    looked_at     = i was played, or it stood above a track that was played from the same shelf

Only tracks with an impression are here, so nobody is taken to dislike what they were never shown. Of those, one that was not
played says something only where the eyes have passed it: lists are read from the left, so what stands above a play was seen and
passed over (Joachims, KDD 2002, "skip above"). What stands below the last play may not have been seen, and is no evidence. A
label that the log cannot know counts nothing, as if it did not hold.

Discoveries and repeats are apart, as everywhere: a listener plays what they know more often, which says little of what they would
rather discover.

    >>> rows = shown(outcomes, RewardSettings(), horizon=1)           # doctest: +SKIP
    >>> rows.select("track_id", "reward", "played", "looked_at").row(0)    # doctest: +SKIP
    ('song', 1.0, True, True)
"""

from __future__ import annotations

import polars as pl

from transforms.outcomes.rewards import RewardSettings

READ = (
    "night",
    "listener_id",
    "track_id",
    "horizon",
    "stage",
    "origin",
    "shelf_id",
    "rank",
    "listened",
    "completed",
    "skipped",
    "saved",
    "returned",
    "adopted",
    "heard_before",
)
SHOWN = {
    "listener_id": pl.String,
    "night": pl.Date,
    "track_id": pl.String,
    "heard_before": pl.Boolean,
    "reward": pl.Float32,
    "played": pl.Boolean,
    "looked_at": pl.Boolean,
}


def shown(outcomes: pl.DataFrame, rewards: RewardSettings, horizon: int) -> pl.DataFrame:
    """The tracks that impressions show, with what each was worth.

    Args:
        outcomes: table `outcomes`, the columns of READ.
        rewards: the rewards; a long-term one is not known yet and counts nothing.
        horizon: days after the night that are looked at; rows of other horizons are left out.

    Returns:
        Rows of SHOWN, sorted by listener, night, heard_before and track. `played`: heard, which is what can be preferred.
        `looked_at`: may be the less preferred of a pair.
    """
    own = outcomes.filter(pl.col("stage") == "shown", pl.col("horizon") == horizon)
    shelf = ["listener_id", "night", "shelf_id"]
    from_shelf = pl.col("listened") & (pl.col("origin") == "attributed").fill_null(False)
    last = own.filter(from_shelf).group_by(shelf).agg(_last=pl.col("rank").max())
    touched = pl.col("listened") | pl.col("skipped").fill_null(False)
    above = (pl.col("rank") < pl.col("_last")).fill_null(False)
    return (
        own.join(last, on=shelf, how="left")
        .select(
            "listener_id",
            "night",
            "track_id",
            "heard_before",
            reward=_reward(rewards).cast(pl.Float32),
            played=pl.col("listened"),
            looked_at=touched | above,
        )
        .sort("listener_id", "night", "heard_before", "track_id")
    )


def _reward(rewards: RewardSettings) -> pl.Expr:
    """The weighted sum of the labels that hold."""
    known = [*rewards.of("immediate").values(), *rewards.of("mid_term").values()]
    labels = [pl.lit(r.weight) * pl.col(r.label).fill_null(False).cast(pl.Float64) for r in known if r.label]
    return pl.sum_horizontal(labels) if labels else pl.lit(0.0)
