"""The job `try_models`: newly fitted models against earlier ones on the newest closed night -> model_trials/date=D.

candidates, outcomes of the night + two fits of models, library, sessions as of the night -> NDCG@50 of both, the verdict

Where the earlier fit was surely better, scoring uses it instead (`pipelines.recommender.champion`), until a later trial says
otherwise; `pipelines.recommender.model_trial` says how the two are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.recommender.champion import TABLE, sentence
from pipelines.recommender.model_trial import plan_trial
from pipelines.runtime import logs
from pipelines.runtime.jobs import launch
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit
from transforms.tables.runs import Written

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "1"


def try_models(
    warehouse: str, day: date, *, settings: Settings, horizon: int = 7, beam_args: Sequence[str] = ()
) -> None:
    """Try the newest fit that a stored night knows, whose outcomes of `horizon` days have closed by `day`.

    Without such a night, without two fits of its date or before, or where the same was tried before, nothing is made.

    Raises:
        UserError: the night has no library any more, a model's file is damaged, or the table is pinned.
    """
    past = as_of(warehouse, day)
    plan = plan_trial(past, settings, horizon, STEP)
    if plan is None:
        return

    def define(root: beam.Pipeline) -> None:
        written = (
            root
            | "Trial" >> beam.Create([plan.run], reshuffle=False)
            | "Try" >> beam.FlatMap(plan.work.run).with_output_types(Written).with_resource_hints(min_ram="8GB")
        )
        _ = root | "Done" >> Commit([plan.run], written)

    done = launch("try_models", past.warehouse, define, beam_args, [plan.run])
    if done.finished and (verdict := sentence(past.need(TABLE).extra)):
        logs.say("WARN", f"WARN models {day}: {verdict}", date=day.isoformat())
