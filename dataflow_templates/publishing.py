"""`publish` as a graph of one element, so that a worker publishes and a refusal fails the job, not its launch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import apache_beam as beam

from pipelines.runtime.jobs import launch
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from pipelines.runtime.jobs import Record
    from transforms.gates.settings import GateSettings


def publish(
    warehouse: str,
    day: date,
    to: str,
    tables: Sequence[str],
    *,
    keep_days: int,
    gates: GateSettings,
    accept_gates: bool = False,
    beam_args: Sequence[str] = (),
) -> Record:
    """Publish a night's tables from a worker; the step may be retried, since a publish goes on where one was cut.

    Raises:
        UserError: as `pipelines.publish.publish`; at launch already where a table is not there.
    """
    opened = Warehouse(warehouse)
    for table in tables:
        if table not in ("tracks", "listeners"):
            opened.need(table, day)

    def define(root: beam.Pipeline) -> None:
        _ = (
            root
            | "Night" >> beam.Create([day.isoformat()], reshuffle=False)
            | "Publish"
            >> beam.ParDo(_Publish(warehouse, to, tuple(tables), keep_days, gates, accept_gates)).with_output_types(str)
        )

    return launch("publish", opened, define, beam_args)


@dataclass
class _Publish(beam.DoFn):
    warehouse: str
    to: str
    tables: tuple[str, ...]
    keep_days: int
    gates: GateSettings
    accept_gates: bool

    def __post_init__(self) -> None:
        super().__init__()

    def process(self, night: str) -> Iterator[Any]:
        from pipelines import publish as job

        done = job.publish(
            self.warehouse,
            date.fromisoformat(night),
            self.to,
            self.tables,
            keep_days=self.keep_days,
            gates=self.gates,
            accept_gates=self.accept_gates,
        )
        for one in done:
            logging.getLogger(__name__).info("%s", one)
            yield str(one)
