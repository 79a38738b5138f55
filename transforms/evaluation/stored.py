"""A stored night, measured chunk by chunk: what a worker of the job `evaluate` computes, without Beam.

    library            -> count_chunk      popularity of recordings, number of listeners (they add up over chunks)
    everything stored  -> measure_chunk    metrics by listener, their targets; answers to open slots and experiments
    all listens before -> measure_baselines    the same of the simple recommenders, on the same listeners
    all of it          -> summary_of       rows of table `evaluation`

`StoredNight` is what each of them knows: the night, how far ahead is looked, the catalog, the settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import get_args

import numpy as np
import polars as pl

from transforms.common.sample import in_sample
from transforms.evaluation.baseline_tuning import choose, with_sessions
from transforms.evaluation.baselines import Target, Training, all_baselines, recommended
from transforms.evaluation.coding import Codes
from transforms.evaluation.facts import MeasureFacts
from transforms.evaluation.lists import TOP
from transforms.evaluation.measure import (
    EvaluationSettings,
    add_popularity,
    credits_of,
    history_segment,
    measure,
    night_lists,
    popularity_partial,
    wanted,
)
from transforms.evaluation.summary import summarise
from transforms.listening.plays import is_heard
from transforms.metrics import policies
from transforms.metrics.experiments import arm_rows
from transforms.outcomes.join import with_recording
from transforms.outcomes.nights import recordings
from transforms.outcomes.responses import answers, by_listener, drawn_items
from transforms.tables.chunks import Chunk
from transforms.tables.manifest import Heading, Manifest
from transforms.tables.warehouse import Warehouse

PLAYS = ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed")
LISTENS = (*PLAYS, "shelf_id")
_CANDIDATE = ("listener_id", "track_id", "heard_before", "stage", "inclusion", "ranker_score", "p_listened", "f_blend")
_PREDICTED = ("listener_id", "track_id", "p_listened")
_SHELF = (
    *("listener_id", "shelf_id", "surface", "version", "home_position", "refresh_date", "valid_from", "valid_until"),
    *("experiment", "arm", "items", "spares"),
)


def columns_of(warehouse: Warehouse, candidates: Manifest) -> dict[str, Sequence[str]]:
    """Columns to read, by table; of candidates also the rank of each source, which no schema declares, and
    its score where their blend is not stored."""
    names = warehouse.open_parquet(candidates.files[0].path).schema_arrow.names if candidates.files else []
    open_columns = ("rank_",) if "f_blend" in names else ("rank_", "score_")
    return {
        "candidates": [n for n in names if n.startswith(open_columns) or n in _CANDIDATE],
        "shelves": _SHELF,
        "library": ("listener_id", "track_id", "plays", "heard", "saved"),
        "listens": LISTENS,
    }


@dataclass(frozen=True)
class StoredNight:
    """What every step knows of the night that is measured; it loads on the worker what it needs. Picklable.

    Attributes:
        ahead: days after the night whose listens are its targets.
        catalog: table `tracks` as of the last of them.
        seed: of the sample of listeners and of the bootstrap.
        unranked: sources whose candidates no ranker orders.
    """

    warehouse: str
    day: date
    ahead: int
    catalog: Heading | None
    settings: EvaluationSettings
    seed: int
    unranked: frozenset[str] = frozenset()

    def recordings(self) -> pl.DataFrame:
        """track_id, recording_id."""
        return recordings(self.warehouse, self.catalog)

    def facts(self, counted: Sequence[Chunk]) -> MeasureFacts:
        """What was known of tracks, from the chunks of `count_chunk`."""
        tracks = (
            Warehouse(self.warehouse).read_manifest(self.catalog, ["recording_id", "artist_ids"])
            if self.catalog
            else pl.DataFrame(schema={"recording_id": pl.String, "artist_ids": pl.List(pl.String)})
        )
        in_order = sorted(counted, key=lambda chunk: chunk.shard)
        return MeasureFacts(
            recordings=self.recordings(),
            popularity=add_popularity([c["popularity"] for c in in_order]),
            credits=credits_of(tracks),
            listeners=sum(int(c["listeners"]["n"].sum()) for c in in_order),
        )

    def measured(self, listener_ids: pl.Series, facts: MeasureFacts) -> pl.Series:
        """Those of some listeners who are in the sample."""
        if not len(listener_ids):
            return listener_ids
        return listener_ids.filter(self.in_sample(listener_ids, facts))

    def in_sample(self, listener_ids: pl.Series, facts: MeasureFacts) -> pl.Series:
        """Mask of the listeners in the sample."""
        return self._of_share(listener_ids, facts, self.settings.max_listeners)

    def teaches_baselines(self, listener_ids: pl.Series, facts: MeasureFacts) -> pl.Series:
        """Mask of the listeners that the baselines learn from: everyone in the sample, and more."""
        most = max(self.settings.max_listeners, self.settings.baseline_listeners)
        return self._of_share(listener_ids, facts, most)

    def _of_share(self, listener_ids: pl.Series, facts: MeasureFacts, most: int) -> pl.Series:
        if most >= facts.listeners:
            return pl.repeat(True, len(listener_ids), eager=True)
        return in_sample(listener_ids, min(1.0, most / max(1, facts.listeners)), self.seed)


def count_chunk(chunk: Chunk, recordings: pl.DataFrame) -> Chunk:
    """Popularity partials of a chunk of the library."""
    listeners = pl.DataFrame({"n": [chunk["library"]["listener_id"].n_unique()]})
    popularity = popularity_partial(chunk["library"], recordings)
    return Chunk(chunk.shard, {"popularity": popularity, "listeners": listeners})


def add_counts(counted: Sequence[Chunk]) -> Chunk:
    """Several of `count_chunk`'s as one: whole numbers, so in whatever order."""
    listeners = pl.DataFrame({"n": [sum(int(c["listeners"]["n"].sum()) for c in counted)]})
    popularity = add_popularity([c["popularity"] for c in counted])
    return Chunk(0, {"popularity": popularity, "listeners": listeners})


