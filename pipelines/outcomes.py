"""The job `outcomes`: what became of every stored night whose horizon closes on a date.

candidates, shelves of the nights + listens, impressions, feedback, suspects since
-> outcomes/date=D; of the night before, where impressions show any of it, looks/date=D
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.runtime.jobs import launch
from transforms.outcomes.beam import JoinNights
from transforms.outcomes.nights import COLUMNS, DATED, closing, read_of, tables_of, what_log_knows
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit
from transforms.tables.map_shards import MapShards
from transforms.tables.runs import Written, plan
from transforms.tables.specs import specs
from transforms.tables.upkeep import inputs_of

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "5"


def outcomes(
    warehouse: str,
    day: date,
    *,
    settings: Settings,
    horizons: Sequence[int] | None = None,
    processes: int = 1,
    beam_args: Sequence[str] = (),
) -> None:
    """Join the nights `day - h` with what was listened to since, for each horizon h whose night is stored.

    Seen from `day` all of it is past; the second bound is the night's own: a night of horizon h is joined with (day - h, day].

    Args:
        horizons: days; default: those of the settings.
        processes: of this machine, that share the shards where the runner is local.

    Raises:
        UserError: no stored night closes on that date.
    """
    past = as_of(warehouse, day)
    nights = closing(past, horizons or settings.outcomes.horizons)
    tables, catalog = tables_of(past, nights), past.catalog()
    soonest, visible = min(settings.outcomes.horizons), settings.shelves.home.visible
    looked = soonest in nights and any(m.rows for m in tables["impressions"])
    runs = [
        run
        for table in (("outcomes", "looks") if looked else ("outcomes",))
        if (
            run := plan(
                past.warehouse,
                table,
                day,
                shards=settings.shards,
                inputs=inputs_of(catalog, *read_of(past, tables)),
                settings={"horizons": sorted(nights)} | ({"visible": visible} if table == "looks" else {}),
                step_version=STEP,
            )
        )
    ]
    if not runs:
        return
    known = what_log_knows(past.warehouse, tables["listens"])
    work = specs(past.warehouse, settings.shards, tables)
    join = JoinNights(warehouse, catalog, nights, known, "feedback" in tables, soonest if looked else None, visible)
    columns = {table: names for table, names in COLUMNS.items() if table in tables}

    def define(root: beam.Pipeline) -> None:
        written, messages = MapShards(work, join, runs, columns, DATED, processes, models=False).on(root, "Outcomes")
        made = [run.table for run in runs]
        counts = messages | "Counts" >> beam.FlatMap(counted, day, made).with_output_types(Written)
        both = (written, counts) | "Files and counts" >> beam.Flatten()
        root | "Done" >> Commit(runs, both)

    launch("outcomes", past.warehouse, define, beam_args, runs)


def counted(messages: bytes, day: date, tables: Sequence[str]) -> list[Written]:
    """What a chunk's step told: how many new candidates were listened to, by horizon; and looks, by shelf and context."""
    counts = json.loads(messages)
    return [Written(table, day.isoformat(), counts=counts[table]) for table in tables]
