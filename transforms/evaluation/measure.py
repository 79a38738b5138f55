"""A stored night against what was listened to in the days after it: lists, targets, metrics by listener, the summary.

The split is one moment for everyone, the night's end, and every list is ranked among the whole catalog. Targets are
recordings heard in the days after, in three kinds:

    unheard   not heard by the night, and known: somebody had played them by then (what nobody had is counted as
              `unknown_share`, since no log-based model can find it)
    repeat    heard by the night
    all       both

Each kind is asked of the ranker's order, the untrained blend, every source alone, the shelves and the simple
baselines. Listeners without a target of a kind are left out of it; one with targets and no list scores 0. Values are
means over listeners with 95% bootstrap intervals; differences are paired by listener, against the baseline that an
earlier origin chose, and of the primary model against each other one. `ndcg@50` of `ranker` on `unheard` is the primary
number, `shelf:discover-weekly` the same as published, with what variety and exploration cost.

    >>> candidates = pl.DataFrame({"listener_id": ["ann", "ann"], "track_id": ["x", "y"], "heard_before": [False, True],
    ...     "ranker_score": [0.5, 0.9], "rank_als": [2, 1]})
    >>> night_lists(candidates, None, top=50)["source:als", "repeat"].rows()
    [('ann', 'y', 1)]
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from functools import partial, reduce
from itertools import pairwise
from typing import get_args

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from transforms.common.hashing import stable_hash
from transforms.evaluation.baselines import BaselineSettings, Target
from transforms.evaluation.coding import Codes
from transforms.evaluation.facts import MeasureFacts
from transforms.evaluation.lists import BEYOND, METRICS, TOP, Judge
from transforms.evaluation.places import lister
from transforms.metrics.intervals import DRAWS
from transforms.metrics.policies import DEFAULT_POLICIES, PolicySettings
from transforms.outcomes.join import labels, with_recording

TARGETS: tuple[Target, ...] = get_args(Target)
PRIMARY = "ranker"
SHELF_TARGETS: dict[str, Target] = {"discover-weekly": "unheard", "on-repeat": "repeat", "rediscover": "repeat"}
HISTORY = (1, 50, 250, 1000)
Lists = dict[tuple[str, Target], pl.DataFrame]


class EvaluationSettings(BaseModel):
    """How a night is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_listeners: int = Field(default=20_000, ge=1, description="listeners measured; more are sampled by hash")
    baseline_listeners: int = Field(
        default=200_000,
        ge=1,
        description="listeners that the simple recommenders learn from, those measured among them",
    )
    draws: int = Field(default=DRAWS, ge=100, description="bootstrap replicates of an interval")
    tune: bool = Field(default=True, description="choose item-knn's settings on an earlier origin")
    baselines: BaselineSettings = Field(default=BaselineSettings(), description="the simple recommenders")
    policies: dict[str, PolicySettings] = Field(
        default=DEFAULT_POLICIES, description="ways of drawing open slots that are estimated from what was shown"
    )


def credits_of(tracks: pl.DataFrame) -> pl.DataFrame:
    """item, artist_id: every credited artist of every recording of table `tracks`."""
    return (
        tracks.select(pl.col("recording_id").alias("item"), pl.col("artist_ids").alias("artist_id"))
        .explode("artist_id")
        .drop_nulls()
        .unique()
        .sort("item", "artist_id")
    )


def popularity_partial(library: pl.DataFrame, recordings: pl.DataFrame) -> pl.DataFrame:
    """Listeners of each recording in one chunk: item, listeners; adds up over chunks, since no listener is in two."""
    pairs = with_recording(library.select("listener_id", "track_id"), recordings)
    pairs = pairs.select("listener_id", item="recording_id").unique()
    return pairs.group_by("item").agg(pl.len().cast(pl.Int64).alias("listeners")).sort("item")


