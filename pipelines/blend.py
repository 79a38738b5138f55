"""The job `blend`: groups of two to ten listeners, and for each member the group's shelf of a night.

blends, listeners, candidates, listener_embeddings, feedback + models, catalog
-> what members offer, by group -> a list a group -> a row a member, by shard -> blend_shelves
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import apache_beam as beam
import polars as pl

from pipelines.recommender.blend_plan import COLUMNS, TABLE, Blending, plan_blends
from pipelines.runtime.jobs import launch
from transforms.listening.feedback import standing
from transforms.shelves.blend.making import SURFACE, Parts, in_order
from transforms.shelves.blend.offers import TABLES, offered
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk, split
from transforms.tables.runs import Written

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "1"
Keyed = tuple[int, Chunk]


def blend(warehouse: str, day: date, *, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """Make the blends of `day` with what its night made; nothing to do where nobody asked for one.

    Raises:
        UserError: the night is not made yet, or the table was committed by another run meanwhile.
    """
    past = as_of(warehouse, day)
    plan = plan_blends(past, settings, STEP)
    if plan is None:
        return
    shards, most = plan.run.shards, settings.blend.candidates

    def define(root: beam.Pipeline) -> None:
        ordered = (
            root
            | "Members" >> ReadChunks(plan.specs, COLUMNS)
            | "Offer" >> beam.FlatMap(_offered, most, shards).with_output_types(Keyed)
            | "By group" >> beam.GroupByKey()
            | "Choose" >> beam.ParDo(_Choose(plan.work, shards)).with_output_types(Keyed)
            | "By listener" >> beam.GroupByKey()
            | "Order" >> beam.Map(_ordered).with_output_types(Chunk)
        )
        counts = ordered | "Count" >> beam.Map(_counted, day.isoformat()).with_output_types(Written)
        written = (ordered | "Table" >> WriteChunks([plan.run]), counts) | "All" >> beam.Flatten()
        _ = root | "Done" >> Commit([plan.run], written)

    launch("blend", past.warehouse, define, beam_args, [plan.run])


def _offered(chunk: Chunk, most: int, buckets: int) -> Iterator[Keyed]:
    for part in offered(chunk, most, buckets, standing):
        yield part.shard, part


def _joined(parts: Iterable[Chunk], table: str) -> pl.DataFrame:
    return pl.concat([part[table] for part in parts])


class _Choose(beam.DoFn):
    """What members of a bucket's groups offer to their rows, by shard of the listener."""

    def __init__(self, work: Blending, shards: int) -> None:
        self._work, self._shards = work, shards

    def setup(self) -> None:
        self._blender = self._work.blender()

    def process(self, keyed: tuple[int, Iterable[Chunk]]) -> Iterator[Keyed]:
        offers = list(keyed[1])
        rows = self._blender.rows(Parts(*(_joined(offers, table) for table in TABLES)))
        for shard, mine in split(rows, self._shards):
            yield shard, Chunk(shard, {TABLE: mine})


def _ordered(keyed: tuple[int, Iterable[Chunk]]) -> Chunk:
    return Chunk(keyed[0], {TABLE: in_order(_joined(keyed[1], TABLE))})


def _counted(chunk: Chunk, day: str) -> Written:
    """For the manifest: rows by status, as `status blend personal`."""
    found = chunk[TABLE].group_by("status").len().sort("status")
    return Written(TABLE, day, None, {f"status {SURFACE} {status}": n for status, n in found.iter_rows()})
