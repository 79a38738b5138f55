"""The thin Beam shell around chunks and runs: read shards, write chunks, commit.

root | ReadChunks(specs, columns={"listens": [...]})   # -> Chunk
     | "Sessionize" >> beam.Map(step)                  # Chunk -> Chunk, a pure function
     | WriteChunks(runs)                               # -> Written
root | Commit(runs, written)                           # one atomic step a table, in the order given
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
import polars as pl
from apache_beam.coders import Coder, registry
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from transforms.common.background import Background
from transforms.tables.chunks import CHUNK_BYTES, Chunk, Spec, read_chunks
from transforms.tables.records import job_at_commit, record_commit, used
from transforms.tables.runs import Run, Written, finish_all
from transforms.tables.shard_work import parts_of
from transforms.tables.stands import Stands, still_stands
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame


class ChunkCoder(Coder):
    """Chunks as compressed Arrow IPC streams behind a JSON header of lengths; never pickled."""

    def encode(self, value: Chunk) -> bytes:
        bodies = []
        for frame in value.tables.values():
            out = io.BytesIO()
            frame.write_ipc_stream(out, compression="zstd")
            bodies.append(out.getvalue())
        head = json.dumps([value.shard, list(value.tables), [len(b) for b in bodies]]).encode()
        return len(head).to_bytes(4, "big") + head + b"".join(bodies)

    def decode(self, encoded: bytes) -> Chunk:
        stop = 4 + int.from_bytes(encoded[:4], "big")
        shard, names, lengths = json.loads(encoded[4:stop])
        tables = {}
        for name, length in zip(names, lengths, strict=True):
            tables[name] = pl.read_ipc_stream(encoded[stop : stop + length])
            stop += length
        return Chunk(shard, tables)

    def estimate_size(self, value: Chunk) -> int:
        """Bytes in memory. Beam asks between fused steps too, where encoding a chunk would cost as much as the step."""
        return sum(int(frame.estimated_size()) for frame in value.tables.values())

    def is_deterministic(self) -> bool:
        return True


class WrittenCoder(Coder):
    """Reports of written files as JSON."""

    def encode(self, value: Written) -> bytes:
        entry = value.file.model_dump(mode="json") if value.file else None
        return json.dumps([value.table, value.day, entry, value.counts]).encode()

    def decode(self, encoded: bytes) -> Written:
        from transforms.tables.manifest import FileEntry

        table, day, entry, counts = json.loads(encoded)
        return Written(table, day, FileEntry(**entry) if entry else None, counts)

    def is_deterministic(self) -> bool:
        return True


registry.register_coder(Chunk, ChunkCoder)
registry.register_coder(Written, WrittenCoder)


class _Read(beam.DoFn):
    def __init__(self, columns: Mapping[str, Sequence[str]] | None, dated: Sequence[str], chunk_bytes: int) -> None:
        self._columns, self._dated, self._chunk_bytes = columns, dated, chunk_bytes
        self._chunks = Metrics.counter("read", "chunks")
        self._rows = Metrics.counter("read", "rows")
        self._bytes = Metrics.counter("read", "bytes")
        self._ms = Metrics.counter("read", "milliseconds")

    def process(self, spec: Spec) -> Iterator[Chunk]:
        began = time.monotonic()
        for chunk in read_chunks(spec, self._columns, self._dated, self._chunk_bytes):
            self._chunks.inc()
            self._rows.inc(chunk.rows)
            self._bytes.inc(chunk.bytes)
            self._ms.inc(int((time.monotonic() - began) * 1000))
            yield chunk
            began = time.monotonic()


@dataclass
class ReadChunks(beam.PTransform):
    """Specs to chunks: every listener of every shard once, with all tables of the spec.

    Attributes:
        specs: one a shard.
        columns: columns to read, table by table.
        dated: tables that get a `date` column.
        chunk_bytes: size at which a chunk is handed on.
    """

    specs: Sequence[Spec]
    columns: Mapping[str, Sequence[str]] | None = None
    dated: Sequence[str] = ()
    chunk_bytes: int = CHUNK_BYTES

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: beam.Pipeline) -> beam.PCollection[Chunk]:
        read = beam.ParDo(_Read(self.columns, self.dated, self.chunk_bytes)).with_output_types(Chunk)
        return each_shard(root, self.specs) | "Read" >> read


def each_shard(root: beam.Pipeline, specs: Sequence[Spec]) -> beam.PCollection[Spec]:
    """The shards, spread over workers; the graph carries the names of runs alone."""
    return (
        root
        | "Specs" >> beam.Create([specs], reshuffle=False)
        | "Shards" >> beam.FlatMap(iter).with_output_types(Spec)
        | "Spread" >> beam.Reshuffle()
    )


class _Write(beam.DoFn):
    def __init__(self, runs: Sequence[Run], batch: str | None) -> None:
        self._runs, self._batch = tuple(runs), batch
        self._rows = Metrics.counter("write", "rows")
        self._bytes = Metrics.counter("write", "bytes")

    def start_bundle(self) -> None:
        self._beside = Background()

    def process(self, chunk: Chunk) -> Iterator[Written]:
        # one chunk is being written while the next one is read and computed, never more
        yield from self._done()
        for run, part in parts_of(self._runs, chunk):
            self._beside.submit(_written, run, chunk.shard, part, self._batch)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for item in self._done():
            yield WindowedValue(item, GlobalWindow().max_timestamp(), (GlobalWindow(),))
        self._beside.close()
        yield WindowedValue(used(), GlobalWindow().max_timestamp(), (GlobalWindow(),))

    def _done(self) -> Iterator[Written]:
        for item in self._beside.results():
            if item.file is not None:
                self._rows.inc(item.file.rows)
                self._bytes.inc(item.file.bytes)
                yield item


def _written(run: Run, shard: int, part: pl.DataFrame, batch: str | None) -> Written:
    return Written(run.table, run.day.isoformat(), write_frame(run, shard, part, batch))


@dataclass
class WriteChunks(beam.PTransform):
    """Write each chunk's tables into their runs' folders, one file a chunk, table and date.

    A frame with a `date` column is written by date; rows of dates without a run are left out (they are current already).
    Tables of the chunk without a run are left out, so a chunk may carry its inputs along.
    """

    runs: Sequence[Run]
    batch: str | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, chunks: beam.PCollection[Chunk]) -> beam.PCollection[Written]:
        return chunks | "Write" >> beam.ParDo(_Write(self.runs, self.batch)).with_output_types(Written)


class _Commit(beam.DoFn):
    def __init__(self, job: str | None, stands: Stands | None) -> None:
        self._job, self._stands = job, stands

    def process(self, runs: Sequence[Run], written: Sequence[Written]) -> Iterator[str]:
        by_target: dict[tuple[str, str], list[Written]] = {}
        for item in written:
            by_target.setdefault((item.table, item.day), []).append(item)
        made = [(run, by_target.get((run.table, run.day.isoformat()), [])) for run in runs]
        check = partial(still_stands, Warehouse(runs[0].warehouse), self._stands) if self._stands else None
        yield from (manifest.run_id for manifest in finish_all(made, check, f"making {runs[-1].table}"))
        record_commit(self._job, runs, written)


@dataclass
class Commit(beam.PTransform):
    """The graph's last step: make every run current, in the order given, once everything is written.

    Applied to the pipeline itself, so that it happens for empty tables too. Yields the run ids.

    Attributes:
        stands: what was read and must not have moved until then; None = nothing.
    """

    runs: Sequence[Run]
    written: beam.PCollection
    stands: Stands | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: beam.Pipeline) -> beam.PCollection[str]:
        return (
            root
            | "Runs" >> beam.Create([list(self.runs)], reshuffle=False)
            | "Commit"
            >> beam.ParDo(_Commit(job_at_commit(), self.stands), beam.pvalue.AsList(self.written)).with_output_types(
                str
            )
        )
