"""Rewards: what a shown track may be worth, declared as settings, and how much each counts in the order.

A reward is a named entry. Its term says when it is known, and so how it is learned:

    immediate   a label of the days after a night (`completed`, `skipped`, `saved`): the ranker's reward heads predict it
    mid_term    that the listener came back to the track (`returned`), or did so without being led there (`adopted`)
    long_term   days with a play among the `days` after the first: known only later, so it is believed (`outcomes.beliefs`)

The value of a term for a candidate is the weighted sum of its rewards; of a long-term one the chance of a first play times what
is believed to follow. Terms have different units, so each is standardised within a listener's list, and the order becomes

    score' = score + spread(score) * sum over terms of weight_term * z(value_term)

with spread the deviation of the list's scores. All weights 0 leave the order as it is. (The composition follows what music
services publish about heads of different horizons; the belief is that of "Impatient Bandits", arXiv 2307.09943.)

    >>> RewardSettings().of("long_term")["days_kept"].days
    59
"""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

Term = Literal["immediate", "mid_term", "long_term"]
TERMS: tuple[Term, ...] = ("immediate", "mid_term", "long_term")
LABELS = ("completed", "skipped", "saved", "returned", "adopted")
MOST_DAYS = 59  # a trace is kept as the bits of one integer


class Reward(BaseModel):
    """One reward."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    term: Term = Field(description="immediate, mid_term or long_term")
    label: Literal["completed", "skipped", "saved", "returned", "adopted"] | None = Field(
        None, description="outcome of the ranker's horizon that it is the chance of; of immediate and mid-term rewards"
    )
    days: int | None = Field(None, ge=1, le=MOST_DAYS, description="days after the first play; of long-term rewards")
    weight: float = Field(1.0, description="what it counts among the rewards of its term; below 0 for what annoys")

    @model_validator(mode="after")
    def _says_what_it_is(self) -> Reward:
        if (self.term == "long_term") != (self.days is not None) or (self.term != "long_term") != (
            self.label is not None
        ):
            raise ValueError("a long_term reward has `days` and no `label`, every other one a `label` and no `days`")
        return self


class TermWeights(BaseModel):
    """What each term counts in the order, in deviations of the ranker's scores within a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    immediate: float = Field(0.0, description="of immediate rewards")
    mid_term: float = Field(0.0, description="of mid-term rewards")
    long_term: float = Field(0.0, description="of long-term rewards")


DEFAULT_REWARDS = {
    "finished": Reward(term="immediate", label="completed"),
    "skipped": Reward(term="immediate", label="skipped", weight=-1.0),
    "saved": Reward(term="immediate", label="saved", weight=2.0),
    "returned": Reward(term="mid_term", label="returned"),
    "adopted": Reward(term="mid_term", label="adopted"),
    "days_kept": Reward(term="long_term", days=MOST_DAYS),
}


