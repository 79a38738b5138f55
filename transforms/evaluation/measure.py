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
from functools import reduce
from itertools import pairwise
from typing import get_args

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from transforms.common.hashing import stable_hash
from transforms.evaluation.baselines import BaselineSettings, Target
from transforms.evaluation.coding import Codes
from transforms.evaluation.facts import MeasureFacts
from transforms.evaluation.places import lister
from transforms.metrics import beyond
from transforms.metrics.intervals import DRAWS, intervals
from transforms.metrics.policies import DEFAULT_POLICIES, PolicySettings
from transforms.metrics.ranking import CUTOFFS, metric_names, score_lists
from transforms.outcomes.join import labels, with_recording
from transforms.tables.schema import TABLES

TARGETS: tuple[Target, ...] = get_args(Target)
PRIMARY = "ranker"
SHELF_TARGETS: dict[str, Target] = {"discover-weekly": "unheard", "on-repeat": "repeat", "rediscover": "repeat"}
COMPARED = ("ndcg@50", "recall@50")
IN_SEGMENTS = ("ndcg@50", "recall@50", "hit@10")
HISTORY = (1, 50, 250, 1000)
TOP = max(CUTOFFS)
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
    candidates: pl.DataFrame, shelves: pl.DataFrame | None, top: int = TOP, unranked: Collection[str] = ()
) -> Lists:
    """Every list that a night can be asked for, best first, at most `top` a listener.

    Args:
        candidates: listener_id, track_id, heard_before, and any of ranker_score, p_listened, f_blend, rank_*, score_*.
        shelves: listener_id, shelf_id, items, spares; None for a night without.
        unranked: sources whose scores no ranker weighs.

    Returns:
        (model, target) -> listener_id, track_id, rank. Models are `ranker`, `blend`, `source:<name>`, `shelf:<id>`. A
        list without rows is there too: these listeners may have none where others do, and score 0 (`summarise` leaves
        out a model that lists nothing for anyone).
    """
    candidates = candidates.with_columns(_hash=stable_hash(candidates["track_id"]))
    # sorted once by what breaks ties
    listed = lister(candidates.sort("listener_id", "_hash", "track_id"), top)
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
            stood = shelf_list(rows)
            lists[f"shelf:{shelf[0]}", SHELF_TARGETS.get(str(shelf[0]), "all")] = stood.filter(pl.col("rank") <= top)
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
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score lists for some listeners.

    Args:
        lists: (model, target) -> listener_id, rank, and item or track_id.
        targets: from `wanted`.
        heard: listener_id, item heard by the night.
        segments: listener_id, segment; a listener without a row is `history 0`.

    Returns:
        One row a listener, model and target with its metrics; and model, target, item, exposures.
    """
    codes = Codes.of(targets["listener_id"], lists.values(), facts, heard["item"], targets["item"])
    relevant = {target: codes.coded(of_target(targets, target)) for target in TARGETS}
    popularity, credits = codes.items_of(facts.popularity), codes.items_of(facts.credits)
    played = beyond.played_artists(codes.coded(heard), credits)
    rows, shown = [], []
    for (model, target), listed in lists.items():
        mine = codes.coded(listed).join(relevant[target], on="listener_id", how="semi")
        scored = score_lists(mine, relevant[target])
        first = beyond.first_places(mine, TOP)
        novelty = beyond.novelty(first, popularity, facts.listeners, TOP)
        new = beyond.new_artist_share(first, credits, played, TOP)
        scored = scored.join(novelty, on="listener_id", how="left").join(new, on="listener_id", how="left")
        named = (pl.lit(model).alias("model"), pl.lit(target).alias("target"))
        rows.append(codes.named(scored.drop("relevant")).with_columns(*named))
        shown.append(codes.named(beyond.exposures(first)).with_columns(*named))
    rows += [_about_targets(targets, target) for target in TARGETS]
    frame = pl.concat(rows, how="diagonal_relaxed").join(segments, on="listener_id", how="left")
    empty = pl.DataFrame(schema={"item": pl.String, "exposures": pl.Int64, "model": pl.String, "target": pl.String})
    return frame.with_columns(pl.col("segment").fill_null("history 0")), pl.concat(
        [empty, *shown], how="diagonal_relaxed"
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


def summarise(
    rows: pl.DataFrame,
    exposures: pl.DataFrame,
    chosen: Mapping[str, str],
    facts: MeasureFacts,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> pl.DataFrame:
    """Everything measured, as rows of table `evaluation`.

    Args:
        rows: of `measure`, all shards and models.
        exposures: likewise.
        chosen: target -> the baseline chosen on an earlier origin, which the others are compared with.
        facts: of the night.

    Returns:
        Rows of the table, sorted by its key, differences after the value they belong to.
    """
    out: list[dict[str, object]] = []
    for target in TARGETS:
        listing = exposures.filter(pl.col("target") == target)["model"].unique().to_list()
        here = rows.filter((pl.col("target") == target) & pl.col("model").is_in(["targets", *listing]))
        if here.is_empty():
            continue
        segments = ["all", *here["segment"].unique().sort()]
        for segment in segments:
            part = here if segment == "all" else here.filter(pl.col("segment") == segment)
            out += _means(part, target, segment, chosen.get(target), draws=draws, seed=seed)
        out += _of_the_whole(exposures.filter(pl.col("target") == target), here, target, facts)
    schema = TABLES["evaluation"].polars
    return pl.DataFrame(out, schema=schema).sort(*TABLES["evaluation"].key, "versus", nulls_last=False)


def _means(
    part: pl.DataFrame, target: str, segment: str, chosen: str | None, *, draws: int, seed: int
) -> list[dict[str, object]]:
    """Mean, interval and paired differences of every model for one target and segment."""
    ids = part["listener_id"].unique().sort()
    beyond_names = [f"novelty@{TOP}", f"new_artist_share@{TOP}"]
    metrics = [*metric_names(), *beyond_names] if segment == "all" else list(IN_SEGMENTS)
    models = part.partition_by("model", as_dict=True)
    labels_, columns, by_model = [], [], {}
    for (model,), own in sorted(models.items()):
        kept = ["targets", "unknown_share"] if model == "targets" else metrics
        aligned = pl.DataFrame({"listener_id": ids}).join(own, on="listener_id", how="left", maintain_order="left")
        values = {m: aligned[m].cast(pl.Float64).fill_null(np.nan).to_numpy() for m in kept if m in own.columns}
        by_model[str(model)] = values
        for metric, column in values.items():
            labels_.append((str(model), metric, None))
            columns.append(column)
    pairs = [(m, chosen) for m in by_model if chosen in by_model and m not in (chosen, "targets")]
    pairs += [(PRIMARY, m) for m in by_model if PRIMARY in by_model and m not in (PRIMARY, "targets", chosen)]
    for model, other in pairs if segment == "all" else []:
        for metric in COMPARED:
            labels_.append((model, metric, other))  # type: ignore[arg-type]
            columns.append(by_model[model][metric] - by_model[other][metric])  # type: ignore[index]
    found = intervals(ids, np.column_stack(columns), draws, seed)
    named = {"target": target, "segment": segment}
    return [
        {
            "model": model,
            **named,
            "metric": metric,
            "value": i.value,
            "low": i.low,
            "high": i.high,
            "n": i.n,
            "versus": vs,
        }
        for (model, metric, vs), i in zip(labels_, found, strict=True)
        if i.n
    ]


def _of_the_whole(shown: pl.DataFrame, rows: pl.DataFrame, target: str, facts: MeasureFacts) -> list[dict[str, object]]:
    """Coverage and artist Gini of every model: properties of all lists together, without an interval."""
    out: list[dict[str, object]] = []
    catalog = facts.popularity.select("item")
    credits = facts.credits.join(catalog, on="item", how="semi")
    for (model,), own in sorted(shown.partition_by("model", as_dict=True).items()):
        n = rows.filter(pl.col("model") == model)["listener_id"].n_unique()
        values = {f"coverage@{TOP}": beyond.coverage(own.join(catalog, on="item", how="semi"), catalog.height)}
        if credits.height:
            values[f"artist_gini@{TOP}"] = beyond.artist_gini(own, credits)
        out += [
            {"model": model, "target": target, "segment": "all", "metric": metric, "value": value, "n": n}
            for metric, value in values.items()
        ]
    return out
