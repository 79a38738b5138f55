"""The thin Beam shell of evaluation: chunks of a stored night -> one chunk of table `evaluation`.

Facts of all tracks, metrics of all listeners and those of the baselines meet as side inputs; what is in them is bounded by
`evaluation.max_listeners`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam

from transforms.evaluation.measure import MeasureFacts
from transforms.evaluation.stored import (
    StoredNight,
    add_counts,
    count_chunk,
    measure_baselines,
    measure_chunk,
    summary_of,
)
from transforms.tables.chunks import Chunk
from transforms.tables.manifest import Manifest


class _Count(beam.DoFn):
    def __init__(self, night: StoredNight) -> None:
        self._night = night

    def setup(self) -> None:
        self._recordings = self._night.recordings()

    def process(self, chunk: Chunk) -> Iterator[Chunk]:
        yield count_chunk(chunk, self._recordings)


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


class _Measure(beam.DoFn):
    def __init__(self, night: StoredNight, columns: Sequence[str]) -> None:
        self._night, self._columns = night, tuple(columns)
        self._facts: MeasureFacts | None = None

    def process(self, chunk: Chunk, counted: Sequence[Chunk]) -> Iterator[Chunk]:
        self._facts = self._facts or self._night.facts(list(counted))
        yield measure_chunk(self._night, chunk, self._columns, self._facts)


class _Baselines(beam.DoFn):
    def __init__(self, night: StoredNight, listens: Sequence[Manifest]) -> None:
        self._night, self._listens = night, tuple(listens)

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


@dataclass
class CountTracks(beam.PTransform):
    """Chunks of the library to one chunk of what was known of tracks by the night; none of an empty library."""

    night: StoredNight

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, library: beam.PCollection[Chunk]) -> beam.PCollection[Chunk]:
        counted = library | "Count" >> beam.ParDo(_Count(self.night)).with_output_types(Chunk)
        summed = counted | "Add up" >> beam.CombineGlobally(_Add()).without_defaults()
        return summed | "Sum" >> beam.FlatMap(lambda found: found).with_output_types(Chunk)


@dataclass
class MeasureNight(beam.PTransform):
    """Chunks of the stored night to metrics by listener.

    Attributes:
        counted: of CountTracks.
        columns: of candidates.
    """

    night: StoredNight
    counted: beam.PCollection
    columns: Sequence[str]

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, stored: beam.PCollection[Chunk]) -> beam.PCollection[Chunk]:
        facts = beam.pvalue.AsIter(self.counted)
        return stored | "Measure" >> beam.ParDo(_Measure(self.night, self.columns), facts).with_output_types(Chunk)


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
