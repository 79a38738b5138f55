"""The thin Beam shell of signals: chunks of listeners -> their sums; partials by track -> sums of tracks.

define_signals(root, plan)     read, fold, add up, write; nothing is gathered in one place
"""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import polars as pl

from transforms.listening.beam import AddUpByTrack
from transforms.listening.suspects import suspects
from transforms.signals.fold import TRACK, add, fold
from transforms.signals.plan import SignalPlan
from transforms.tables.beam import ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk


class _Fold(beam.DoFn):
    """Chunk of inputs -> chunk of both tables, that of tracks as partials."""

    def __init__(self, plan: SignalPlan) -> None:
        self._signals, self._suspects, self._untimed = plan.signals, plan.suspects, list(plan.untimed)

    def process(self, chunk: Chunk) -> Iterator[Chunk]:
        timed = chunk["listens"].filter(~pl.col("date").is_in(self._untimed))
        yield Chunk(chunk.shard, fold(chunk.tables, self._signals, suspects(timed, self._suspects)))


def define_signals(root: beam.Pipeline, plan: SignalPlan) -> tuple[beam.PCollection, ...]:
    """Add the fold of signals to a pipeline; what it wrote."""
    by_listener, by_track = ([r for r in plan.runs if (r.table == TRACK) == side] for side in (False, True))
    chunks = root | "Signals' chunks" >> ReadChunks(
        plan.specs, columns=plan.columns, dated=("listens", "signal_values")
    )
    folded = chunks | "Fold signals" >> beam.ParDo(_Fold(plan)).with_output_types(Chunk)
    summed = folded | "Signals by track" >> AddUpByTrack(plan.runs[0].shards, {TRACK: add})
    return (
        folded | "Write signals by listener" >> WriteChunks(by_listener),
        summed | "Write signals by track" >> WriteChunks(by_track),
    )
