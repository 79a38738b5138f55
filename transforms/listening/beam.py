"""The thin Beam shell of the fold: chunks of listeners -> sessions and library; partials by track -> their sums.

chunks | FoldListeners(plan)     what the dates add for these listeners, track-side tables as partials
       | AddUpByTrack(shards)    partials of one track shard and block of dates, added up
define_fold(root, plan)          both, from reading to writing
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import apache_beam as beam
import polars as pl

from transforms.listening import co_listens, track_stats
from transforms.listening.fold import COLUMNS, fold
from transforms.listening.fold_plan import FoldPlan
from transforms.listening.library_keys import known_pairs
from transforms.tables.beam import ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk, split
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

Add = Callable[[Iterable[pl.DataFrame]], pl.DataFrame]
ADD: dict[str, Add] = {"track_stats": track_stats.add, "co_listens": co_listens.add}
BLOCK_DAYS = 7


class _Fold(beam.DoFn):
    """Chunk of inputs -> chunk of what the dates add: sessions and library, and partials of the track side."""

    def __init__(self, plan: FoldPlan) -> None:
        self._work, self._warehouse = plan.work, plan.runs[0].warehouse
        self._tracks, self._asked = plan.tracks, plan.asked
        self._durations: pl.DataFrame | None = None

    def setup(self) -> None:
        for manifest in self._tracks:
            known = Warehouse(self._warehouse).read_manifest(manifest, ["track_id", "duration_ms"])
            self._durations = known.drop_nulls("duration_ms")

    def process(self, chunk: Chunk) -> Iterator[Chunk]:
        known = None
        if self._asked:
            files = [part.path for part in self._asked[chunk.shard].parts["library"]]
            known = known_pairs(Warehouse(self._warehouse), files, chunk["listens"])
        yield Chunk(chunk.shard, fold(chunk.tables, self._work, self._durations, known))


class _Partials(beam.DoFn):
    """Partials by track shard and block of dates: small enough groups to add up in memory, few enough to be quick."""

    def __init__(self, shards: int, add: Mapping[str, Add]) -> None:
        self._shards, self._add = shards, add

    def process(self, chunk: Chunk) -> Iterator[tuple[int, Chunk]]:
        for table in sorted(self._add):
            rows = chunk.tables.get(table)
            for shard, part in split(rows, self._shards, by=TABLES[table].sharded_by or "") if rows is not None else ():
                block = pl.col("date").to_physical() // BLOCK_DAYS
                blocks = part.with_columns(block=block).partition_by("block", as_dict=True, include_key=False)
                for (key,), frame in blocks.items():
                    yield int(key) * self._shards + shard, Chunk(shard, {table: frame})


class _Sum(beam.DoFn):
    """Partials of one track shard and block of dates, added up."""

    def __init__(self, shards: int, add: Mapping[str, Add]) -> None:
        self._shards, self._add = shards, add

    def process(self, grouped: tuple[int, Iterable[Chunk]]) -> Iterator[Chunk]:
        key, chunks = grouped
        parts: dict[str, list[pl.DataFrame]] = {}
        for chunk in chunks:
            for table, frame in chunk.tables.items():
                parts.setdefault(table, []).append(frame)
        yield Chunk(key % self._shards, {table: self._add[table](frames) for table, frames in sorted(parts.items())})


@dataclass
class FoldListeners(beam.PTransform):
    """Fold every chunk of listeners as planned."""

    plan: FoldPlan

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, chunks: beam.PCollection[Chunk]) -> beam.PCollection[Chunk]:
        return chunks | "Fold" >> beam.ParDo(_Fold(self.plan)).with_output_types(Chunk)


@dataclass
class AddUpByTrack(beam.PTransform):
    """Add up the track-side partials of all chunks: the one shuffle of the job, of partials and never of listens.

    Attributes:
        add: by table, what adds up its partials.
    """

    shards: int
    add: Mapping[str, Add] = field(default_factory=lambda: ADD)

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, folded: beam.PCollection[Chunk]) -> beam.PCollection[Chunk]:
        return (
            folded
            | "Partials" >> beam.ParDo(_Partials(self.shards, self.add)).with_output_types(tuple[int, Chunk])
            | "Group" >> beam.GroupByKey()
            | "Sum" >> beam.ParDo(_Sum(self.shards, self.add)).with_output_types(Chunk)
        )


def define_fold(root: beam.Pipeline, plan: FoldPlan) -> tuple[beam.PCollection, ...]:
    """Add the fold to a pipeline: read, fold, add up, write. Returns what it wrote."""
    by_listener, by_track = ([r for r in plan.runs if (r.table in ADD) == side] for side in (False, True))
    chunks = root | "Chunks" >> ReadChunks(plan.specs, columns=COLUMNS, dated=("listens", "feedback"))
    folded = chunks | "Fold" >> FoldListeners(plan)
    summed = folded | "By track" >> AddUpByTrack(plan.runs[0].shards)
    return (
        folded | "Write by listener" >> WriteChunks(by_listener),
        summed | "Write by track" >> WriteChunks(by_track),
    )
