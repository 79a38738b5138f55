"""Job `simulate`: a world of listening, in blocks of listeners.

    settings, blocks -> simulate each block -> its log files and parts -> merge the parts into one file a table

Every block is a function of the settings and its number, so any number of workers, in any order and after any retry,
writes the same bytes. The catalog is rebuilt once in each worker (seconds) and not sent to it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from pydantic import ValidationError

from transforms.common.errors import UserError
from transforms.simulation import files
from transforms.simulation.catalog import Catalog
from transforms.simulation.catalog_build import build_catalog
from transforms.simulation.settings import SimulationSettings

FORMATS = ("csv", "parquet")
_OURS = ("listens/part-*", "listens-late/part-*", *(f"parts/{name}/part-*" for name in files.MERGED))


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
    try:
        settings = SimulationSettings(
            listeners=listeners, tracks=tracks, days=days, seed=seed, end_date=end_date, plays_per_day=plays_per_day
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"--{'.'.join(map(str, first['loc']))}: {first['msg']}, found {first['input']!r}") from None
    out = str(out).rstrip("/")
    options = _options(settings, list(beam_args or []))
    _clear(out)
    with beam.Pipeline(options=options) as root:
        define(root, settings, out, format)
    counts = files.read_counts(_read(f"{out}/truth/dirt.parquet"))
    _clear(out, only="parts/")
    if FileSystems.exists(f"{out}/parts"):  # a folder; in a bucket there is none left
        FileSystems.delete([f"{out}/parts"])
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


class SimulateBlock(beam.DoFn):
    """Block number -> block number, once the block's files are written."""

    def __init__(self, settings: SimulationSettings, out: str, form: str) -> None:
        self.settings, self.out, self.form = settings, out, form
        self.written = beam.metrics.Metrics.counter("simulate", "files")

    def setup(self) -> None:
        """Build the catalog once in this process."""
        self.catalog: Catalog = build_catalog(self.settings)

    def process(self, number: int) -> Iterator[int]:
        """Simulate one block."""
        for name, content in files.block_files(self.settings, self.catalog, number, self.form).items():
            _write(f"{self.out}/{name}", content)
            self.written.inc()
        yield number


class WriteCatalog(beam.DoFn):
    """Writes the files that do not depend on listeners."""

    def __init__(self, settings: SimulationSettings, out: str, form: str) -> None:
        self.settings, self.out, self.form = settings, out, form

    def process(self, _: Any) -> None:
        """Build and write the catalog."""
        for name, content in files.world_files(self.settings, build_catalog(self.settings), self.form).items():
            _write(f"{self.out}/{name}", content)


def merge_parts(name: str, settings: SimulationSettings, out: str, done: list[int]) -> None:
    """Merge one table's parts, once every block is done."""
    parts = [_read(f"{out}/{files.part_name(settings, f'parts/{name}', n, 'parquet')}") for n in sorted(done)]
    _write(f"{out}/{name}.parquet", files.merge_parquet(parts))


def _options(settings: SimulationSettings, args: list[str]) -> PipelineOptions:
    if not any(a.startswith("--runner") for a in args):
        args = ["--runner=FnApiRunner", *args]
        large = settings.listeners * settings.days * settings.plays_per_day > 2_000_000
        if large and not any(a.startswith("--direct_") for a in args):
            args += ["--direct_running_mode=multi_processing", "--direct_num_workers=0"]
    options = PipelineOptions(args)
    if options.view_as(DirectOptions).direct_running_mode == "multi_threading":
        raise UserError("--direct_running_mode=multi_threading loses records: use in_memory or multi_processing")
    return options


def _write(path: str, content: bytes) -> None:
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as sink:
        sink.write(content)


def _read(path: str) -> bytes:
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as source:
        return source.read()


def _clear(out: str, only: str = "") -> None:
    """Delete the parts an earlier world left, of which there may have been more."""
    patterns = [f"{out}/{pattern}" for pattern in _OURS if pattern.startswith(only)]
    for found in FileSystems.match(patterns):
        if found.metadata_list:
            logging.info("removing %d files of an earlier world", len(found.metadata_list))
            FileSystems.delete([m.path for m in found.metadata_list])
