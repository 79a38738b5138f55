"""The job `evaluate`: a stored night against what was listened to in the days after it.

candidates, shelves, library of D + listens of D+1..D+n  ->  metrics by listener, shard by shard
listens up to D                                          ->  the baselines, on the same listeners
both                                                     ->  evaluation/date=D
draws, impressions, feedback of the night and after it   ->  what open slots earned, an experiment's readout
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, get_args

import apache_beam as beam
import polars as pl

from pipelines.features import library_parts
from pipelines.outcomes import recordings
from pipelines.recommender.registry import unranked_sources
from pipelines.runtime import logs
from pipelines.runtime.catalog import newest_or_first
from pipelines.runtime.jobs import launch
from pipelines.runtime.responses import responses_to, without_estimates
from transforms.common.errors import UserError
from transforms.evaluation.baseline_tuning import choose, with_sessions
from transforms.evaluation.baselines import Target, Training, all_baselines, recommend
from transforms.evaluation.measure import (
    TOP,
    EvaluationSettings,
    Facts,
    add_popularity,
    credits_of,
    history_segment,
    in_sample,
    measure,
    night_lists,
    popularity_partial,
    summarise,
    wanted,
)
from transforms.listening.plays import is_heard
from transforms.metrics import policies
from transforms.metrics.experiments import arm_rows
from transforms.outcomes.join import with_recording
from transforms.outcomes.responses import answers, by_listener, shown_items
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk, Spec, specs
from transforms.tables.manifest import Manifest
from transforms.tables.runs import plan
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse, days

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "5"
LISTENS = ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed")


def evaluate(warehouse: str, day: date, ahead: int = 7, *, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """Measure the night of `day` against the listens of the `ahead` days after it, or of as many as the log holds.

    What was measured over is recorded, in the manifest's settings, and said where it is fewer than asked.

    Raises:
        UserError: the night is not stored, or nothing was logged after it.
    """
    place = Warehouse(warehouse)
    asked, ahead = ahead, min(ahead, days_after(place, day) or ahead)
    last = day + timedelta(ahead)
    candidates, shelves = place.need("candidates", day), place.current("shelves", day)
    after = [m for d in days(day + timedelta(1), last) if (m := place.current("listens", d))]
    if not after:
        raise UserError(f"no listens from {day + timedelta(1)} to {last}; ingest them, or evaluate an earlier night")
    before = [place.need("listens", d) for d in place.dates("listens") if d <= day]
    library = library_parts(place, day)
    catalog = newest_or_first(place, "tracks", last)
    extra = responses_to(place, day, last) if shelves else {}
    if ahead < asked:
        held = f"the log holds {ahead} day{'' if ahead == 1 else 's'} after {day}"
        logs.say("INFO", f"{held}, not {asked}: measured over these", date=day.isoformat())
    run = plan(
        place,
        "evaluation",
        day,
        shards=1,
        inputs=inputs_of(
            candidates, shelves, catalog, *library, *after, *before, *(m for found in extra.values() for m in found)
        ),
        settings={"days": ahead, **settings.evaluation.model_dump(mode="json")},
        step_version=STEP,
        seed=settings.seed,
    )
    if run is None:
        return
    names = [f.name for f in place.open_parquet(candidates.files[0].path).schema_arrow] if candidates.files else []
    columns = {
        "candidates": [n for n in names if n.startswith(("rank_", "score_")) or n in _CANDIDATE],
        "shelves": _SHELF,
        "library": ("listener_id", "track_id", "plays", "heard", "saved"),
        "listens": LISTENS,
    }
    tables = {"candidates": [candidates], "shelves": [shelves] if shelves else [], "library": library, "listens": after}
    tables |= extra
    night = _Night(warehouse, day, ahead, catalog, settings)
    counting = specs(place, settings.shards, {"library": library})
    measuring = specs(place, settings.shards, tables)

    def define(root: beam.Pipeline) -> None:
        known = (
            root
            | "Library" >> ReadChunks(counting, {"library": ("listener_id", "track_id")})
            | "Count" >> beam.ParDo(_Count(night)).with_output_types(Chunk)
        )
        facts = beam.pvalue.AsIter(known)
        ours = (
            root
            | "Night" >> ReadChunks(measuring, columns, dated=("draws",))
            | "Measure" >> beam.ParDo(_Measure(night, columns["candidates"]), facts).with_output_types(Chunk)
        )
        simple = (
            root
            | "Training" >> beam.Create([Spec(warehouse, 0, 1)])
            | "Baselines"
            >> beam.ParDo(_Baselines(night, before), facts, beam.pvalue.AsIter(ours)).with_output_types(Chunk)
        )
        written = (
            root
            | "Night's date" >> beam.Create([day.isoformat()])
            | "Summarise"
            >> beam.ParDo(
                _Summarise(night), facts, beam.pvalue.AsIter(ours), beam.pvalue.AsIter(simple)
            ).with_output_types(Chunk)
            | "Evaluation" >> WriteChunks([run])
        )
        _ = root | "Done" >> Commit([run], written)

    done = launch("evaluate", place, define, beam_args, [run])
    if shelves and done.finished and (told := without_estimates(place, day, ahead)):
        logs.say("INFO", told, date=day.isoformat())


def days_after(place: Warehouse, day: date) -> int:
    """Days of the log after a night; 0 where there are none."""
    newest = place.newest("listens", date.max)
    return max(0, (newest.date - day).days) if newest else 0


_CANDIDATE = ("listener_id", "track_id", "heard_before", "stage", "inclusion", "ranker_score", "p_listened", "f_blend")
_SHELF = (
    *("listener_id", "shelf_id", "version", "home_position", "refresh_date"),
    *("experiment", "arm", "items", "spares"),
)


class _Night:
    """What every step knows: the night, its catalog, the settings; loads what is needed on the worker."""

    def __init__(self, warehouse: str, day: date, ahead: int, catalog: Manifest | None, settings: Settings) -> None:
        self.warehouse, self.day, self.ahead = warehouse, day, ahead
        self.settings: EvaluationSettings = settings.evaluation
        self.seed: int = settings.seed
        self._catalog = catalog

    def recordings(self) -> pl.DataFrame:
        return recordings(self.warehouse, self._catalog)

    def facts(self, partials: Sequence[Chunk]) -> Facts:
        tracks = (
            Warehouse(self.warehouse).read_manifest(self._catalog, ["recording_id", "artist_ids"])
            if self._catalog
            else pl.DataFrame(schema={"recording_id": pl.String, "artist_ids": pl.List(pl.String)})
        )
        counted = sorted(partials, key=lambda chunk: chunk.shard)
        return Facts(
            recordings=self.recordings(),
            popularity=add_popularity([c["popularity"] for c in counted]),
            credits=credits_of(tracks),
            listeners=sum(int(c["listeners"]["n"].sum()) for c in counted),
        )

    def measured(self, listener_ids: pl.Series, facts: Facts) -> pl.Series:
        """Mask of the listeners in the sample."""
        share = min(1.0, self.settings.max_listeners / max(1, facts.listeners))
        return in_sample(listener_ids, share, self.seed)


class _Count(beam.DoFn):
    """Popularity partials of a chunk of the library."""

    def __init__(self, night: _Night) -> None:
        self._night = night

    def setup(self) -> None:
        self._recordings = self._night.recordings()

    def process(self, chunk: Chunk) -> Iterator[Chunk]:
        listeners = pl.DataFrame({"n": [chunk["library"]["listener_id"].n_unique()]})
        popularity = popularity_partial(chunk["library"], self._recordings)
        yield Chunk(chunk.shard, {"popularity": popularity, "listeners": listeners})


class _Measure(beam.DoFn):
    """Metrics by listener of everything the night holds, and the targets they were measured with."""

    def __init__(self, night: _Night, columns: Sequence[str]) -> None:
        self._night = night
        self._columns = tuple(columns)
        self._facts: Facts | None = None

    def process(self, chunk: Chunk, counted: Sequence[Chunk]) -> Iterator[Chunk]:
        night = self._night
        self._facts = facts = self._facts or night.facts(list(counted))
        candidates, shelves, library = chunk["candidates"], chunk["shelves"], chunk["library"]
        # a chunk whose listeners have no candidates still owes every source a score of 0
        absent = [c for c in self._columns if c not in candidates.columns]
        candidates = candidates.with_columns(pl.lit(None, dtype=pl.Float32).alias(c) for c in absent)
        whole = candidates.filter(pl.col("stage") == "candidate")["listener_id"]
        elsewhere = shelves.filter(~pl.col("listener_id").is_in(candidates["listener_id"].implode()))["listener_id"]
        people = pl.concat([whole, elsewhere]).unique().sort()
        people = people.filter(night.measured(people, facts)) if len(people) else people
        roster = pl.DataFrame({"listener_id": people})

        def ours(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.join(roster, on="listener_id", how="semi")

        heard = with_recording(ours(library).filter((pl.col("heard") > 0) | pl.col("saved")), facts.recordings)
        heard = heard.select("listener_id", item="recording_id").unique()
        segments = ours(library).group_by("listener_id").agg(segment=history_segment(pl.col("plays").sum()))
        targets = wanted(ours(chunk["listens"]), heard, facts, night.day, night.ahead)
        made_shelves = ours(shelves) if shelves.height else None
        lists = night_lists(ours(candidates), made_shelves, unranked=unranked_sources())
        rows, shown = measure(lists, targets, heard, segments, facts)
        made = {"rows": rows, "exposures": shown, "targets": targets, "segments": segments}
        if "draws" in chunk.tables:
            # everyone on a shelf answers, also those of whom only what was placed is stored
            answering = shelves.select("listener_id").unique().sort("listener_id")
            answering = (
                answering.filter(night.measured(answering["listener_id"], facts)) if len(answering) else answering
            )
            asked = {t: f.join(answering, on="listener_id", how="semi") for t, f in chunk.tables.items()}
            made |= self._responses(asked, facts)
        yield Chunk(chunk.shard, made)

    def _responses(self, tables: dict[str, pl.DataFrame], facts: Facts) -> dict[str, pl.DataFrame]:
        """Drawn slots that were shown, and what listeners of an experiment did: `slots` and `arms`."""
        night, shelves, feedback = self._night, tables["shelves"], tables.get("feedback")
        answered = answers(
            shelves,
            tables["listens"],
            facts.recordings,
            night.day,
            night.ahead,
            impressions=tables["impressions"],
            feedback=feedback,
        )
        chosen = shelves.select("listener_id", "shelf_id", date="refresh_date")
        draws = tables["draws"].join(chosen, on=["listener_id", "shelf_id", "date"], how="semi")
        predicted = tables["candidates"] if "p_listened" in tables["candidates"].columns else None
        slots = policies.weighed_slots(draws, shown_items(answered), night.settings.policies, predicted)
        arms = by_listener(
            shelves, answered, tables["listens"], facts.recordings, night.day, night.ahead, saves=feedback is not None
        )
        return {"slots": slots, "arms": arms}


class _Baselines(beam.DoFn):
    """The simple recommenders, fitted on the measured listeners' plays up to the night."""

    def __init__(self, night: _Night, listens: Sequence[Manifest]) -> None:
        self._night, self._listens = night, tuple(listens)

    def process(self, spec: Spec, counted: Sequence[Chunk], scored: Sequence[Chunk]) -> Iterator[Chunk]:
        night, place = self._night, Warehouse(spec.warehouse)
        facts = night.facts(list(counted))
        parts = sorted(scored, key=lambda chunk: (chunk.shard, chunk["targets"].head(1)["listener_id"].to_list()))
        if not parts:
            return
        targets = pl.concat([c["targets"] for c in parts])
        segments = pl.concat([c["segments"] for c in parts])
        kept = []
        for entry in (f for m in self._listens for f in m.files):
            frame = place.read_files([entry], LISTENS)[0]
            if frame.height:
                kept.append(frame.filter(night.measured(frame["listener_id"], facts)))
        if not kept or targets.is_empty():
            return
        plays = with_recording(with_sessions(pl.concat(kept)).with_columns(is_heard()), facts.recordings)
        plays = plays.select("listener_id", "started_at", "session_id", "heard", item="recording_id")
        choice = choose(plays, night.day, night.ahead, night.settings.baselines, night.settings.tune)
        training = Training.build(plays, night.day)
        everyone = targets["listener_id"].unique()
        lists = {
            (baseline.name, target): recommend(baseline, training, everyone, target, TOP)
            for baseline in all_baselines(training, choice.settings)
            for target in get_args(Target)
        }
        heard = plays.filter("heard").select("listener_id", "item").unique()
        rows, shown = measure(lists, targets, heard, segments, facts)
        best = pl.DataFrame(
            {"target": list(choice.best), "model": list(choice.best.values())},
            schema={"target": pl.String, "model": pl.String},
        )
        # what the targets are like has been told by the night's own rows
        yield Chunk(0, {"rows": rows.filter(pl.col("model") != "targets"), "exposures": shown, "best": best})


