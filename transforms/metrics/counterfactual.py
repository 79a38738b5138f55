"""What another way of drawing the open slots would have earned, from what was drawn, with what probability, and heard.

A shelf's open slots are drawn with known conditional probabilities p (DESIGN "Propensity"), and only those slots that
have an impression are used. For a new policy with probabilities q over the same pools, per slot with reward r:

    IPS   = mean of w r, w = q / p                      unbiased where q > 0 only where p > 0
    SNIPS = sum w r / sum w                             a bit biased, far less variable (Swaminathan & Joachims, 2015)
    DR    = mean of E_q[m] + w (r - m(drawn))           m a reward model; right if m or p is (Dudik et al., 2011)

Weights are not clipped: a clipped estimate is biased, and its interval misses the truth. Instead `effective` (Kish: (sum w)^2 /
sum w^2) says how many slots' worth of evidence is left, and where that is little there is no estimate. Intervals are by listener
(`intervals.weighed`).

    >>> logged = pl.DataFrame({"listener_id": ["a", "b"], "reward": [1.0, 0.0], "propensity": [0.5, 0.5],
    ...                        "target": [1.0, 0.0]})
    >>> estimate(logged)["ips"].value, estimate(logged)["snips"].value
    (1.0, 1.0)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.common.hashing import stable_hash
from transforms.metrics.intervals import Interval, weighed


@dataclass(frozen=True)
class Evidence:
    """How much the log can say about a policy: slots (or shelves) used, and Kish's effective number of them."""

    slots: int
    effective: float

    @classmethod
    def of(cls, weights: np.ndarray) -> Evidence:
        """Of the weights of what was used."""
        square = float((weights**2).sum())
        return cls(len(weights), float(weights.sum()) ** 2 / square if square else 0.0)


def weights(logged: pl.DataFrame) -> np.ndarray:
    """target / propensity a row, float64.

    Raises:
        ValueError: a propensity outside (0, 1] or a null: such a row was not drawn and must not be here.
    """
    p = logged["propensity"].cast(pl.Float64)
    if p.null_count() or (len(p) and not bool(((p > 0) & (p <= 1 + 1e-6)).all())):
        raise ValueError("counterfactual estimates need drawn slots only: a propensity is null or outside (0, 1]")
    return logged["target"].cast(pl.Float64).to_numpy() / p.to_numpy()


def evidence(logged: pl.DataFrame) -> Evidence:
    """Slots and effective slots."""
    return Evidence.of(weights(logged))


def estimate(logged: pl.DataFrame) -> dict[str, Interval]:
    """Value of the target policy a slot.

    Args:
        logged: one row a drawn slot that was shown: listener_id, reward, propensity (p of what was drawn) and target
            (its q); with `predicted` (its m) and `expected` (E_q[m] over its pool) also "dr".

    Returns:
        "logged" (what was earned), "ips", "snips" and maybe "dr", each with a 95% interval by listener; n counts slots.
    """
    w = weights(logged)
    reward = logged["reward"].cast(pl.Float64).to_numpy()
    columns = {"one": np.ones_like(w), "weight": w, "gain": w * reward, "reward": reward}
    if {"predicted", "expected"} <= set(logged.columns):
        predicted = logged["predicted"].cast(pl.Float64).to_numpy()
        expected = logged["expected"].cast(pl.Float64).to_numpy()
        columns["dr"] = expected + w * (reward - predicted)
    sums = (
        pl.DataFrame({"listener_id": logged["listener_id"], **columns})
        .group_by("listener_id")
        .agg(pl.col(list(columns)).sort().sum())
        .sort("listener_id")
    )
    matrix = sums.select(list(columns)).to_numpy()
    at = {name: matrix[:, j] for j, name in enumerate(columns)}
    ratios = {"logged": ("reward", "one"), "ips": ("gain", "one"), "snips": ("gain", "weight")}
    if "dr" in columns:
        ratios["dr"] = ("dr", "one")
    out = {}
    for name, (top, bottom) in ratios.items():
        total = float(at[bottom].sum())
        value = float(at[top].sum()) / total if total else float("nan")
        with np.errstate(invalid="ignore", divide="ignore"):
            moves = (at[top] - value * at[bottom]) / total
        out[name] = weighed(value, moves, len(w))
    return out


def pool_rows(draws: pl.DataFrame) -> pl.DataFrame:
    """One row a pool item of `draws`: listener_id, shelf_id, slot, drawn (track), track_id, score, probability."""
    return (
        draws.select("listener_id", "shelf_id", "slot", pl.col("track_id").alias("drawn"), "pool")
        .explode("pool")
        .unnest("pool")
        .select("listener_id", "shelf_id", "slot", "drawn", "track_id", "score", "probability")
    )


def softmax_policy(pools: pl.DataFrame, tau: float, epsilon: float = 0.0) -> pl.DataFrame:
    """Adds `target`: (1 - epsilon) softmax(score / tau) + epsilon / |pool|; tau 0 = always the best (ties: by hash).

    Args:
        pools: from `pool_rows`.
    """
    slot = ["listener_id", "shelf_id", "slot"]
    if tau > 0:
        lifted = ((pl.col("score") - pl.col("score").max().over(slot)) / tau).exp()
        base = lifted / lifted.sum().over(slot)
    else:
        pools = pools.with_columns(_hash=stable_hash(pools["track_id"]))
        first = pl.struct(-pl.col("score"), pl.col("_hash"), pl.col("track_id")).rank("ordinal").over(slot)
        base = (first == 1).cast(pl.Float64)
    out = pools.with_columns(target=(1 - epsilon) * base + epsilon / pl.len().over(slot))
    return out.drop("_hash", strict=False)


def logged_slots(draws: pl.DataFrame, pools: pl.DataFrame, rewards: pl.DataFrame) -> pl.DataFrame:
    """Meet draws, a target policy over their pools, and what the shown ones earned.

    Args:
        draws: table `draws` of a night.
        pools: from `softmax_policy` or any function that adds `target` to `pool_rows(draws)`; with a column
            `predicted` (a reward model over every pool item) the result has what "dr" needs.
        rewards: listener_id, shelf_id, track_id, reward; only of slots with an impression (outcomes' stage "shown").

    Returns:
        One row a drawn and shown slot, for `estimate`.
    """
    slot, shown = ["listener_id", "shelf_id", "slot"], ["listener_id", "shelf_id", "track_id"]
    chosen = pools.filter(pl.col("track_id") == pl.col("drawn")).drop("drawn", "score", "probability")
    out = (
        draws.select(*slot, "track_id", "propensity")
        .join(chosen, on=[*slot, "track_id"])
        .join(rewards.select(*shown, "reward"), on=shown)
    )
    if "predicted" in pools.columns:
        expected = pools.group_by(slot).agg(expected=(pl.col("target") * pl.col("predicted")).sum())
        out = out.join(expected, on=slot)
    return out.sort(slot)
