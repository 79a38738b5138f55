"""The job `evaluate`: a stored night against what was listened to in the days after it.

candidates, shelves, library of D + listens of D+1..D+n  ->  metrics by listener, shard by shard
listens up to D                                          ->  the baselines, on the same listeners
both                                                     ->  evaluation/date=D
draws, impressions, feedback of the night and after it   ->  what open slots earned, an experiment's readout
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.recommender.registry import unranked_sources
from pipelines.runtime import logs
from pipelines.runtime.jobs import launch
from transforms.common.errors import UserError
from transforms.evaluation.beam import MeasureBaselines, Summarise, counts_of, measures_of
from transforms.evaluation.responses import responses_to, without_estimates
from transforms.evaluation.stored import StoredNight, columns_of
from transforms.tables.as_of import as_of, days_logged_after
from transforms.tables.beam import Commit, WriteChunks
from transforms.tables.runs import plan
from transforms.tables.specs import Manifests, specs
from transforms.tables.upkeep import inputs_of

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "8"


def evaluate(
    warehouse: str,
    day: date,
    ahead: int = 7,
    *,
    settings: Settings,
    processes: int = 1,
    beam_args: Sequence[str] = (),
) -> None:
    """Measure the night of `day` against the listens of the `ahead` days after it, or of as many as the log holds.

    What was measured over is recorded, in the manifest's settings, and said where it is fewer than asked. `processes` of this
    machine share the shards where the runner is local.

    Raises:
        UserError: the night is not stored, or nothing was logged after it.
    """
    past = as_of(warehouse, day)
    asked, ahead = ahead, min(ahead, days_logged_after(warehouse, day) or ahead)
    future = past.following(day + timedelta(ahead))
    candidates, shelves = past.need("candidates"), past.current("shelves")
    after = future.every("listens")
    if not after:
        raise UserError(
            f"no listens from {day + timedelta(1)} to {future.last}; ingest them, or evaluate an earlier night"
        )
    before, library = past.every("listens"), past.library()
    catalog, answers = future.catalog(), responses_to(past, future) if shelves else {}
    if ahead < asked:
        held = f"the log holds {ahead} day{'' if ahead == 1 else 's'} after {day}"
        logs.say("INFO", f"{held}, not {asked}: measured over these", date=day.isoformat())
    read = [candidates, shelves, catalog, *library, *after, *before, *(m for found in answers.values() for m in found)]
    run = plan(
        past.warehouse,
        "evaluation",
        day,
        shards=1,
        inputs=inputs_of(*read),
        settings={"days": ahead, **settings.evaluation.model_dump(mode="json")},
        step_version=STEP,
        seed=settings.seed,
    )
    if run is None:
        return
    columns = columns_of(past.warehouse, candidates)
    counting = specs(past.warehouse, settings.shards, {"library": library})
    tables = {"candidates": [candidates], "shelves": [shelves] if shelves else []}
    measuring = specs(past.warehouse, settings.shards, {**tables, "library": library, "listens": after, **answers})
    unranked = frozenset(unranked_sources())
    night = StoredNight(warehouse, day, ahead, catalog, settings.evaluation, settings.seed, unranked)

    def define(root: beam.Pipeline) -> None:
        counted = counts_of(root, night, counting)
        measured = measures_of(root, night, counted, measuring, columns, processes)
        simple = root | "Baselines" >> MeasureBaselines(night, counted, measured, Manifests.of(past.warehouse, before))
        rows = root | "Summarise" >> Summarise(night, counted, measured, simple)
        written = rows | "Evaluation" >> WriteChunks([run])
        _ = root | "Done" >> Commit([run], written)

    done = launch("evaluate", past.warehouse, define, beam_args, [run])
    if shelves and done.finished and (silent := without_estimates(past.warehouse, day, ahead)):
        logs.say("INFO", silent, date=day.isoformat())
