"""The job `score`: retrieval, ranking and assembly of every listener, in one pass over the shards.

listeners, library, sessions, feedback, earlier shelves + models, ranker -> candidates, draws, listener_embeddings, shelves
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import polars as pl

from pipelines.exclusions import exclusions_as_of
from pipelines.features import library_parts
from pipelines.recommender.artefacts import fetch
from pipelines.recommender.fitting import READ_WHEN_SCORING, Fitted, ModelSettings
from pipelines.recommender.scoring import UNTRAINED, Plan, Scorer
from pipelines.runtime.catalog import all_tracks, newest_or_first
from pipelines.runtime.jobs import launch
from pipelines.runtime.roster import roster_size
from transforms.common.clock import count
from transforms.gates import measure
from transforms.gates.beam import Gate, GatedCommit
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk, specs
from transforms.tables.manifest import Manifest
from transforms.tables.runs import Run, plan
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse, days

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "12"
MEASURED = "measured"
TABLES = ("candidates", "draws", "listener_embeddings", "shelves")  # in commit order: readers enter at the last


def score(
    warehouse: str,
    day: date,
    *,
    settings: Settings,
    fit_date: date | None = None,
    candidates_only: bool = False,
    shelves: Sequence[str] = (),
    only: Sequence[str] = (),
    greedy: bool = False,
    accept_gates: bool = False,
    beam_args: Sequence[str] = (),
) -> list[Run]:
    """Score the night of `day` with what was learned as of `fit_date`.

    Args:
        shelves, only: a preview of these shelves, of these listeners as the warehouse knows them; nothing is committed.
        accept_gates: commit the night even if a check fails; its manifest then says so.

    Returns:
        the runs of a preview, which nobody commits; none where there was nothing to do.

    Raises:
        GateFailed: the night failed a check; its files stay in their runs' folders, nothing is committed.
        UserError: the library or the models are missing, or a model is later than the night.
    """
    place, fit = Warehouse(warehouse), fit_date or day
    models = place.need("models", fit)
    ranker = None if candidates_only else place.current("rankers", fit)
    sample = None if candidates_only else place.current("session_sample", fit)
    catalog, listeners = (newest_or_first(place, table, day) for table in ("tracks", "listeners"))
    tables = {
        "listeners": [listeners] if listeners else [],
        "library": library_parts(place, day),
        "sessions": _of_days(place, "sessions", day, settings.candidates.session_days),
        "feedback": [m for d in place.dates("feedback") if d <= day and (m := place.current("feedback", d))],
        "exclusions": exclusions_as_of(place, day),
        "shelves": _earlier(place, day, settings.candidates.shelf_days) if not (candidates_only or greedy) else [],
    }
    own = [
        place.need("library", day),
        *(m for t in ("sessions", "feedback", "exclusions", "shelves") for m in tables[t]),
    ]
    inputs = inputs_of(models, ranker, sample, catalog, listeners, *own)
    described = {
        **settings.model_dump(mode="json", include={"candidates", "shelves", "bootstrap"}),
        "models": settings.models.model_dump(mode="json", include=set(READ_WHEN_SCORING)),
        "greedy": greedy,
        "fit_date": fit.isoformat(),
        "candidates_only": candidates_only,
    }
    preview = bool(shelves or only)
    if preview:
        described |= {"preview_shelves": sorted(shelves), "preview_listeners": len(only)}
    wanted = [
        run
        for table in (TABLES[:1] if candidates_only else TABLES)
        if (run := _plan(place, table, day, settings, inputs, described, preview))
    ]
    if not wanted or (not candidates_only and wanted[-1].table != "shelves"):
        return []
    enough = min(settings.candidates.keep_all_below - 1, settings.bootstrap.listeners)
    size = roster_size(place, tables["library"], listeners, day, enough)
    what = Plan(
        day=day,
        seed=settings.seed,
        k=settings.candidates.per_source,
        keep=1.0 if size < settings.candidates.keep_all_below else settings.candidates.keep_share,
        sample=min(1.0, settings.bootstrap.listeners / max(size, 1)) if candidates_only else 1.0,
        shelves=not candidates_only,
        greedy=greedy,
        model_version=models.version,
        ranker_version=ranker.version if ranker else None,
        versions={run.table: run.version for run in wanted},
        settings=settings.shelves,
        sources=settings.candidates.sources,
        continuation=settings.candidates.continuation,
        only=tuple(only),
        only_shelves=tuple(shelves),
    )
    work = specs(place, settings.shards, tables)

    before = tables["shelves"][-1].date if tables["shelves"] else None
    gate = Gate(settings.gates, fit, len(settings.shelves.shelves), accept_gates)

    def define(root: beam.Pipeline) -> None:
        work_done = _Score(warehouse, what, settings.models, models, ranker, catalog, before, sample)
        scored = (
            root
            | "Listeners" >> ReadChunks(work)
            | "Score" >> beam.ParDo(work_done).with_output_types(Chunk).with_outputs(MEASURED, main="chunks")
        )
        written = scored.chunks | "Tables" >> WriteChunks(wanted)
        if candidates_only:
            _ = root | "Done" >> Commit(wanted, written)
        elif not preview:
            _ = root | "Done" >> GatedCommit(wanted, written, scored[MEASURED], gate)

    launch("score", place, define, beam_args, wanted)
    return wanted if preview else []


def _plan(
    place: Warehouse,
    table: str,
    day: date,
    settings: Settings,
    inputs: dict[str, str],
    described: dict[str, object],
    preview: bool,
) -> Run | None:
    if preview and table not in ("shelves", "candidates"):
        return None
    return plan(
        place,
        table,
        day,
        shards=settings.shards,
        inputs=inputs,
        settings=json.loads(json.dumps(described)),
        step_version=STEP,
        seed=settings.seed,
    )


def _of_days(place: Warehouse, table: str, day: date, count: int) -> list[Manifest]:
    return [m for d in days(day - timedelta(count - 1), day) if (m := place.current(table, d))]


def _earlier(place: Warehouse, day: date, count: int) -> list[Manifest]:
    return _of_days(place, "shelves", day - timedelta(1), count)


class _Score(beam.DoFn):
    def __init__(
        self,
        warehouse: str,
        what: Plan,
        model_settings: ModelSettings,
        models: Manifest,
        ranker: Manifest | None,
        catalog: Manifest | None,
        before: date | None,
        sample: Manifest | None,
    ) -> None:
        self._warehouse, self._what, self._settings = warehouse, what, model_settings
        self._models, self._ranker, self._catalog, self._before = models, ranker, catalog, before
        self._sample = sample

    def setup(self) -> None:
        from models.rankers.ranker import load

        fitted = Fitted.load(fetch(self._warehouse, self._models, self._what.day), self._settings)
        ranker = load(fetch(self._warehouse, self._ranker, self._what.day)) if self._ranker else None
        place = Warehouse(self._warehouse)
        tracks = all_tracks(place, self._catalog)
        sample = place.read_manifest(self._sample) if self._sample and fitted.next_in_session else None
        self._scorer = Scorer(self._what, fitted, ranker, tracks, sample)
        self._known = pl.Series(self._scorer.catalog.track_ids.tolist(), dtype=pl.String)
        self._kind = ranker.kind if ranker else UNTRAINED

    def process(self, chunk: Chunk) -> Iterator[Any]:
        what = self._what
        if not what.shelves:
            for made in self._scorer.score(chunk):
                count(self._scorer.clock.drain())
                yield made
            return
        yield _measured(measure.inputs(chunk.tables, what.day, self._known))
        earlier = chunk["shelves"].filter(pl.col("run_date") == self._before) if self._before else None
        for made in self._scorer.score(chunk):
            count(self._scorer.clock.drain())
            yield made
            yield _measured(measure.shelves(made["shelves"], earlier, what.day, chunk.shard))
            yield _measured(measure.scores(made["candidates"], self._kind, chunk.shard))


def _measured(found: measure.Measured) -> beam.pvalue.TaggedOutput:
    return beam.pvalue.TaggedOutput(MEASURED, found.dumps())
