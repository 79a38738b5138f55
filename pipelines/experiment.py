"""The job `experiment`: an experiment's exposures and readout as of a date.

listens, impressions, feedback since (and before) it started  ->  exposures/date=D, one row a listener
                                                              ->  sums by arm and metric  ->  readouts/date=D
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import apache_beam as beam
import polars as pl

from pipelines.runtime.jobs import launch
from transforms.common.errors import UserError
from transforms.experiments.exposure import COLUMNS, Reading, readouts_of, versions
from transforms.experiments.moments import Moments, added
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk
from transforms.tables.runs import plan
from transforms.tables.specs import specs
from transforms.tables.upkeep import inputs_of

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "1"
MOST_BEFORE = 28  # days before the exposure that make the covariate, as far as the log goes back


def experiment(
    warehouse: str, name: str, day: date, *, settings: Settings, beam_args: Sequence[str] = ()
) -> pl.DataFrame:
    """Read an experiment as of a date; rows of table `readouts`.

    Raises:
        UserError: there is no such experiment, it has not started, or nothing was logged since.
    """
    past, one = as_of(warehouse, day), settings.experiments.named(name)
    if day <= one.starts:
        raise UserError(
            f"experiment {name} starts with the night of {one.starts}; read it from the day after on, not as of {day}"
        )
    first = one.starts - timedelta(MOST_BEFORE - 1)
    tables = {t: past.between(t, first) for t in ("listens", "impressions", "feedback")}
    if not any(m.date > one.starts for m in tables["listens"]):
        raise UserError(f"no listens from {one.starts + timedelta(1)} to {day}; ingest them before reading {name}")
    people = past.newest_or_first("listeners")
    tables["listeners"] = [people] if people else []
    shown = any(m.date > one.starts for m in tables["impressions"])
    reading = Reading(
        one, settings.experiments, versions(past, one) if shown else (), day, MOST_BEFORE, past.holds("feedback")
    )
    runs = [
        run
        for table in ("exposures", "readouts")
        if (
            run := plan(
                past.warehouse,
                table,
                day,
                shards=settings.shards if table == "exposures" else 1,
                inputs=inputs_of(*(m for found in tables.values() for m in found)),
                settings={"experiments": settings.experiments.model_dump(mode="json"), "read": name},
                step_version=STEP,
            )
        )
    ]
    if runs:
        work = specs(past.warehouse, settings.shards, tables)

        def define(root: beam.Pipeline) -> None:
            chunks = root | "Log" >> ReadChunks(work, COLUMNS)
            sums = chunks | "Sums" >> beam.FlatMap(reading.sums).with_output_types(tuple[str, Moments])
            total = sums | "By arm and metric" >> beam.CombinePerKey(added)
            table = (
                total
                | "All" >> beam.combiners.ToList()
                | "Readout" >> beam.Map(readouts_of, one).with_output_types(Chunk)
            )
            exposed = chunks | "Exposed" >> beam.Map(reading.exposures).with_output_types(Chunk)
            written = (exposed, table) | "Tables" >> beam.Flatten() | "Files" >> WriteChunks(runs)
            _ = root | "Done" >> Commit(runs, written)

        launch("experiment", past.warehouse, define, beam_args, runs)
    return past.warehouse.read_manifest(past.need("readouts")).filter(experiment=name)
