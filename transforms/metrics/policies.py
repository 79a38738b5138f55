"""What the open slots of a night earned, and what other ways of drawing them would have, shelf by shelf.

Only slots that the night drew speak, and only of shelves that were looked at. Every policy is weighed on the same slots (its
probability of what was drawn over the stored one, see `counterfactual`), so the log of one policy tells of many:

    logged    what the night did
    best      always the pool's best: no exploration
    uniform   any track of the pool alike: what the order is worth
    sharper   half the temperature

Rows of the result (model `policy:<name>`, target `shown`, segment a shelf or all): `<estimator> <reward>` a slot that has an
impression, as if each slot were drawn alone; `shelf <estimator> <reward>` of all open slots of a shelf that was looked at, the
policy drawing all of them (`whole_shelf`); both with an interval by listener; `effective slots` and `effective shelves` (Kish).
Where fewer than LEAST_EFFECTIVE slots' (or shelves') worth of evidence is left, there is no estimate: weights that are nearly all
0 would make it a 0 that nobody observed. Rewards: `listened` (any version of the recording was heard in the days looked at),
`attributed` (and a play names the shelf), `saved` where the log can know.

    >>> sorted(DEFAULT_POLICIES)
    ['best', 'sharper', 'uniform']
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from pydantic import BaseModel, Field

from transforms.metrics.counterfactual import estimate, evidence, logged_slots, pool_rows, softmax_policy
from transforms.metrics.intervals import Interval
from transforms.metrics.whole_shelf import estimate_shelves, shelf_evidence

TARGET = "shown"
REWARDS = ("listened", "attributed", "saved")
LEAST_EFFECTIVE = 5.0  # effective slots, or shelves, below which a policy is given no estimate
_SLOT = ["listener_id", "shelf_id", "slot"]
_SHOWN = ["listener_id", "shelf_id", "track_id"]


class PolicySettings(BaseModel, frozen=True, extra="forbid"):
    """A way of drawing an open slot: (1 - epsilon) softmax(score / tau) + epsilon / |pool|."""

    tau: float = Field(ge=0, description="temperature; 0 = always the pool's best")
    epsilon: float = Field(0.0, ge=0, le=1, description="share of the probability that is uniform over the pool")


DEFAULT_POLICIES: dict[str, PolicySettings] = {
    "best": PolicySettings(tau=0.0),
    "sharper": PolicySettings(tau=0.5),
    "uniform": PolicySettings(tau=1.0, epsilon=1.0),
}


def weighed_slots(
    draws: pl.DataFrame,
    shown: pl.DataFrame,
    policies: Mapping[str, PolicySettings],
    predicted: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Meet draws and what the shown ones earned, with each policy's probability of what was drawn.

    Args:
        draws: table `draws` of the night.
        shown: listener_id, shelf_id, track_id, the REWARDS (bool, null = unknown) and `shown` (has an impression) of every
            drawn item of the shelves that were looked at.
        predicted: listener_id, track_id, p_listened: a reward model for the doubly robust estimate; a pool's track it
            does not know counts as 0, which costs precision, not correctness.

    Returns:
        One row a drawn slot of a shelf that was looked at: the key, propensity, the rewards, `shown`, `target_<policy>`, and
        with `predicted` also predicted and `expected_<policy>`. Sorted by the slot.
    """
    pools = pool_rows(draws)
    lowest = pl.col("score").fill_nan(None)
    pools = pools.with_columns(score=lowest.fill_null(lowest.min().over(_SLOT)).fill_null(0.0).cast(pl.Float64))
    for name, policy in policies.items():
        pools = softmax_policy(pools, policy.tau, policy.epsilon).rename({"target": f"target_{name}"})
    if predicted is not None:
        model = predicted.select("listener_id", "track_id", predicted=pl.col("p_listened").cast(pl.Float64))
        model = model.unique(["listener_id", "track_id"], keep="any")
        pools = pools.join(model, on=["listener_id", "track_id"], how="left")
        pools = pools.with_columns(pl.col("predicted").fill_nan(None).fill_null(0.0))
    out = logged_slots(
        draws, pools.drop("predicted", strict=False), shown.select(*_SHOWN, reward=pl.col("listened").cast(pl.Float64))
    ).drop("reward")
    if predicted is not None:
        worth = [(pl.col(f"target_{n}") * pl.col("predicted")).sum().alias(f"expected_{n}") for n in policies]
        chosen = pl.col("predicted").filter(pl.col("track_id") == pl.col("drawn")).first()
        out = out.join(pools.group_by(_SLOT).agg(chosen, *worth), on=_SLOT, how="left")
    return out.join(shown.select(*_SHOWN, *REWARDS, "shown"), on=_SHOWN, how="left").sort(_SLOT)