class _Summarise(beam.DoFn):
    """Rows by listener to rows of table `evaluation`."""

    def __init__(self, night: _Night) -> None:
        self._night = night

    def process(
        self, day: str, counted: Sequence[Chunk], scored: Sequence[Chunk], simple: Sequence[Chunk]
    ) -> Iterator[Chunk]:
        parts = [*scored, *simple]
        if not parts:
            return
        rows = pl.concat([c["rows"] for c in parts], how="diagonal_relaxed")
        shown = pl.concat([c["exposures"] for c in parts], how="diagonal_relaxed")
        best = {r["target"]: r["model"] for c in parts if "best" in c.tables for r in c["best"].iter_rows(named=True)}
        settings, seed = self._night.settings, self._night.seed
        facts = self._night.facts(list(counted))
        made = [summarise(rows, shown, best, facts, draws=settings.draws, seed=seed)]
        answered = [c for c in parts if "slots" in c.tables]
        if answered:
            slots, arms = (pl.concat([c[t] for c in answered], how="diagonal_relaxed") for t in ("slots", "arms"))
            told = policies.policy_rows(slots, settings.policies, draws=settings.draws, seed=seed)
            told += arm_rows(arms, draws=settings.draws, seed=seed)
            made.append(pl.DataFrame(told, schema=made[0].schema))
        yield Chunk(0, {"evaluation": pl.concat(made)})
