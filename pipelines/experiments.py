"""The job `experiments`: exposures and readouts of the experiments as of a date.

listens, impressions, feedback since (and before) they started  ->  exposures/date=D, one row a listener and experiment
                                                                ->  sums by arm and metric  ->  readouts/date=D
                                                                ->  sums for the long term  ->

All that have started are read together, so that a date's table says of each what it said on that date.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import apache_beam as beam
import numpy as np
import polars as pl

from pipelines.runtime.jobs import launch
from transforms.experiments import surrogate
from transforms.experiments.exposure import COLUMNS, early_of, exposures_of, readouts_of, sums_of
from transforms.experiments.moments import Moments, added
from transforms.experiments.readings import first_read, reading_of
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk
from transforms.tables.runs import plan
from transforms.tables.schema import TABLES
from transforms.tables.specs import specs
from transforms.tables.upkeep import inputs_of

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "3"
MOST_BEFORE = 28  # days before the exposure that make the covariate, as far as the log goes back


def experiments(warehouse: str, day: date, *, settings: Settings, beam_args: Sequence[str] = ()) -> pl.DataFrame:
    """Read the experiments as of a date; rows of table `readouts`: none where none has started and was
    followed by listening, or where the job goes on elsewhere.

    One that ends is read for as long as its settings are kept.
    """
    past, every, nothing = as_of(warehouse, day), settings.experiments, TABLES["readouts"].empty()
    started = [one for one in every.experiments if one.starts < day]
    if not started:
        return nothing
    since = min(first_read(past, one, every, MOST_BEFORE) for one in started)
    tables = {t: past.between(t, since) for t in ("listens", "feedback")}
    tables["impressions"] = past.between("impressions", min(one.starts for one in started))
    followed = [one for one in started if any(m.date > one.starts for m in tables["listens"])]
    if not followed:
        return nothing
    people = past.newest_or_first("listeners")
    tables["listeners"] = [people] if people else []

    readings = [reading_of(past, one, every, MOST_BEFORE, tables["impressions"]) for one in followed]
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
                settings={"experiments": every.model_dump(mode="json"), "read": [one.name for one in followed]},
                step_version=STEP,
            )
        )
    ]
    if runs:
        work = specs(past.warehouse, settings.shards, tables)

        def define(root: beam.Pipeline) -> None:
            chunks = root | "Log" >> ReadChunks(work, COLUMNS)
            sums = chunks | "Sums" >> beam.FlatMap(sums_of, readings).with_output_types(tuple[str, Moments])
            total = sums | "By arm and metric" >> beam.CombinePerKey(added)
            early = chunks | "Early" >> beam.FlatMap(early_of, readings).with_output_types(tuple[str, np.ndarray])
            implied = early | "By group" >> beam.CombinePerKey(surrogate.added)
            table = (
                total
                | "All" >> beam.combiners.ToList()
                | "Readout"
                >> beam.Map(readouts_of, followed, beam.pvalue.AsList(implied), every.surrogate).with_output_types(
                    Chunk
                )
            )
            exposed = chunks | "Exposed" >> beam.Map(exposures_of, readings).with_output_types(Chunk)
            written = (exposed, table) | "Tables" >> beam.Flatten() | "Files" >> WriteChunks(runs)
            _ = root | "Done" >> Commit(runs, written)

        if not launch("experiments", past.warehouse, define, beam_args, runs).finished:
            return nothing  # the work goes on elsewhere
    return past.warehouse.read_manifest(past.need("readouts"))
