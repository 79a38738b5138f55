"""What another way of drawing would have earned of a whole shelf, when earlier slots change what later ones earn.

Slot by slot (see `counterfactual`) each open slot is weighed alone, as if the slots before it had been drawn as they were. A
policy that is followed draws all of them. What came before changes what is left in the pool, and may change what the
listener does (they tire, or stop). So here a slot is weighed with the ratios of all slots up to it (reward-interaction IPS,
McInerney et al., KDD 2020), and the value is that of the shelf:

    w_k = prod_{j <= k} q_j / p_j                  the shelf as far as slot k
    IPS   = mean over shelves of sum_k w_k r_k
    SNIPS = sum_k (sum of w_k r_k over shelves / sum of w_k over shelves)
    DR    = mean of sum_k [ w_{k-1} E_q[m_k] + w_k (r_k - m_k) ]         (cascade doubly robust, Kiyohara et al., WSDM 2022)

A shelf counts when any of its items was displayed. That does not hang on what its open slots drew, since they never stand
first. Slots of it that were not reached earned nothing.

    >>> slots = pl.DataFrame({"listener_id": ["a", "a"], "shelf_id": ["s", "s"], "slot": [1, 2], "reward": [1.0, 1.0],
    ...                       "propensity": [0.5, 0.5], "target": [1.0, 1.0]})
    >>> estimate_shelves(slots)["ips"].value
    6.0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from transforms.metrics.counterfactual import Evidence, weights
from transforms.metrics.intervals import Interval, weighed

_SHELF = ["listener_id", "shelf_id"]


def prefix_weights(slots: pl.DataFrame) -> pl.DataFrame:
    """Slots in order, with `weight` (w_k) and `before` (w_{k-1})."""
    return (
        slots.with_columns(weight=pl.Series(weights(slots)))
        .sort(*_SHELF, "slot")
        .with_columns(pl.col("weight").cum_prod().over(_SHELF))
        .with_columns(before=pl.col("weight").shift(1).over(_SHELF).fill_null(1.0))
    )


def shelf_evidence(slots: pl.DataFrame) -> Evidence:
    """Shelves, and Kish's effective number of them by the weight of the whole shelf (its last slot's)."""
    last = prefix_weights(slots).group_by(_SHELF, maintain_order=True).agg(pl.col("weight").last())
    return Evidence.of(last["weight"].to_numpy())


def estimate_shelves(slots: pl.DataFrame) -> dict[str, Interval]:
    """Value of the target policy a shelf that was looked at.

    Args:
        slots: one row a drawn slot of such a shelf, reached or not: listener_id, shelf_id, slot, reward, propensity, target,
            and for "dr" `predicted` (m of what was drawn) and `expected` (E_q[m] over its pool).

    Returns:
        "logged" (what was earned), "ips", "snips" and maybe "dr", each with a 95% interval by listener; n counts shelves.
    """
    rows = prefix_weights(slots)
    gain = {"gain": pl.col("weight") * pl.col("reward"), "reward": pl.col("reward")}
    if {"predicted", "expected"} <= set(slots.columns):
        gain["dr"] = pl.col("before") * pl.col("expected") + pl.col("weight") * (pl.col("reward") - pl.col("predicted"))
    # the k-th open slot of a shelf is a position of its own: each has its ratio of sums
    rows = rows.with_columns(place=pl.int_range(1, pl.len() + 1).over(_SHELF), **gain)
    places = sorted(rows["place"].unique().to_list())
    by = _sums(rows, list(gain), places).sort("listener_id")
    names = [c for c in by.columns if c != "listener_id"]
    matrix = by.select(names).to_numpy()
    shelves = int(matrix[:, names.index("one")].sum())
    at = {n: matrix[:, j] for j, n in enumerate(names)}
    total = {n: float(column.sum()) for n, column in at.items()}
    out = {}
    for name, top in (("logged", "reward"), ("ips", "gain"), *([("dr", "dr")] if "dr" in gain else [])):
        value = total[top] / total["one"]
        moves = (at[top] - value * at["one"]) / total["one"]
        out[name] = weighed(value, moves, shelves)
    out["snips"] = weighed(*_snips(at, total, places), shelves)
    return out


def _snips(at: Mapping[str, np.ndarray], total: Mapping[str, float], places: Sequence[int]) -> tuple[float, np.ndarray]:
    """SNIPS, and what each listener moves it by; NaN where no weight stands at a place."""
    value, moves, one = 0.0, np.zeros_like(at["one"]), total["one"]
    for k in places:
        weight, there = total[f"weight {k}"], total[f"there {k}"]
        mean = total[f"gain {k}"] / weight if weight else float("nan")
        value += mean * there / one
        with np.errstate(invalid="ignore", divide="ignore"):
            moves += (at[f"gain {k}"] - mean * at[f"weight {k}"]) / weight * there / one
        moves += mean * (at[f"there {k}"] - there / one * at["one"]) / one
    return value, moves


def _sums(rows: pl.DataFrame, gains: list[str], places: list[int]) -> pl.DataFrame:
    """Sums a listener: of the gains, shelves (`one`), and at each place the gain, weight and shelves that have it."""
    at = [pl.col("place") == k for k in places]
    return rows.group_by("listener_id").agg(
        *(pl.col(name).sort().sum().alias(name) for name in gains),
        (pl.col("place") == 1).sum().cast(pl.Float64).alias("one"),
        *(pl.col("gain").filter(here).sort().sum().alias(f"gain {k}") for k, here in zip(places, at, strict=True)),
        *(pl.col("weight").filter(here).sort().sum().alias(f"weight {k}") for k, here in zip(places, at, strict=True)),
        *(here.sum().cast(pl.Float64).alias(f"there {k}") for k, here in zip(places, at, strict=True)),
    )
