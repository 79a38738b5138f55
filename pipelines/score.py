"""The job `score`: retrieval, ranking and assembly of every listener, in one pass over the shards.

listeners, library, sessions, feedback, earlier shelves (carried) + models, ranker
-> candidates, draws, removed, listener_embeddings, market_defaults, carried, shelves
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.recommender.earlier import COLUMNS, SHELVES
from pipelines.recommender.newcomers import MarketDefaults
from pipelines.recommender.night import WHOLE_NIGHT, Asked, plan_scoring
from pipelines.recommender.score_step import ScoreStep
from pipelines.runtime.jobs import launch
from transforms.gates.beam import Gate, GatedCommit
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit
from transforms.tables.map_shards import MapShards
from transforms.tables.once import Once
from transforms.tables.runs import Run

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "31"


def score(
    warehouse: str,
    day: date,
    *,
    settings: Settings,
    asked: Asked = WHOLE_NIGHT,
    accept_gates: bool = False,
    processes: int = 1,
    beam_args: Sequence[str] = (),
) -> list[Run]:
    """Score the night of `day`.

    Args:
        asked: the fit date, how far, and whether it is a preview; default: the whole night.
        accept_gates: commit the night even if a check fails; its manifest then says so.
        processes: of this machine, that share the shards where the runner is local.

    Returns:
        the runs of a preview, which nobody commits; none where there was nothing to do.

    Raises:
        GateFailed: the night failed a check; its files stay in their runs' folders, nothing is committed.
        UserError: the library or the models are missing, or a model is later than the night.
    """
    past = as_of(warehouse, day)
    plan = plan_scoring(past, settings, asked, STEP)
    if plan is None:
        return []
    gate = Gate(settings.gates, asked.fit_date or day, len(settings.shelves.shelves), accept_gates)

    def define(root: beam.Pipeline) -> None:
        written, measured = MapShards(
            plan.specs, ScoreStep(plan.work), plan.runs, {SHELVES: COLUMNS}, processes=processes
        ).on(root, "Score")
        files = (written, root | "Newcomers" >> Once(MarketDefaults(plan.work), plan.runs)) | "Files" >> beam.Flatten()
        if asked.candidates_only:
            _ = root | "Done" >> Commit(plan.runs, files)
        elif not asked.preview:
            _ = root | "Done" >> GatedCommit(plan.runs, files, measured, gate)

    launch("score", past.warehouse, define, beam_args, plan.runs)
    return list(plan.runs) if asked.preview else []
