"""The job `exclusions`: the plays that feedback has taken out of a listener's taste, as of a night.

listens, sessions, feedback -> exclusions/date=D: what is known to be out since the table before

Of the days since then, all listeners with an act of exclusion are looked at; of the days before, only those who made one
since, and of their files only the row groups that hold them. Where nobody excludes anything there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.runtime.jobs import launch
from transforms.listening.exclusion_files import excluded_plays, plan_exclusions
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit, WriteChunks
from transforms.tables.chunks import Chunk, Spec
from transforms.tables.runs import plan
from transforms.tables.specs import specs
from transforms.tables.upkeep import inputs_of

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "2"


def exclusions(warehouse: str, day: date, *, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """Note the plays that acts of exclusion up to `day` cover, as far as no earlier table holds them.

    Raises:
        UserError: a table is pinned or was committed by another run meanwhile.
    """
    past, reach = as_of(warehouse, day), settings.library.exclusion_days
    todo = plan_exclusions(past, reach)
    if todo is None:
        return
    run = plan(
        past.warehouse,
        "exclusions",
        day,
        shards=settings.shards,
        inputs=inputs_of(*(m for found in todo.tables.values() for m in found)),
        settings={"exclusion_days": reach, "since": todo.since.isoformat()},
        step_version=STEP,
    )
    if run is None:
        return
    work, since = specs(past.warehouse, settings.shards, todo.tables), todo.since

    def cover(spec: Spec) -> Iterator[Chunk]:
        plays = excluded_plays(spec, since, reach)
        if plays.height:
            yield Chunk(spec.shard, {"exclusions": plays})

    def define(root: beam.Pipeline) -> None:
        written = (
            root
            | "Shards" >> beam.Create(work, reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Cover" >> beam.FlatMap(cover).with_output_types(Chunk)
            | "Exclusions" >> WriteChunks([run])
        )
        _ = root | "Done" >> Commit([run], written)

    launch("exclusions", past.warehouse, define, beam_args, [run])