def policy_rows(
    slots: pl.DataFrame,
    policies: Mapping[str, PolicySettings],
    *,
    least: float = LEAST_EFFECTIVE,
) -> list[dict[str, Any]]:
    """Rows of table `evaluation` for every shelf and for all of them together; none where no slot was shown.

    Args:
        slots: of `weighed_slots`, all shards together.
        least: effective slots, or shelves, below which a policy's reward is not estimated.
    """
    out: list[dict[str, Any]] = []
    shelves = slots["shelf_id"].unique().sort().to_list()
    for shelf in ("all", *shelves) if slots.height else ():
        here = slots if shelf == "all" else slots.filter(pl.col("shelf_id") == shelf)
        for reward in REWARDS:
            known = here.filter(pl.col(reward).is_not_null())
            for prefix, rows, value, judged in (
                ("", known.filter("shown"), estimate, evidence),
                ("shelf ", known, estimate_shelves, shelf_evidence),
            ):
                if not rows.height:
                    continue
                logged = value(_asked(rows, None, reward))["logged"]
                out.append(_row("logged", shelf, f"{prefix}mean {reward}", logged))
                for name in sorted(policies):
                    asked = _asked(rows, name, reward)
                    if judged(asked).effective < least:
                        continue
                    found = value(asked)
                    out += [
                        _row(name, shelf, f"{prefix}{kind} {reward}", i)
                        for kind, i in found.items()
                        if kind != "logged"
                    ]
        for name in sorted(policies):
            for metric, left in (
                ("effective slots", evidence(_asked(here.filter("shown"), name, "listened"))),
                ("effective shelves", shelf_evidence(_asked(here, name, "listened"))),
            ):
                out.append(_bare(name, shelf, metric, left.effective, left.slots))
    return out


def missing(impressions: int, slots: int) -> str | None:
    """Why nothing can be said of the open slots, in one sentence; None where something can."""
    if slots:
        return None
    if not impressions:
        return (
            "Open slots: no impressions of the days looked at are in the warehouse, so what exploration earned cannot be "
            "told; bring them in with `nightshelf ingest --impressions FILE`."
        )
    return (
        "Open slots: impressions are there, but none of them shows a slot that this night drew, so what exploration "
        "earned cannot be told; impressions must name listener, shelf and track of this night's shelves."
    )


def _asked(slots: pl.DataFrame, policy: str | None, reward: str) -> pl.DataFrame:
    """The columns that estimators read, of one policy (None = the one that drew) and reward; the model is one of listens."""
    more = {}
    if reward == "listened" and f"expected_{policy}" in slots.columns:
        more = {"predicted": pl.col("predicted"), "expected": pl.col(f"expected_{policy}")}
    return slots.select(
        *_SLOT,
        "propensity",
        reward=pl.col(reward).cast(pl.Float64),
        target=f"target_{policy}" if policy else "propensity",
        **more,
    )


def _row(policy: str, shelf: str, metric: str, i: Interval) -> dict[str, Any]:
    ends = (
        {"low": i.low, "high": i.high} if i.low <= i.high else {"low": None, "high": None}
    )  # of one listener: not known
    return {**_bare(policy, shelf, metric, i.value, i.n), **ends}


def _bare(policy: str, shelf: str, metric: str, value: float, n: int) -> dict[str, Any]:
    return {
        "model": f"policy:{policy}",
        "target": TARGET,
        "segment": shelf if shelf == "all" else f"shelf {shelf}",
        "metric": metric,
        "value": value,
        "n": n,
    }
