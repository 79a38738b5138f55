"""The job `train`: everything a night learns from other listeners, as of a date.

library, sessions, ...  -> examples (hashed sample)      -> one fit -> models/date=D, track_embeddings/date=D, semantic_ids/date=D
co_listens, track_stats -> sums by shard of tracks       -> the same fit
sessions                -> a bounded sample, by listener -> session_sample/date=D
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import apache_beam as beam

from pipelines.recommender import checkpoints, preference
from pipelines.recommender.example_files import ExampleFiles
from pipelines.recommender.histories import COLUMNS, Sampling
from pipelines.recommender.training import plan_training
from pipelines.runtime import logs
from pipelines.runtime.jobs import launch
from transforms.tables.as_of import as_of
from transforms.tables.beam import ChunkCoder, Commit, ReadChunks, WriteChunks, each_shard
from transforms.tables.chunks import Chunk
from transforms.tables.runs import Run, Written

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "14"
SAMPLE = "sample"


def train(warehouse: str, day: date, *, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """Fit the models as of the end of `day`.

    Raises:
        UserError: `day` has no library.
    """
    past = as_of(warehouse, day)
    plan = plan_training(past, settings, STEP)
    if plan is None:
        checkpoints.drop(warehouse, past.need("models").version)  # had it died between commit and tidying up
        return

    def define(root: beam.Pipeline) -> None:
        examples = (
            root
            | "Histories" >> ReadChunks(plan.specs, COLUMNS)
            | "Examples"
            >> beam.ParDo(_Examples(plan.sampling, plan.fit.examples))
            .with_output_types(str)
            .with_outputs(SAMPLE, main="examples")
        )
        sample = examples[SAMPLE] | "Sampled" >> beam.Map(ChunkCoder().decode).with_output_types(Chunk)
        kept = sample | "Sample" >> WriteChunks([r for r in plan.runs if r.table == "session_sample"])
        add_up = beam.FlatMap(plan.fit.examples.keep_made, plan.added_up.of_shard).with_output_types(str)
        sums = each_shard(root, plan.tracks) | "Added up" >> add_up
        learned_from = (examples.examples, sums) | "Learned from" >> beam.Flatten()
        fitted = (
            root
            | "One fit" >> beam.Create([plan.runs], reshuffle=False)
            | "Fit"
            >> beam.FlatMap(plan.fit.run, beam.pvalue.AsList(learned_from))
            .with_output_types(Written)
            .with_resource_hints(min_ram="8GB")
        )
        written = (fitted, kept) | "Files" >> beam.Flatten()
        done = root | "Done" >> Commit(plan.runs, written)
        _ = done | "Tidy" >> beam.ParDo(_Tidy(warehouse, plan.models)).with_output_types(str)

    done = launch("train", past.warehouse, define, beam_args, plan.runs)
    if done.finished and (why := preference.sentence(past.need("models").extra)):
        logs.say("WARN", f"WARN models {day}: {why}", date=day.isoformat())


class _Examples(beam.DoFn):
    """Files of a chunk's histories: names alone travel through the graph. Its sampled sessions are an output of their own."""

    def __init__(self, sampling: Sampling, files: ExampleFiles) -> None:
        self._sampling, self._files = sampling, files

    def process(self, chunk: Chunk) -> Iterator[Any]:
        examples, sample = self._sampling.of_chunk(chunk)
        yield from self._files.keep(examples)
        if sample is not None:  # a side output has no coder of its own
            yield beam.pvalue.TaggedOutput(SAMPLE, ChunkCoder().encode(sample))


class _Tidy(beam.DoFn):
    """Run ids as they are committed; after the models' own, checkpoints and examples behind it go."""

    def __init__(self, warehouse: str, models: Run) -> None:
        self._warehouse, self._models = warehouse, models

    def process(self, run_id: str) -> Iterator[str]:
        if run_id == self._models.run_id:
            checkpoints.drop(self._warehouse, self._models.version)
        yield run_id
