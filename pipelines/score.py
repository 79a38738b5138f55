"""The job `score`: retrieval, ranking and assembly of every listener, in one pass over the shards.

listeners, library, sessions, feedback, earlier shelves + models, ranker
-> candidates, draws, removed, listener_embeddings, shelves
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from pipelines.recommender import measured
from pipelines.recommender.night import WHOLE_NIGHT, Asked, Scoring, plan_scoring
from pipelines.runtime.jobs import launch
from transforms.common.clock import count
from transforms.gates.beam import Gate, GatedCommit
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk
from transforms.tables.runs import Run

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "21"
MEASURED = "measured"


def score(
    warehouse: str,
    day: date,
    *,
    settings: Settings,
    asked: Asked = WHOLE_NIGHT,
    accept_gates: bool = False,
    beam_args: Sequence[str] = (),
) -> list[Run]:
    """Score the night of `day`.

    Args:
        asked: the fit date, how far, and whether it is a preview; default: the whole night.
        accept_gates: commit the night even if a check fails; its manifest then says so.

    Returns:
        the runs of a preview, which nobody commits; none where there was nothing to do.

    Raises:
        GateFailed: the night failed a check; its files stay in their runs' folders, nothing is committed.
        UserError: the library or the models are missing, or a model is later than the night.
    """
    past = as_of(warehouse, day)
    plan = plan_scoring(past, settings, asked, STEP)
    if plan is None:
        return []
    gate = Gate(settings.gates, asked.fit_date or day, len(settings.shelves.shelves), accept_gates)

    def define(root: beam.Pipeline) -> None:
        scored = (
            root
            | "Listeners" >> ReadChunks(plan.specs)
            | "Score" >> beam.ParDo(_Score(plan.work)).with_output_types(Chunk).with_outputs(MEASURED, main="chunks")
        )
        written = scored.chunks | "Tables" >> WriteChunks(plan.runs)
        if asked.candidates_only:
            _ = root | "Done" >> Commit(plan.runs, written)
        elif not asked.preview:
            _ = root | "Done" >> GatedCommit(plan.runs, written, scored[MEASURED], gate)

    launch("score", past.warehouse, define, beam_args, plan.runs)
    return list(plan.runs) if asked.preview else []


class _Score(beam.DoFn):
    """Chunks of listeners to the night's tables; beside them what the gates measure, of a night with shelves."""

    def __init__(self, work: Scoring) -> None:
        self._work = work

    def setup(self) -> None:
        self._scorer = self._work.scorer()

    def process(self, chunk: Chunk) -> Iterator[Any]:
        shelves, before = self._work.what.shelves, self._work.before
        if shelves:
            yield TaggedOutput(MEASURED, measured.of_inputs(self._scorer, chunk).dumps())
        for made in self._scorer.score(chunk):
            count(self._scorer.clock.drain())
            yield made
            for found in measured.of_made(self._scorer, chunk, made, before) if shelves else ():
                yield TaggedOutput(MEASURED, found.dumps())
