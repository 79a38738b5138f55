"""The thin Beam shell of evaluation: chunks of a stored night -> one chunk of table `evaluation`.

Facts of all tracks, metrics of all listeners and those of the baselines meet as side inputs; what is in them is bounded by
`evaluation.max_listeners`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from transforms.evaluation.stored import (
    StoredNight,
    add_counts,
    count_chunk,
    measure_baselines,
    measure_chunk,
    summary_of,
)
from transforms.tables.beam import ChunkCoder
from transforms.tables.chunks import Chunk, Spec
from transforms.tables.manifest import Manifest
from transforms.tables.map_shards import MapShards
from transforms.tables.shard_work import Made


@dataclass(frozen=True)
class CountStep:
    """Chunks of the library to popularity partials, encoded; see `transforms.tables.shard_work.Step`."""

    night: StoredNight

    def load(self, known: Sequence[Any] = ()) -> Callable[[Chunk], Iterator[Made]]:
        """The catalog's recordings in memory."""
        recordings = self.night.recordings()
        return lambda chunk: iter([ChunkCoder().encode(count_chunk(chunk, recordings))])


@dataclass(frozen=True)
class MeasureStep:
    """Chunks of the stored night to metrics by listener, encoded.

    Attributes:
        columns: of candidates, whether or not a chunk has them.
    """

    night: StoredNight
    columns: Sequence[str]

    def load(self, known: Sequence[Any]) -> Callable[[Chunk], Iterator[Made]]:
        """What was known of tracks, from the sums of `CountStep`."""
        facts = self.night.facts(known)
        return lambda chunk: iter([ChunkCoder().encode(measure_chunk(self.night, chunk, self.columns, facts))])


class _Add(beam.CombineFn):
    """Partials of `count_chunk` added up, so that what is handed to every worker grows with the catalog alone."""

    def create_accumulator(self) -> list[Chunk]:
        return []

    def add_input(self, so_far: list[Chunk], chunk: Chunk) -> list[Chunk]:
        return [add_counts([*so_far, chunk])]

    def merge_accumulators(self, parts: Iterable[list[Chunk]]) -> list[Chunk]:
        found = [chunk for part in parts for chunk in part]
        return [add_counts(found)] if found else []

    def extract_output(self, so_far: list[Chunk]) -> list[Chunk]:
        return so_far


class _Baselines(beam.DoFn):
    def __init__(self, night: StoredNight, listens: Sequence[Manifest]) -> None:
        self._night, self._listens = night, listens

    def process(self, _: int, counted: Sequence[Chunk], measured: Sequence[Chunk]) -> Iterator[Chunk]:
        found = measure_baselines(self._night, self._listens, list(measured), self._night.facts(list(counted)))
        if found is not None:
            yield found


class _Summarise(beam.DoFn):
    def __init__(self, night: StoredNight) -> None:
        self._night = night

    def process(
        self, _: int, counted: Sequence[Chunk], measured: Sequence[Chunk], simple: Sequence[Chunk]
    ) -> Iterator[Chunk]:
        found = summary_of(self._night, [*measured, *simple], self._night.facts(list(counted)))
        if found is not None:
            yield found


def counts_of(root: beam.Pipeline, night: StoredNight, library: Sequence[Spec]) -> beam.PCollection[Chunk]:
    """One chunk of what was known of tracks by the night; none of an empty library. Sooner done than processes are started."""
    columns = {"library": ("listener_id", "track_id")}
    messages = MapShards(library, CountStep(night), columns=columns).on(root, "Library")[1]
    partials = messages | "Counts" >> beam.Map(ChunkCoder().decode).with_output_types(Chunk)
    summed = partials | "Add up" >> beam.CombineGlobally(_Add()).without_defaults()
    return summed | "Sum" >> beam.FlatMap(lambda found: found).with_output_types(Chunk)


def measures_of(
    root: beam.Pipeline,
    night: StoredNight,
    counted: beam.PCollection[Chunk],
    stored: Sequence[Spec],
    columns: Mapping[str, Sequence[str]],
    processes: int,
) -> beam.PCollection[Chunk]:
    """Metrics by listener of the stored night's chunks.

    Args:
        counted: of `counts_of`.
        columns: to read, by table.
    """
    step = MeasureStep(night, columns["candidates"])
    work = MapShards(stored, step, columns=columns, processes=processes, models=False, known=counted)
    messages = work.on(root, "Night")[1]
    return messages | "Measured" >> beam.Map(ChunkCoder().decode).with_output_types(Chunk)


@dataclass
class MeasureBaselines(beam.PTransform):
    """The simple recommenders on the same listeners, applied to the pipeline itself: one worker fits them."""

    night: StoredNight
    counted: beam.PCollection
    measured: beam.PCollection
    listens: Sequence[Manifest]

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: beam.Pipeline) -> beam.PCollection[Chunk]:
        work = beam.ParDo(
            _Baselines(self.night, self.listens), beam.pvalue.AsIter(self.counted), beam.pvalue.AsIter(self.measured)
        )
        return root | "Once" >> beam.Create([0]) | "Fit and measure" >> work.with_output_types(Chunk)


@dataclass
class Summarise(beam.PTransform):
    """Everything measured to one chunk of table `evaluation`, applied to the pipeline itself."""

    night: StoredNight
    counted: beam.PCollection
    measured: beam.PCollection
    simple: beam.PCollection

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: beam.Pipeline) -> beam.PCollection[Chunk]:
        sides = (beam.pvalue.AsIter(part) for part in (self.counted, self.measured, self.simple))
        work = beam.ParDo(_Summarise(self.night), *sides)
        return root | "Once" >> beam.Create([0]) | "Means and intervals" >> work.with_output_types(Chunk)
