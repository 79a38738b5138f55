"""The job `score`: retrieval, ranking and assembly of every listener, in one pass over the shards.

listeners, library, sessions, feedback, earlier shelves + models, ranker -> candidates, draws, listener_embeddings, shelves
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import apache_beam as beam
import click

from pipelines.artefacts import fetch
from pipelines.catalog import newest_or_first, tracks_as_of
from pipelines.features import library_parts
from pipelines.fitting import Fitted, ModelSettings
from pipelines.jobs import launch
from pipelines.scoring import Plan, Scorer
from transforms.chunks import Chunk, specs
from transforms.errors import UserError
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.manifest import Manifest
from transforms.tables.runs import Run, plan
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse, days

if TYPE_CHECKING:
    from pipelines.config import Settings

STEP = "1"
TABLES = ("candidates", "draws", "listener_embeddings", "shelves")  # in commit order: readers enter at the last


def score(
    warehouse: str,
    day: date,
    *,
    settings: Settings,
    fit_date: date | None = None,
    candidates_only: bool = False,
    shelves: Sequence[str] = (),
    listeners_file: str | None = None,
    greedy: bool = False,
    beam_args: Sequence[str] = (),
) -> None:
    """Score the night of `day` with what was learned as of `fit_date`.

    Raises:
        UserError: the library or the models are missing, or a model is later than the night.
    """
    place, fit = Warehouse(warehouse), fit_date or day
    models = place.need("models", fit)
    ranker = None if candidates_only else place.current("rankers", fit)
    catalog, listeners = (newest_or_first(place, table, day) for table in ("tracks", "listeners"))
    tables = {
        "listeners": [listeners] if listeners else [],
        "library": library_parts(place, day),
        "sessions": _of_days(place, "sessions", day, settings.candidates.session_days),
        "feedback": [m for d in place.dates("feedback") if d <= day and (m := place.current("feedback", d))],
        "shelves": _earlier(place, day, settings.candidates.shelf_days) if not (candidates_only or greedy) else [],
    }
    own = [place.need("library", day), *(m for t in ("sessions", "feedback", "shelves") for m in tables[t])]
    inputs = inputs_of(models, ranker, catalog, listeners, *own)
    described = {
        **settings.model_dump(mode="json", include={"candidates", "shelves", "bootstrap"}),
        "greedy": greedy,
        "fit_date": fit.isoformat(),
        "candidates_only": candidates_only,
    }
    only = _ids(listeners_file)
    preview = bool(shelves or only)
    if preview:
        described |= {"preview_shelves": sorted(shelves), "preview_listeners": len(only)}
    wanted = [
        run
        for table in (TABLES[:1] if candidates_only else TABLES)
        if (run := _plan(place, table, day, settings, inputs, described, preview))
    ]
    if not wanted or (not candidates_only and wanted[-1].table != "shelves"):
        return
    rows = listeners.rows if listeners else 0
    chosen = settings.shelves
    if shelves:
        chosen = chosen.model_copy(update={"shelves": tuple(s for s in chosen.shelves if s.shelf_id in shelves)})
    what = Plan(
        day=day,
        seed=settings.seed,
        k=settings.candidates.per_source,
        keep=1.0 if rows < settings.candidates.keep_all_below else settings.candidates.keep_share,
        sample=min(1.0, settings.bootstrap.listeners / max(rows, 1)) if candidates_only else 1.0,
        shelves=not candidates_only,
        greedy=greedy,
        model_version=models.version,
        ranker_version=ranker.version if ranker else None,
        versions={run.table: run.version for run in wanted},
        settings=chosen,
        only=only,
    )
    work = specs(place, settings.shards, tables)

    def define(root: beam.Pipeline) -> None:
        written = (
            root
            | "Listeners" >> ReadChunks(work)
            | "Score"
            >> beam.ParDo(_Score(warehouse, what, settings.models, models, ranker, catalog)).with_output_types(Chunk)
            | "Tables" >> WriteChunks(wanted)
        )
        if not preview:
            _ = root | "Done" >> Commit(wanted, written)

    launch("score", place, define, beam_args, wanted)
    if preview:
        for run in wanted:
            click.echo(f"preview, not committed: {warehouse}/{run.folder}")


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


def _ids(path: str | None) -> tuple[str, ...]:
    """Listener ids of a file, one a line.

    Raises:
        UserError: the file is empty.
    """
    if path is None:
        return ()
    found = tuple(line.strip() for line in Path(path).read_text().splitlines() if line.strip())
    if not found:
        raise UserError(f"{path} holds no listener ids; expected one a line")
    return found


class _Score(beam.DoFn):
    def __init__(
        self,
        warehouse: str,
        what: Plan,
        model_settings: ModelSettings,
        models: Manifest,
        ranker: Manifest | None,
        catalog: Manifest | None,
    ) -> None:
        self._warehouse, self._what, self._settings = warehouse, what, model_settings
        self._models, self._ranker, self._catalog = models, ranker, catalog

    def setup(self) -> None:
        from models.ranker import load

        fitted = Fitted.load(fetch(self._warehouse, self._models, self._what.day), self._settings)
        ranker = load(fetch(self._warehouse, self._ranker, self._what.day)) if self._ranker else None
        tracks = tracks_as_of(Warehouse(self._warehouse), self._catalog, self._what.day)
        self._scorer = Scorer(self._what, fitted, ranker, tracks)

    def process(self, chunk: Chunk) -> Iterator[Chunk]:
        yield from self._scorer.score(chunk)
