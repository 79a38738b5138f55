"""The steps of an ingest as Beam's: each takes what the steps before it gave, and the batch.

Rows are split by listener while they are parsed, grouped by shard once, and cleaned and written there. Rejects, listeners and the
catalog are small beside them. What a step says beside its main output goes under a tag.
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from transforms.formats.formats import pieces
from transforms.ingest import beam as steps
from transforms.ingest.batch import Batch
from transforms.ingest.commit import CommitBatch, WriteCatalog, WriteListeners, WriteRejects, no_listeners
from transforms.tables.records import job_at_commit


def _listed(collection: beam.PCollection) -> Any:
    return beam.pvalue.AsList(collection)


def parse(root: beam.Pipeline, batch: Batch) -> Any:
    """Pieces of files to rows by shard; counts, rejects, tracks, what the other files give, and artists' names."""
    made = [p.dumps() for p in pieces(batch.fmt, batch.files)]
    tags = (steps.COUNTS, steps.REJECTS, steps.TRACKS, steps.GIVEN, steps.NAMES)
    return (
        root
        | "Pieces" >> beam.Create(made, reshuffle=False)
        | "Spread" >> beam.Reshuffle()
        | "Parse" >> beam.ParDo(steps.Parse(batch)).with_outputs(*tags, main="rows")
    )


def clean(parsed: Any, batch: Batch) -> Any:
    """Rows of a shard to files by date: the one shuffle of listens."""
    tags = (steps.COUNTS, steps.REJECTS, steps.TRACKS, steps.LISTENERS)
    return (
        parsed.rows
        | "Keyed" >> beam.Map(lambda kv: kv).with_output_types(tuple[str, bytes])
        | "By shard" >> beam.GroupByKey()
        | "Clean" >> beam.ParDo(steps.CleanShard(batch)).with_outputs(*tags, main="written")
    )


def write_rejects(parsed: Any, cleaned: Any, batch: Batch) -> beam.PCollection:
    """Refused lines, by shard of the line."""
    return (
        (parsed[steps.REJECTS], cleaned[steps.REJECTS])
        | "All rejects" >> beam.Flatten()
        | "Keyed rejects" >> beam.Map(lambda kv: kv).with_output_types(tuple[str, bytes])
        | "Rejects by shard" >> beam.GroupByKey()
        | "Write rejects" >> beam.ParDo(WriteRejects(batch))
    )


def write_listeners(root: beam.Pipeline, cleaned: Any, batch: Batch) -> beam.PCollection:
    """Table `listeners`, written whole, so that shards the batch says nothing of are there too."""
    everywhere = root | "Every shard" >> beam.Create(no_listeners(batch), reshuffle=False)
    return (
        (cleaned[steps.LISTENERS], everywhere)
        | "All listeners" >> beam.Flatten()
        | "Keyed listeners" >> beam.Map(lambda kv: kv).with_output_types(tuple[str, bytes])
        | "Listeners by shard" >> beam.GroupByKey()
        | "Write listeners" >> beam.ParDo(WriteListeners(batch), _listed(cleaned.written))
    )


def write_catalog(root: beam.Pipeline, parsed: Any, cleaned: Any, batch: Batch) -> beam.PCollection:
    """Tables `tracks` and `artists`: what stood there, what a file gives, what the log names."""
    found = (parsed[steps.TRACKS], cleaned[steps.TRACKS]) | "All tracks" >> beam.Flatten()
    sides = (_listed(cleaned.written), _listed(found), _listed(parsed[steps.GIVEN]), _listed(parsed[steps.NAMES]))
    return (
        root
        | "Catalog" >> beam.Create([0], reshuffle=False)
        | "Write catalog" >> beam.ParDo(WriteCatalog(batch), *sides)
    )


def commit(root: beam.Pipeline, parsed: Any, cleaned: Any, written: tuple[Any, ...], batch: Batch) -> None:
    """Dates one by one, the ledger last."""
    counts = (parsed[steps.COUNTS], cleaned[steps.COUNTS]) | "All counts" >> beam.Flatten()
    every = (cleaned.written, *written) | "All written" >> beam.Flatten()
    _ = (
        root
        | "Batch" >> beam.Create([0], reshuffle=False)
        | "Commit" >> beam.ParDo(CommitBatch(batch, job_at_commit()), _listed(every), _listed(counts))
    )
