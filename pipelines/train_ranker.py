"""The job `train_ranker`: candidates of stored nights + their outcomes -> rankers/date=D.

Rankers share one interface. Every stored night but the first is ordered by the kinds fitted on the nights before it and by the
untrained blend; a kind that beats the blend there is fitted again on all nights and committed, else the ranker that was at work
if that one does, else the blend (`pipelines.recommender.ranker_choice`, `pipelines.recommender.promotion`). The figures stand in
the manifest. The nights stand a horizon apart, so no day is both learned from and measured by.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.recommender import promotion
from pipelines.recommender.ranker_examples import pairs_of
from pipelines.recommender.ranker_fit import RankerFit
from pipelines.runtime import logs
from pipelines.runtime.jobs import launch
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit
from transforms.tables.runs import Written, plan
from transforms.tables.upkeep import inputs_of

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "9"


def train_ranker(
    warehouse: str, day: date, *, settings: Settings, horizon: int = 7, beam_args: Sequence[str] = ()
) -> None:
    """Fit the rankers as of `day` on nights whose outcomes of `horizon` days have closed by then.

    Without such a night, or with no listener in any, there is no ranker, and the sources' untrained blend orders the candidates.

    Raises:
        UserError: a stored night was scored with models later than itself.
    """
    past = as_of(warehouse, day)
    pairs = pairs_of(past, horizon, settings.bootstrap.ranker_nights)
    if not pairs:
        return
    # of the rankers since, the one that was at work on the night that is measured has seen none of the days it is measured by
    replaced = past.newest("rankers", before=min(day, pairs[-1][0].date + timedelta(1)))
    run = plan(
        past.warehouse,
        "rankers",
        day,
        shards=1,
        inputs=inputs_of(replaced, *(m for pair in pairs for m in pair)),
        settings={
            **settings.model_dump(mode="json", include={"ranker"}),
            "horizon": horizon,
            "threads": settings.models.threads,
            "labels": list(settings.rewards.labels),
        },
        step_version=STEP,
        seed=settings.seed,
    )
    if run is None:
        return
    work = RankerFit(
        *(warehouse, pairs, horizon, settings.ranker, settings.seed, replaced),
        *(settings.rewards.labels, settings.models.threads),
    )

    def define(root: beam.Pipeline) -> None:
        written = (
            root
            | "Ranker" >> beam.Create([run], reshuffle=False)
            | "Fit" >> beam.FlatMap(work.fit).with_output_types(Written).with_resource_hints(min_ram="16GB")
        )
        _ = root | "Done" >> Commit([run], written)

    done = launch("train_ranker", past.warehouse, define, beam_args, [run])
    if done.finished and (verdict := promotion.sentence(past.need("rankers").extra)):
        logs.say("WARN", f"WARN ranker {day}: {verdict}", date=day.isoformat())