def measure_chunk(night: StoredNight, chunk: Chunk, columns: Sequence[str], facts: MeasureFacts) -> Chunk:
    """Metrics by listener of everything the night holds (`rows`, `exposures`), and what they were measured with.

    Args:
        columns: of candidates, whether or not this chunk has them.
    """
    candidates, shelves, library = chunk["candidates"], chunk["shelves"], chunk["library"]
    # a chunk whose listeners have no candidates still owes every source a score of 0
    absent = [c for c in columns if c not in candidates.columns]
    candidates = candidates.with_columns(pl.lit(None, dtype=pl.Float32).alias(c) for c in absent)
    whole = candidates["listener_id"].filter(candidates["stage"] == "candidate")
    elsewhere = shelves.filter(~pl.col("listener_id").is_in(candidates["listener_id"].implode()))["listener_id"]
    people = night.measured(pl.concat([whole, elsewhere]).unique().sort(), facts)
    roster = pl.DataFrame({"listener_id": people})

    def ours(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(roster, on="listener_id", how="semi")

    heard = with_recording(ours(library).filter((pl.col("heard") > 0) | pl.col("saved")), facts.recordings)
    heard = heard.select("listener_id", item="recording_id").unique()
    segments = ours(library).group_by("listener_id").agg(segment=history_segment(pl.col("plays").sum()))
    targets = wanted(ours(chunk["listens"]), heard, facts, night.day, night.ahead)
    placed = [shelves[c].explode().drop_nulls().struct.field("track_id") for c in ("items", "spares")]
    codes = Codes.of(
        targets["listener_id"],
        facts,
        items=[targets["item"], heard["item"]],
        tracks=[candidates["track_id"], *placed],
    )
    standing = ours(shelves) if shelves.height else None
    lists = night_lists(candidates, standing, unranked=night.unranked, codes=codes)
    rows, shown = measure(lists, targets, heard, segments, facts, codes)
    made = {"rows": rows, "exposures": shown, "targets": targets, "segments": segments}
    if "draws" in chunk.tables:
        # everyone on a shelf answers, also those of whom only what was placed is stored
        answering = night.measured(shelves.select("listener_id").unique().sort("listener_id")["listener_id"], facts)
        theirs = pl.DataFrame({"listener_id": answering})
        read = {name: frame for name, frame in chunk.tables.items() if name != "library"}
        read["candidates"] = candidates.select(c for c in _PREDICTED if c in candidates.columns)
        asked = {name: frame.join(theirs, on="listener_id", how="semi") for name, frame in read.items()}
        made |= responses(night, asked, facts)
    return Chunk(chunk.shard, made)


def responses(night: StoredNight, tables: dict[str, pl.DataFrame], facts: MeasureFacts) -> dict[str, pl.DataFrame]:
    """Drawn slots of shelves that were looked at, and what listeners of an experiment did: `slots` and `arms`."""
    shelves, feedback = tables["shelves"], tables.get("feedback")
    answered = answers(
        shelves,
        tables["listens"],
        facts.recordings,
        night.day,
        night.ahead,
        impressions=tables["impressions"],
        feedback=feedback,
    )
    predicted = tables["candidates"] if "p_listened" in tables["candidates"].columns else None
    slots = policies.weighed_slots(tables["draws"], drawn_items(answered), night.settings.policies, predicted)
    arms = by_listener(
        shelves, answered, tables["listens"], facts.recordings, night.day, night.ahead, saves=feedback is not None
    )
    return {"slots": slots, "arms": arms}


def measure_baselines(
    night: StoredNight, listens: Sequence[Manifest], measured: Sequence[Chunk], facts: MeasureFacts
) -> Chunk | None:
    """The simple recommenders, fitted on plays up to the night, for the measured listeners; None with nobody to measure.

    They learn from `evaluation.baseline_listeners`, so that ours does not win by having seen more listeners.

    Args:
        listens: of every date up to the night.
        measured: of `measure_chunk`, all of them.
    """
    parts = sorted(measured, key=lambda chunk: (chunk.shard, chunk["targets"].head(1)["listener_id"].to_list()))
    if not parts:
        return None
    targets = pl.concat([c["targets"] for c in parts])
    segments = pl.concat([c["segments"] for c in parts])
    kept = []
    for entry in (f for m in listens for f in m.files):
        frame = Warehouse(night.warehouse).read_files([entry], PLAYS)[0]
        if frame.height:
            kept.append(frame.filter(night.teaches_baselines(frame["listener_id"], facts)))
    if not kept or targets.is_empty():
        return None
    plays = with_recording(with_sessions(pl.concat(kept)).with_columns(is_heard()), facts.recordings)
    plays = plays.select("listener_id", "started_at", "session_id", "heard", item="recording_id")
    choice = choose(plays, night.day, night.ahead, night.settings.baselines, night.settings.tune)
    training = Training.build(plays, night.day)
    heard = plays.filter("heard").select("listener_id", "item").unique()
    codes = Codes.of(targets["listener_id"], facts, items=[targets["item"], plays["item"].unique()])
    people = training.listener_ids.to_frame().join(codes.listeners, on="listener_id", how="left", maintain_order="left")
    items = pl.DataFrame({"item": training.items}).join(codes.items, on="item", maintain_order="left")["code"]
    rows = np.flatnonzero(people["row"].is_not_null().to_numpy()).astype(np.int32)
    lists = {}
    for baseline in all_baselines(training, choice.settings):
        for target in get_args(Target):
            found = recommended(baseline, training, rows, target, TOP)
            who, what = people["row"].gather(found["row"]), items.gather(found["column"])
            lists[baseline.name, target] = pl.DataFrame({"listener_id": who, "item": what, "rank": found["rank"]})
    measured_rows, shown = measure(lists, targets, heard, segments, facts, codes)
    best = pl.DataFrame(
        {"target": list(choice.best), "model": list(choice.best.values())},
        schema={"target": pl.String, "model": pl.String},
    )
    made = measured_rows.filter(pl.col("model") != "targets")  # the night's own rows say what the targets are like
    return Chunk(0, {"rows": made, "exposures": shown, "best": best})


def summary_of(night: StoredNight, parts: Sequence[Chunk], facts: MeasureFacts) -> Chunk | None:
    """Rows by listener, of the night and of the baselines, to rows of table `evaluation`; None where nobody was measured."""
    if not parts:
        return None
    rows = pl.concat([c["rows"] for c in parts], how="diagonal_relaxed")
    shown = pl.concat([c["exposures"] for c in parts], how="diagonal_relaxed")
    best = {r["target"]: r["model"] for c in parts if "best" in c.tables for r in c["best"].iter_rows(named=True)}
    settings, seed = night.settings, night.seed
    made = [summarise(rows, shown, best, facts, draws=settings.draws, seed=seed)]
    answered = [c for c in parts if "slots" in c.tables]
    if answered:
        slots, arms = (pl.concat([c[t] for c in answered], how="diagonal_relaxed") for t in ("slots", "arms"))
        estimates = policies.policy_rows(slots, settings.policies)
        estimates += arm_rows(arms, draws=settings.draws, seed=seed)
        made.append(pl.DataFrame(estimates, schema=made[0].schema))
    return Chunk(0, {"evaluation": pl.concat(made)})
