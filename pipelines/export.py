"""The job `export`: a committed night by key where apps read it, whole or not at all, and which rows changed since when.

shelves, blend_shelves, the changes before -> shelf_changes; files of lines, or rows of Bigtable -> the pointer is moved
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.recommender.export_plan import plan_export
from pipelines.runtime.check import require
from pipelines.runtime.jobs import described_only, launch
from transforms.serving.beam import Switch, counted, with_changes
from transforms.serving.publication import KEEP_DAYS, Publication
from transforms.serving.targets import target_of
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "1"


def export(
    warehouse: str,
    day: date,
    to: str,
    *,
    settings: Settings,
    keep_days: int = KEEP_DAYS,
    accept_gates: bool = False,
    beam_args: Sequence[str] = (),
) -> Publication | None:
    """Publish the shelves of `day` to `to`; the same night again finds what it wrote and changes nothing.

    Returns:
        what counts now; None where the job was only described.

    Raises:
        GateFailed: the night fails a check that nobody accepted; nothing was written.
        UserError: no such night or target, or a refusal by it; the pointer was not moved.
    """
    past, target = as_of(warehouse, day), target_of(to)
    plan = plan_export(past, settings, STEP)
    require(past.warehouse, plan.manifests, settings.gates, accept_gates)
    seen = target.prepare(keep_days)

    def define(root: beam.Pipeline) -> None:
        made = (
            root
            | "Shelves" >> ReadChunks(plan.specs)
            | "Changes" >> beam.Map(with_changes, plan.stamp, plan.run is None).with_output_types(Chunk)
        )
        counts = made | "Count" >> beam.Map(counted).with_output_types(tuple[int, int])
        written = target.write(made, plan.stamp, plan.shards)
        committed = root | "Stands" >> beam.Create([""], reshuffle=False)
        if plan.run is not None:
            committed = root | "Done" >> Commit([plan.run], made | "Table" >> WriteChunks([plan.run]))
        sides = [beam.pvalue.AsList(one) for one in (counts, written, committed)]
        switch = beam.ParDo(Switch(target, plan.publication, plan.shards, seen, keep_days), *sides)
        _ = root | "Night" >> beam.Create([0], reshuffle=False) | "Switch" >> switch

    launch("export", past.warehouse, define, beam_args, [plan.run] if plan.run else [])
    found = None if described_only(beam_args) else target.prepare(keep_days)
    return found.now if found else None


def rollback(to: str) -> Publication:
    """Point readers back at the publication before.

    Raises:
        UserError: there is none, or it has expired.
    """
    return target_of(to).roll_back().now
