"""Which settings a baseline gets, and which baseline is the one to beat: decided on an earlier origin in time.

With targets in (night, night + n], everything is fitted as of night - n and asked about (night - n, night]. So a
baseline is neither left at a default that hurts it nor chosen by the listens it is measured with, and a difference
against "the best baseline" is against the one a careful person would have picked that night.

    plays up to the night  ->  Choice(settings=..., best={"unheard": "item-knn", "repeat": "own-top", ...})
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import get_args

import numpy as np
import polars as pl

from transforms.common.hashing import stable_hash
from transforms.evaluation.baselines import (
    Baseline,
    BaselineSettings,
    Similarities,
    Target,
    Training,
    all_baselines,
    candidates_to_tune,
    item_knn,
    recommended,
)
from transforms.evaluation.lists import METRICS, TOP, Judge
from transforms.listening.plays import with_length

PLACES = TOP
METRIC = f"ndcg@{PLACES}"


@dataclass(frozen=True)
class Choice:
    """Settings for the baselines, and the best baseline of each target; empty where there was nothing to choose on."""

    settings: BaselineSettings
    best: dict[str, str] = field(default_factory=dict)


def with_sessions(plays: pl.DataFrame, gap: timedelta = timedelta(minutes=30)) -> pl.DataFrame:
    """Adds session_id (int64, of all plays): a new one where the pause since the previous play's end exceeds `gap`.

    Args:
        plays: listener_id, track_id, started_at, ms_played.
    """
    plays = with_length(plays, None).with_columns(_hash=stable_hash(plays["track_id"]))
    plays = plays.sort("listener_id", "started_at", "_hash", "track_id")
    ended = pl.col("started_at") + pl.duration(milliseconds=pl.col("length_ms"))
    pause = pl.col("started_at") - ended.shift(1)
    begins = (pl.col("listener_id") != pl.col("listener_id").shift(1)).fill_null(True) | (pause > gap)
    return plays.with_columns(session_id=begins.cum_sum().cast(pl.Int64)).drop("length_ms", "_hash")


def choose(plays: pl.DataFrame, night: date, days: int, settings: BaselineSettings, tune: bool = True) -> Choice:
    """Fit as of night - days, ask about the days up to the night.

    Args:
        plays: listener_id, item, started_at, session_id, heard; up to the night (later ones are left out).
        days: length of the target window.
        tune: try variants of item-knn; else only the best baseline is chosen.
    """
    earlier = night - timedelta(days=days)
    begin, end = (datetime(d.year, d.month, d.day, tzinfo=UTC) + timedelta(days=1) for d in (earlier, night))
    asked = plays.filter(pl.col("started_at").is_between(begin, end, closed="left") & pl.col("heard"))
    past = plays.filter(pl.col("started_at") < begin)
    if past.is_empty() or asked.is_empty():
        return Choice(settings)
    training = Training.build(past, earlier)
    key = ["listener_id", "item"]
    heard = past.filter("heard").select(key).unique()
    asked = asked.select(key).unique().join(past.select("item").unique(), on="item")
    asked = asked.join(past.select("listener_id").unique(), on="listener_id")
    targets = {
        "unheard": asked.join(heard, on=key, how="anti"),
        "repeat": asked.join(heard, on=key),
        "all": asked,
    }
    judge = Judge.of_relevance({target: training.coded(rows) for target, rows in targets.items()}, training.shape)
    known: Similarities = {}  # variants differ in what is made of them
    if tune and targets["unheard"].height:
        variants = [settings, *(v for v in candidates_to_tune(settings) if v != settings)]
        gains = [_gain(item_knn(training, v, known), training, "unheard", judge) for v in variants]
        settings = variants[gains.index(max(gains))]
    best: dict[str, str] = {}
    fitted = all_baselines(training, settings, known)
    for target in get_args(Target):
        if targets[target].height:
            ranked = {b.name: _gain(b, training, target, judge) for b in fitted}
            best[target] = max(ranked, key=lambda name: (ranked[name], name))
    return Choice(settings, best)


def _gain(baseline: Baseline, training: Training, target: Target, judge: Judge) -> float:
    asked = judge.asked(target)
    listed = recommended(baseline, training, asked.astype(np.int32), target, PLACES)
    found, _ = judge.measured(listed.rename({"row": "listener_id", "column": "item"}), target)
    return float(pl.Series(found[asked, METRICS.index(METRIC)]).sum())