class RewardSettings(BaseModel):
    """The rewards, and what they count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rewards: dict[str, Reward] = Field(DEFAULT_REWARDS, description="the rewards by name")
    weights: TermWeights = Field(TermWeights(), description="what the terms count in the order; all 0 = nothing")
    warm_up_days: int = Field(
        14,
        ge=0,
        description="first days of a log whose first plays are not taken for discoveries: nothing was known yet",
    )
    look_back_days: int = Field(
        120, ge=MOST_DAYS, description="days of listening that the first table of discoveries is made of"
    )
    least_traces: int = Field(2, ge=2, description="complete traces that make an arm one the prior is fitted on")
    prior_arms: int = Field(2000, ge=2, description="arms that the prior is fitted on at most, a hashed sample")

    @model_validator(mode="after")
    def _one_long_term(self) -> RewardSettings:
        if len(self.of("long_term")) > 1:
            raise ValueError("at most one long_term reward: a trace is kept for one number of days")
        return self

    def of(self, term: Term) -> dict[str, Reward]:
        """The rewards of a term, by name."""
        return {name: r for name, r in self.rewards.items() if r.term == term}

    @property
    def labels(self) -> tuple[str, ...]:
        """The outcomes that reward heads learn."""
        return tuple(sorted({r.label for r in self.rewards.values() if r.label}))

    @property
    def days(self) -> int | None:
        """Days of the long-term reward; None without one."""
        return next((r.days for r in self.of("long_term").values()), None)


SPREAD = "reward_spread"  # deviation of the composed score by what is not known yet; as `shelves.columns` names it


def column(term: Term) -> str:
    """The candidates' column that holds a term's value."""
    return f"reward_{term}"


def values(candidates: pl.DataFrame, beliefs: pl.DataFrame | None, settings: RewardSettings) -> pl.DataFrame:
    """Add each term's value for every candidate, and what is not known of the long-term one.

    Args:
        candidates: track_id, `p_listened` and `h_<label>` for every label that a head predicts; of these what there is.
        beliefs: track_id (unique), mean, variance; the row with an empty track_id is the prior. None = nothing believed.

    Returns:
        the candidates with `reward_<term>` (float32, null where nothing predicts it) and `believed_spread`, the deviation of
        the long-term value.
    """
    out = candidates
    for term in TERMS[:2]:
        known = [(r, f"h_{r.label}") for r in settings.of(term).values() if f"h_{r.label}" in candidates.columns]
        value = pl.sum_horizontal(pl.lit(r.weight) * pl.col(name) for r, name in known) if known else pl.lit(None)
        out = out.with_columns(value.cast(pl.Float32).alias(column(term)))
    long_term = next(iter(settings.of("long_term").values()), None)
    nothing = pl.lit(None, dtype=pl.Float32)
    if long_term is None or beliefs is None or beliefs.is_empty():
        return out.with_columns(nothing.alias(column("long_term")), nothing.alias("believed_spread"))
    prior = beliefs.filter(pl.col("track_id") == "").row(0, named=True)
    own = beliefs.select("track_id", "mean", "variance")
    chance = pl.col("p_listened").fill_null(1.0) if "p_listened" in candidates.columns else pl.lit(1.0)
    return (
        out.join(own, on="track_id", how="left", maintain_order="left")
        .with_columns(pl.col("mean").fill_null(prior["mean"]), pl.col("variance").fill_null(prior["variance"]))
        .with_columns(
            (long_term.weight * chance * pl.col("mean")).cast(pl.Float32).alias(column("long_term")),
            believed_spread=(abs(long_term.weight) * chance * pl.col("variance").sqrt()).cast(pl.Float32),
        )
        .drop("mean", "variance")
    )


def composed(candidates: pl.DataFrame, weights: TermWeights, group: list[str], score: str) -> pl.DataFrame:
    """The order with its rewards: `score` replaced by score', and SPREAD added; see the module.

    Args:
        candidates: of `values`; a term without values counts nothing.
        group: columns that name a list.
    """
    every = {"immediate": weights.immediate, "mid_term": weights.mid_term, "long_term": weights.long_term}
    weighed = {term: every[term] for term in TERMS if every[term]}
    spread = pl.col(score).std(ddof=0).over(group).fill_null(0.0)
    moved, deviation = pl.lit(0.0), pl.lit(None, dtype=pl.Float32)
    for term, weight in weighed.items():
        value = pl.col(column(term))
        away = value.std(ddof=0).over(group)
        moved += weight * pl.when(away > 0).then((value - value.mean().over(group)) / away).otherwise(0.0).fill_null(
            0.0
        )
        if term == "long_term":
            deviation = pl.when(away > 0).then(abs(weight) * spread * pl.col("believed_spread") / away)
    added = {SPREAD: deviation.cast(pl.Float32)}
    if weighed:
        added[score] = (pl.col(score) + spread * moved).cast(pl.Float32)
    return candidates.with_columns(**added).drop("believed_spread")
