"""Job `simulate`: a world of listening, in blocks of listeners.

    settings, blocks -> simulate each block -> its log files and parts -> merge the parts into one file a table

Every block is a function of the settings and its number, so any number of workers, in any order and after any retry,
writes the same bytes. The catalog is rebuilt once in each worker (seconds) and not sent to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.runtime.jobs import checked_args
from transforms.common.errors import UserError
from transforms.simulation import files
from transforms.simulation.beam import SimulateBlock, WriteCatalog, clear, clear_parts, merge_parts, read
from transforms.simulation.settings import SimulationSettings, world_settings

FORMATS = ("csv", "parquet")


@dataclass(frozen=True)
class Simulated:
    """What was written: the folder and the sum over blocks of each count in truth/dirt.parquet."""

    out: str
    counts: dict[str, int]


def simulate(
    listeners: int,
    tracks: int,
    days: int,
    out: str,
    seed: int = 0,
    *,
    end_date: date = date(2026, 1, 31),
    format: str = "csv",
    beam_args: list[str] | None = None,
    plays_per_day: float = 15.0,
) -> Simulated:
    """Write a simulated world under `out` (a folder or bucket URL), replacing an earlier one there.

    Args:
        listeners, tracks, days: size of the world; its last day is `end_date`.
        seed: equal arguments and seed make equal bytes.
        format: of the log: csv (with broken lines) or parquet (none).
        beam_args: Beam options; without a runner, the local one is used, with a process a core for a large world.
        plays_per_day: mean plays a listener a day.

    Raises:
        UserError: a size out of range, an unknown format, or the unsafe threaded mode of the local runner.
    """
    if format not in FORMATS:
        raise UserError(f"--format must be one of {', '.join(FORMATS)}, but is {format!r}")
    settings = world_settings(
        listeners=listeners, tracks=tracks, days=days, seed=seed, end_date=end_date, plays_per_day=plays_per_day
    )
    out = str(out).rstrip("/")
    options = PipelineOptions(spread(settings, beam_args or ()))
    clear(out)
    with beam.Pipeline(options=options) as root:
        define(root, settings, out, format)
    counts = files.read_counts(read(f"{out}/truth/dirt.parquet"))
    clear_parts(out)
    return Simulated(out=out, counts=counts)


def define(root: beam.Pipeline, settings: SimulationSettings, out: str, form: str) -> None:
    """Add the job's steps to a pipeline."""
    blocks = (
        root
        | "Blocks" >> beam.Create(range(settings.blocks)).with_output_types(int)
        | "Spread blocks" >> beam.Reshuffle()
        | "Simulate block" >> beam.ParDo(SimulateBlock(settings, out, form)).with_output_types(int)
    )
    root | "World" >> beam.Create([0]) | "Write catalog" >> beam.ParDo(WriteCatalog(settings, out, form))
    (
        root
        | "Merged tables" >> beam.Create(list(files.MERGED))
        | "Spread tables" >> beam.Reshuffle()
        | "Merge parts" >> beam.Map(merge_parts, settings, out, done=beam.pvalue.AsList(blocks))
    )


def spread(settings: SimulationSettings, args: Sequence[str]) -> list[str]:
    """Options for Beam; a large world is simulated by a process a core, where nothing else is said."""
    large = settings.listeners * settings.days * settings.plays_per_day > 2_000_000
    if large and not any(a.startswith(("--runner", "--direct_")) for a in args):
        args = [*args, "--direct_running_mode=multi_processing", "--direct_num_workers=0"]
    return checked_args(args)
