"""A step over all shards, in Beam's own workers or in processes of this machine; the same rows and files either way.

    written, told = MapShards(specs, step, runs, processes=2).on(root)

A local runner is one process. Where the work is only mapped (nothing meets across shards until the end), its shards are as well
done by several, side by side: they read, compute and write, and only names of files and messages come back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from transforms.common.clock import count
from transforms.common.processes import processes, take
from transforms.tables.beam import ReadChunks, WriteChunks
from transforms.tables.chunks import CHUNK_BYTES, Chunk, Spec
from transforms.tables.runs import Run, Written
from transforms.tables.shard_work import Made, Shard, Step, work_on

TOLD = "told"


@dataclass(frozen=True)
class MapShards:
    """Read shards, apply a step to their chunks, write what it made.

    Attributes:
        specs: one a shard.
        step: what is done with a chunk.
        runs: of the tables that are written; () = nothing is.
        columns: columns to read, table by table.
        dated: tables that get a `date` column.
        processes: 1 = the workers that the runner has.
        models: the step works with models, see `transforms.common.processes.warm`.
        known: what earlier steps have found out, told to the step, whole, when it is loaded; None = nothing.
    """

    specs: Sequence[Spec]
    step: Step
    runs: Sequence[Run] = ()
    columns: Mapping[str, Sequence[str]] | None = None
    dated: Sequence[str] = ()
    processes: int = 1
    models: bool = True
    chunk_bytes: int = CHUNK_BYTES
    known: beam.PCollection | None = None

    def on(self, root: beam.Pipeline, name: str) -> tuple[beam.PCollection[Written], beam.PCollection[bytes]]:
        """Apply it to a pipeline: reports of the files, and what the step told."""
        known = () if self.known is None else (beam.pvalue.AsList(self.known),)
        if self.processes > 1 and len(self.specs) > 1:
            work = Shard(self.step, tuple(self.runs), self.columns, tuple(self.dated), self.chunk_bytes)
            every = root | f"{name} specs" >> beam.Create([self.specs], reshuffle=False)
            found = every | name >> beam.ParDo(
                _InProcesses(work, self.processes, self.models), *known
            ).with_output_types(Written).with_outputs(TOLD, main="written")
            return found.written, found[TOLD]
        chunks = root | f"{name} shards" >> ReadChunks(self.specs, self.columns, self.dated, self.chunk_bytes)
        made = chunks | name >> beam.ParDo(_Here(self.step), *known).with_output_types(Chunk).with_outputs(
            TOLD, main="chunks"
        )
        return made.chunks | f"{name} tables" >> WriteChunks(self.runs), made[TOLD]


class _Here(beam.DoFn):
    """The step in a worker of the runner's."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._do: Callable[[Chunk], Iterator[Made]] | None = None

    def process(self, chunk: Chunk, known: Sequence[Any] = ()) -> Iterator[Any]:
        self._do = self._do or self._step.load(known)
        for made in self._do(chunk):
            if isinstance(made, Chunk):
                yield made
            elif isinstance(made, bytes):
                yield TaggedOutput(TOLD, made)
            else:
                count(made)


class _InProcesses(beam.DoFn):
    """All shards, by some processes; what they made and told in the order of the shards."""

    def __init__(self, work: Shard, count: int, models: bool) -> None:
        self._work, self._count, self._models = work, count, models

    def process(self, specs: Sequence[Spec], known: Sequence[Any] = ()) -> Iterator[Any]:
        most = {}
        work = replace(self._work, known=known)
        with processes(min(self._count, len(specs)), work, models=self._models) as pool:
            for done in pool.map(work_on, specs):
                most[done.process] = done.used
                for name, n in done.counts.items():
                    Metrics.counter(*name.split(".", 1)).inc(n)
                yield from done.written
                yield from (TaggedOutput(TOLD, text) for text in done.messages)
        for one in most.values():
            take(one)
