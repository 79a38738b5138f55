"""Fitting a night's models: what is read, what is made, and the one fit on one worker. It runs without Beam.

plan = plan_training(past, settings, step_version)     None where the models are current
for written in plan.fit.run(plan.runs, names): ...     files of `models`, then of the tables of tracks
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from models.registry import write_entry
from pipelines.recommender import checkpoints, preference
from pipelines.recommender.artefacts import store_folder
from pipelines.recommender.evidence import Evidence, SignalEvidence
from pipelines.recommender.example_files import ExampleFiles
from pipelines.recommender.fitting import Fitted, fit
from pipelines.recommender.histories import HISTORIES, MARKETS, PLAYS, SESSIONS, SHOWN, Preferences, Sampling, gather
from pipelines.recommender.settings import ModelSettings
from pipelines.recommender.track_sums import PAIRS, RECENT, STATS, TrackSums, put_together
from transforms.common import plugins
from transforms.common.clock import count
from transforms.listening.co_listens import CoListenSettings
from transforms.listening.suspects import SuspectSettings
from transforms.listening.track_stats import TrackStatsSettings
from transforms.next_in_session.sample import newest
from transforms.outcomes.rewards import RewardSettings
from transforms.signals.declared import Signal, recorded
from transforms.signals.plan import declared
from transforms.signals.profiles import added_up
from transforms.signals.settings import SignalSettings
from transforms.tables.as_of import AsOf, all_tracks, known_by
from transforms.tables.chunks import Spec, split
from transforms.tables.manifest import Heading, Manifest
from transforms.tables.records import used
from transforms.tables.roster import roster_size
from transforms.tables.runs import Run, Written, plan
from transforms.tables.schema import TABLES as DECLARED
from transforms.tables.specs import Manifests, specs
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

TABLES = (
    "session_sample",
    "semantic_ids",
    "track_embeddings",
    "models",
)  # in commit order: the night enters at the models


class TrainingSettings(Protocol):
    """The settings that a fit reads."""

    @property
    def seed(self) -> int: ...
    @property
    def shards(self) -> int: ...
    @property
    def models(self) -> ModelSettings: ...
    @property
    def co_listens(self) -> CoListenSettings: ...
    @property
    def track_stats(self) -> TrackStatsSettings: ...
    @property
    def suspects(self) -> SuspectSettings: ...
    @property
    def signals(self) -> SignalSettings: ...
    @property
    def rewards(self) -> RewardSettings: ...


@dataclass(frozen=True)
class Fit:
    """What the worker that fits needs to know. Picklable.

    Attributes:
        catalog: table `tracks`, of which the tracks known by the day are fitted.
        examples: the files that it learns from.
        signals: as declared; sums: sums of tracks' signals of the window, held: values of tracks.
    """

    warehouse: str
    day: date
    seed: int
    models: ModelSettings
    catalog: Heading | None
    signals: dict[str, Signal]
    sums: Sequence[Manifest]
    held: Sequence[Manifest]
    examples: ExampleFiles

    def evidence(self, names: Sequence[str]) -> Evidence:
        """What the fit reads, from the files of listeners' histories and of the sums of the window."""
        warehouse = Warehouse(self.warehouse)
        tracks = all_tracks(warehouse, self.catalog)
        library, plays, markets = (gather(self.examples.read(names, tag), tag) for tag in (HISTORIES, PLAYS, MARKETS))
        pairs, stats, recent = (put_together(self.examples.read(names, tag), tag) for tag in (PAIRS, STATS, RECENT))
        samples = self.examples.read(names, SESSIONS)
        seen = pl.concat([library["track_id"], plays["track_id"]]).unique()
        return Evidence(
            library,
            plays,
            known_by(tracks, self.day, seen),
            pairs,
            stats,
            recent,
            pl.concat(samples) if samples else None,
            markets,
            signals=SignalEvidence(
                added_up((warehouse.read_manifest(m) for m in self.sums), ["track_id", "signal", "value"]),
                pl.concat([DECLARED["track_values"].empty(), *(warehouse.read_manifest(m) for m in self.held)]),
                self.signals,
            ),
            shown=gather(self.examples.read(names, SHOWN), SHOWN) if self.models.use_preference else None,
        )

    def run(self, runs: Sequence[Run], names: Sequence[str]) -> Iterator[Written]:
        """Fit once; files of the models, then vectors and semantic ids of tracks where there is a run for them."""
        by_table = {run.table: run for run in runs}
        model = by_table["models"]
        evidence = self.evidence(names)
        with checkpoints.kept(self.warehouse, model.version) as kept:
            fitted = fit(replace(evidence, checkpoints=kept), self.models, self.seed)
        count(fitted.took)
        metrics = fitted.metrics()
        with tempfile.TemporaryDirectory() as scratch:
            fitted.save(Path(scratch))
            write_entry(
                scratch,
                name="retrieval",
                version=model.version,
                fit_date=self.day,
                inputs=model.inputs,
                settings=self.models.model_dump(mode="json"),
                seed=self.seed,
                metrics=metrics,
            )
            for entry in store_folder(model, Path(scratch)):
                yield Written(model.table, model.day.isoformat(), entry)
        if told := preference.counts(metrics):
            yield Written(model.table, model.day.isoformat(), counts=told)
        if "track_embeddings" in by_table:
            run = by_table["track_embeddings"]
            for shard, frame in split(embeddings(fitted, model.version), run.shards, by="track_id"):
                yield Written(run.table, run.day.isoformat(), write_frame(run, shard, frame))
        if "semantic_ids" in by_table:
            run = by_table["semantic_ids"]
            for shard, frame in split(semantic_ids(fitted, model.version), run.shards, by="track_id"):
                yield Written(run.table, run.day.isoformat(), write_frame(run, shard, frame))
        yield used()


