"""The job `prompt`: every prompt of a date understood and answered.

prompts, library, listeners, feedback, exclusions, suspects, earlier intents and playlists + models, catalog -> intents, playlists
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.recommender.prompt_plan import Prompting, plan_prompts
from pipelines.recommender.prompting import unread
from pipelines.runtime.jobs import launch
from transforms.common.clock import count
from transforms.prompts.asking import AskModel
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "4"


def prompt(warehouse: str, day: date, *, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """Answer the prompts of `day` with what was known by its end; nothing to do where nobody asked.

    Raises:
        UserError: there are no models yet, or a table was committed by another run meanwhile.
    """
    past = as_of(warehouse, day)
    plan = plan_prompts(past, settings, STEP)
    if plan is None:
        return

    def define(root: beam.Pipeline) -> None:
        prompts = root | "Prompts" >> ReadChunks(plan.specs)
        answers = []
        if plan.work.what.model:
            asked = prompts | "Unread" >> beam.FlatMap(unread, plan.work.what.model).with_output_types(tuple[str, str])
            answers = [beam.pvalue.AsDict(asked | "Ask" >> AskModel(settings.prompts.model))]
        written = (
            prompts
            | "Answer" >> beam.ParDo(_Answer(plan.work), *answers).with_output_types(Chunk)
            | "Tables" >> WriteChunks(plan.runs)
        )
        _ = root | "Done" >> Commit(plan.runs, written)

    launch("prompt", past.warehouse, define, beam_args, plan.runs)


class _Answer(beam.DoFn):
    """Chunks of listeners with what they asked to what they get; nothing for those who asked nothing."""

    def __init__(self, work: Prompting) -> None:
        self._work = work

    def setup(self) -> None:
        self._prompter = self._work.prompter()

    def process(self, chunk: Chunk, answers: Mapping[str, str] | None = None) -> Iterator[Chunk]:
        if chunk["prompts"].height:
            yield self._prompter.answer(chunk, answers)
            count(self._prompter.clock.drain())
