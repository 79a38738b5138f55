"""The thin Beam shell of the simulator: blocks of listeners to files, the parts of a table to one file.

Files go through Beam's file systems, so that a world may be written to a folder or to a bucket.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.simulation import files
from transforms.simulation.catalog import SimulatedCatalog
from transforms.simulation.catalog_build import build_catalog
from transforms.simulation.settings import SimulationSettings

_OURS = ("listens/part-*", "listens-late/part-*", *(f"parts/{name}/part-*" for name in files.MERGED))


class SimulateBlock(beam.DoFn):
    """Block number -> block number, once the block's files are written."""

    def __init__(self, settings: SimulationSettings, out: str, form: str) -> None:
        self.settings, self.out, self.form = settings, out, form
        self.written = beam.metrics.Metrics.counter("simulate", "files")

    def setup(self) -> None:
        """Build the catalog once in this process."""
        self.catalog: SimulatedCatalog = build_catalog(self.settings)

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
    parts = [read(f"{out}/{files.part_name(settings, f'parts/{name}', n, 'parquet')}") for n in sorted(done)]
    _write(f"{out}/{name}.parquet", files.merge_parquet(parts))


def _write(path: str, content: bytes) -> None:
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as sink:
        sink.write(content)


def read(path: str) -> bytes:
    """The bytes of a file of the world."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as source:
        return source.read()


def clear(out: str, only: str = "") -> None:
    """Delete the parts an earlier world left, of which there may have been more."""
    patterns = [f"{out}/{pattern}" for pattern in _OURS if pattern.startswith(only)]
    for found in FileSystems.match(patterns):
        if found.metadata_list:
            logging.info("removing %d files of an earlier world", len(found.metadata_list))
            FileSystems.delete([m.path for m in found.metadata_list])


def clear_parts(out: str) -> None:
    """Delete the parts once they are merged, and their folder; in a bucket there is none left."""
    clear(out, only="parts/")
    if FileSystems.exists(f"{out}/parts"):
        FileSystems.delete([f"{out}/parts"])