def semantic_ids(fitted: Fitted, version: str) -> pl.DataFrame:
    """Table `semantic_ids`, empty where the log was too short to fit a decoder."""
    if "generative" not in fitted.parts:
        return DECLARED["semantic_ids"].empty()
    ids = fitted["generative"].model.ids
    known = np.flatnonzero(ids.known)
    return pl.DataFrame(
        {
            "track_id": fitted.vocabulary.ids.gather(known),
            "model_version": pl.repeat(version, len(known), eager=True),
            "codes": pl.Series(ids.codes[known]).arr.to_list(),
            "error": pl.Series(ids.errors[known]),
        }
    )


def embeddings(fitted: Fitted, version: str) -> pl.DataFrame:
    """Table `track_embeddings` of the models that have vectors."""
    ids = fitted.vocabulary.ids
    frames = []
    for name, vectors in fitted.vectors().items():
        known = np.flatnonzero(np.any(vectors != 0, axis=1))
        known = known[known > 0]
        frames.append(
            pl.DataFrame(
                {
                    "model": pl.repeat(name, len(known), eager=True),
                    "model_version": pl.repeat(version, len(known), eager=True),
                    "track_id": ids.gather(known),
                    "vector": pl.Series(vectors[known]).arr.to_list(),
                }
            )
        )
    return pl.concat(frames)


@dataclass(frozen=True)
class Training:
    """A fit that has something to do.

    Attributes:
        runs: of the tables that are not current, the models last.
        models: the last of them.
        specs: shards of the histories.
        tracks: shards of co-listens and track statistics, by track.
        added_up: what is done with one of these.
    """

    runs: Sequence[Run]
    models: Run
    specs: Sequence[Spec]
    tracks: Sequence[Spec]
    added_up: TrackSums
    sampling: Sampling
    fit: Fit


def plan_training(past: AsOf, settings: TrainingSettings, step_version: str) -> Training | None:
    """Plan the fit of a view's date; None where its models are current.

    Raises:
        UserError: the date has no library, or a table is pinned.
    """
    day, window = past.day, settings.co_listens.window_days
    library = past.library()
    read = {table: past.window(table, window) for table in ("sessions", "co_listens", "track_stats")}
    catalog, listeners = past.catalog(), past.listeners()
    out, said = past.every("exclusions"), past.every("feedback")
    machines = past.window("suspects", settings.suspects.days)
    sums, held = past.window("track_signals", settings.signals.window_days), past.every("track_values")
    signals = settings.signals.signals(declared([*sums, *held])) if sums or held else {}
    files = (m for found in (*read.values(), sums, held) for m in found)
    became = preference.closed(past, settings.models.preference) if settings.models.use_preference else []
    inputs = inputs_of(past.need("library"), catalog, listeners, *out, *said, *machines, *files, *became)
    described = {
        "models": settings.models.model_dump(mode="json"),
        "co_listens": settings.co_listens.model_dump(mode="json"),
        "track_stats": settings.track_stats.model_dump(mode="json"),
        "signals": {"window_days": settings.signals.window_days, "declared": recorded(signals)},
        **(
            {"rewards": settings.rewards.model_dump(mode="json", include={"rewards"})}
            if settings.models.use_preference
            else {}
        ),
        **plugins.touching("parts"),
    }
    runs = {
        table: plan(
            past.warehouse,
            table,
            day,
            shards=settings.shards,
            inputs=inputs,
            settings=described,
            step_version=step_version,
            seed=settings.seed,
        )
        for table in TABLES
        if table != "semantic_ids" or settings.models.use_generative
    }
    models = runs["models"]
    if models is None:
        return None
    most, asked = settings.models.sample_listeners, settings.models.preference.listeners
    enough = min(most, asked) if became else most
    size = max(roster_size(past.warehouse, library, None, day, enough=enough), 1)
    share = min(1.0, most / size)
    people = [listeners] if listeners else []
    tables = {
        "library": library,
        "sessions": read["sessions"],
        "exclusions": out,
        "feedback": said,
        "suspects": machines,
        "listeners": people,
        "outcomes": became,
    }
    first, sessions = sampled_sessions([(m.date, m.rows) for m in read["sessions"]], day, settings.models)
    return Training(
        [run for run in runs.values() if run is not None],
        models,
        specs(past.warehouse, settings.shards, tables),
        specs(past.warehouse, settings.shards, {table: read[table] for table in ("co_listens", "track_stats")}),
        TrackSums(day, settings.co_listens, settings.track_stats),
        Sampling(
            *(day, settings.seed, share, first, sessions, settings.track_stats),
            Preferences(min(share, asked / size), settings.rewards, settings.models.preference.horizon)
            if became
            else None,
        ),
        Fit(
            past.url,
            day,
            settings.seed,
            settings.models,
            catalog,
            signals,
            Manifests.of(past.warehouse, sums),
            Manifests.of(past.warehouse, held),
            ExampleFiles(past.url, checkpoints.folder_of(models.version)),
        ),
    )


def sampled_sessions(counts: Sequence[tuple[date, int]], day: date, models: ModelSettings) -> tuple[date, float]:
    """First date and share of the sessions that are sampled, from how many each date has; a share of 0 where none is learned."""
    if not models.use_next_in_session or not counts:
        return day, 0.0
    return newest(counts, models.next_in_session.sessions)