def add_popularity(partials: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Partials of all chunks to item, listeners; sorted by item."""
    if not partials:
        return pl.DataFrame(schema={"item": pl.String, "listeners": pl.Int64})
    return pl.concat(partials).group_by("item").agg(pl.col("listeners").sum()).sort("item")


def history_segment(plays: pl.Expr) -> pl.Expr:
    """`history 0`, `history 1-49`, ...: how much a listener had played by the night."""
    names = ["history 0", *(f"history {a}-{b - 1}" for a, b in pairwise(HISTORY))]
    names.append(f"history {HISTORY[-1]}+")
    pairs = zip(HISTORY, names, strict=False)
    return reduce(
        lambda rest, pair: pl.when(plays < pair[0]).then(pl.lit(pair[1])).otherwise(rest),
        reversed(list(pairs)),
        pl.lit(names[-1]),
    )


def wanted(listens: pl.DataFrame, heard: pl.DataFrame, facts: MeasureFacts, night: date, days: int) -> pl.DataFrame:
    """What listeners went on to hear.

    Args:
        listens: of (night, night + days], any columns of the table.
        heard: listener_id, item heard by the night.

    Returns:
        listener_id, item, heard_before, known; sorted by listener_id and item.
    """
    before = heard.select("listener_id", "item").unique().with_columns(heard_before=pl.lit(True))
    known = facts.popularity.select("item", known=pl.lit(True))
    return (
        labels(listens, facts.recordings, night, days)
        .filter("heard")
        .select("listener_id", item="recording_id")
        .join(before, on=["listener_id", "item"], how="left")
        .join(known, on="item", how="left")
        .with_columns(pl.col("heard_before", "known").fill_null(False))
        .sort("listener_id", "item")
    )


def of_target(rows: pl.DataFrame, target: Target, known_only: bool = True) -> pl.DataFrame:
    """Rows of `wanted` of one kind."""
    if target == "repeat":
        return rows.filter("heard_before")
    rows = rows.filter("known") if known_only else rows
    return rows.filter(~pl.col("heard_before")) if target == "unheard" else rows


def standardised_sum(candidates: pl.DataFrame, unranked: Collection[str] = ()) -> pl.Expr:
    """The blend of candidates without features: scores in standard deviations of the listener's candidates, summed.

    Args:
        candidates: with columns `score_*`.
        unranked: sources that are left out.
    """
    group = ["listener_id", "heard_before"]
    parts = []
    scores = {c for c in candidates.columns if c.startswith("score_")} - {f"score_{name}" for name in unranked}
    for name in sorted(scores):
        score = pl.col(name).cast(pl.Float64).fill_nan(None).fill_null(0.0)
        spread = score.std(ddof=0).over(group)
        parts.append(pl.when(spread > 0).then((score - score.mean().over(group)) / spread).otherwise(0.0))
    return pl.sum_horizontal(parts)


def night_lists(
    candidates: pl.DataFrame,
    shelves: pl.DataFrame | None,
    top: int = TOP,
    unranked: Collection[str] = (),
    codes: Codes | None = None,
) -> Lists:
    """Every list that a night can be asked for, best first, at most `top` a listener.

    Args:
        candidates: listener_id, track_id, heard_before, and any of ranker_score, p_listened, f_blend, rank_*, score_*.
        shelves: listener_id, shelf_id, items, spares; None for a night without.
        unranked: sources whose scores no ranker weighs.
        codes: numbers that the lists are made of instead of names, of the listeners that it knows; candidates are then in the
            order of their table's key.

    Returns:
        (model, target) -> listener_id, track_id (with `codes`: item), rank. Models are `ranker`, `blend`, `source:<name>`,
        `shelf:<id>`. A list without rows is there too: these listeners may have none where others do, and score 0
        (`summarise` leaves out a model that lists nothing for anyone).
    """
    # sorted once by what breaks ties; equal hashes stay in the order of the track's name
    if codes is None:
        candidates = candidates.with_columns(hash=stable_hash(candidates["track_id"]))
        candidates = candidates.sort("listener_id", "hash", "track_id")
    else:
        candidates = codes.in_order(candidates)
    listed = lister(candidates, top)
    orders: dict[str, pl.Expr] = {}
    if "ranker_score" in candidates.columns:
        orders[PRIMARY] = -pl.col("ranker_score")
    if "f_blend" in candidates.columns:  # as it orders a night that has no ranker
        orders["blend"] = -pl.col("f_blend")
    elif any(c.startswith("score_") for c in candidates.columns):
        orders["blend"] = -standardised_sum(candidates, unranked)
    for name in sorted(c for c in candidates.columns if c.startswith("rank_")):
        orders[f"source:{name.removeprefix('rank_')}"] = pl.col(name)
    lists: Lists = {}
    for model, order in orders.items():
        made = listed(order)
        lists |= {(model, target): made[target] for target in TARGETS}
    if PRIMARY in orders and "p_listened" in candidates.columns and candidates["p_listened"].is_not_null().any():
        # a ranker's scores compare within equal heard_before only; its probabilities compare over all
        lists[PRIMARY, "all"] = listed(-pl.col("p_listened"))["all"]
    if shelves is not None:
        for shelf, rows in sorted(shelves.partition_by("shelf_id", as_dict=True).items()):
            stood = shelf_list(rows).filter(pl.col("rank") <= top)
            made_of = stood if codes is None else codes.coded(stood).drop("hash")
            lists[f"shelf:{shelf[0]}", SHELF_TARGETS.get(str(shelf[0]), "all")] = made_of
    return lists


def shelf_list(shelves: pl.DataFrame) -> pl.DataFrame:
    """Items, then spares, of one shelf: listener_id, track_id, rank."""
    return (
        shelves.select("listener_id", item=pl.col("items").list.concat("spares"))
        .explode("item")
        .filter(pl.col("item").is_not_null())
        .select("listener_id", track_id=pl.col("item").struct.field("track_id"))
        .with_columns(rank=pl.int_range(1, pl.len() + 1).over("listener_id"))
    )


def measure(
    lists: Mapping[tuple[str, Target], pl.DataFrame],
    targets: pl.DataFrame,
    heard: pl.DataFrame,
    segments: pl.DataFrame,
    facts: MeasureFacts,
    codes: Codes | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score lists for some listeners.

    Args:
        lists: (model, target) -> listener_id, rank, and item or track_id; with `codes`, numbers of listeners and items.
        targets: from `wanted`.
        heard: listener_id, item heard by the night.
        segments: listener_id, segment; a listener without a row is `history 0`.
        codes: of the targets' listeners, and of every item of lists, targets and what was heard; made here where none are given.

    Returns:
        One row a listener, model and target with its metrics; and model, target, item, exposures, items by their number in
        `facts.items` (one number after them stands for all that they do not know).
    """
    if codes is None:
        by_name = {kind: [f[kind] for f in lists.values() if kind in f.columns] for kind in ("item", "track_id")}
        items = [*by_name["item"], targets["item"], heard["item"]]
        codes = Codes.of(targets["listener_id"], facts, items=items, tracks=by_name["track_id"])
        lists = {which: codes.coded(listed) for which, listed in lists.items()}
    judge = Judge.of(codes, targets, heard, facts, {kind: partial(of_target, target=kind) for kind in TARGETS})
    of_list, who, values, shown = [], [], [], []
    for number, ((_, target), listed) in enumerate(lists.items()):
        measured, exposures = judge.measured(listed, target)
        asked = judge.asked(target)
        of_list.append(np.full(len(asked), number))
        who.append(asked)
        values.append(measured[asked])
        known = np.append(exposures[: facts.items.height], exposures[facts.items.height :].sum())
        at = np.flatnonzero(known)
        shown.append(
            pl.DataFrame({"list": np.full(len(at), number), "item": at.astype(np.int32), "exposures": known[at]})
        )
    names = pl.DataFrame(list(lists), schema={"model": pl.String, "target": pl.String}, orient="row")
    empty = {"list": pl.Int64, "item": pl.Int32, "exposures": pl.Int64}
    every = pl.concat([pl.DataFrame(schema=empty), *shown])
    listener = np.concatenate([np.zeros(0, np.int64), *who])
    of_row = np.concatenate([np.zeros(0, np.int64), *of_list])
    rows = pl.DataFrame(
        np.concatenate([np.zeros((0, len(METRICS))), *values]), schema=dict.fromkeys(METRICS, pl.Float64)
    )
    rows = rows.with_columns(
        codes.listeners["listener_id"].gather(listener), *names[of_row], *(pl.col(m).fill_nan(None) for m in BEYOND)
    )
    frame = pl.concat([rows, *(_about_targets(targets, target) for target in TARGETS)], how="diagonal_relaxed")
    frame = frame.join(segments, on="listener_id", how="left")
    return frame.with_columns(pl.col("segment").fill_null("history 0")), every.with_columns(*names[every["list"]]).drop(
        "list"
    )


def _about_targets(targets: pl.DataFrame, target: Target) -> pl.DataFrame:
    """How many targets a listener has and which share of them nobody had played by the night."""
    return (
        of_target(targets, target, known_only=False)
        .group_by("listener_id")
        .agg(
            pl.len().cast(pl.Float64).alias("targets"),
            (~pl.col("known") & ~pl.col("heard_before")).mean().alias("unknown_share"),
        )
        .with_columns(model=pl.lit("targets"), target=pl.lit(target))
    )
