"""A table that is made once a job, beside what is made of chunks: small, and of nobody's shard.

written = root | "Newcomers" >> Once(maker, runs)      # -> Written; nothing where no run asks for the table
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import apache_beam as beam
import polars as pl

from transforms.tables.runs import Run, Written
from transforms.tables.writing import write_frame


class Maker(Protocol):
    """What makes the table's rows, on a worker. Picklable."""

    @property
    def table(self) -> str:
        """Its name."""
        ...

    def rows(self) -> pl.DataFrame:
        """The rows."""
        ...


@dataclass
class Once(beam.PTransform):
    """Write a table that is not split.

    Attributes:
        maker: of its rows.
        runs: of the job; those of the maker's table are written.
    """

    maker: Maker
    runs: Sequence[Run]

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: beam.Pipeline) -> beam.PCollection[Written]:
        own = [run for run in self.runs if run.table == self.maker.table]
        return (
            root
            | "Runs" >> beam.Create(own, reshuffle=False)
            | "Rows" >> beam.ParDo(_Write(self.maker)).with_output_types(Written)
        )


class _Write(beam.DoFn):
    def __init__(self, maker: Maker) -> None:
        self._maker = maker

    def process(self, run: Run) -> Iterator[Written]:
        entry = write_frame(run, 0, self._maker.rows())
        if entry is not None:
            yield Written(run.table, run.day.isoformat(), entry)
