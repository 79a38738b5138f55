"""A model asked through Beam's RunInference: each text once, no more than the budget, and a failure is no answer.

(hash, text), ... | AskModel(server) -> (hash, answer)

Any `ModelHandler` will do whose examples are texts: a package of the user's names a function in the entry-point group
`nightshelf.prompt_models` that makes one (docs/prompts.md). Over budget, the texts of the smallest hashes are asked, so a run
that is repeated asks the same. Counters: `prompts.asked`, `prompts.answered`, `prompts.unanswered`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference

from transforms.common.errors import UserError
from transforms.prompts.chat import ChatHandler
from transforms.prompts.server import ModelServer

GROUP = "nightshelf.prompt_models"
Pair = tuple[str, str]


def handler_of(server: ModelServer) -> ModelHandler:
    """The model handler that the settings name.

    Raises:
        UserError: there is none of that name.
    """
    if not server.handler:
        return ChatHandler(server)
    found = {e.name: e for e in entry_points(group=GROUP)}
    if server.handler not in found:
        known = ", ".join(sorted(found)) or "none is installed"
        raise UserError(f"prompts.model.handler: expected one of the group {GROUP} ({known}), found {server.handler!r}")
    made: ModelHandler = found[server.handler].load()(server)
    return made


def answer_text(made: Any) -> str:
    """The text in what a handler predicts: itself, or the first candidate of the forms that Beam's handlers hand on.

    >>> answer_text({"choices": [{"message": {"content": "{}"}}]}), answer_text([{"generated_text": "{}"}])
    ('{}', '{}')
    """
    inference = getattr(made, "inference", made)
    for _ in range(8):
        if isinstance(inference, str):
            return inference
        if isinstance(inference, list | tuple) and inference:
            inference = inference[0]
            continue
        for name in (
            "content",
            "text",
            "message",
            "choices",
            "outputs",
            "candidates",
            "parts",
            "generated_text",
            "response",
        ):
            found = inference.get(name) if isinstance(inference, dict) else getattr(inference, name, None)
            if found and not callable(found):
                inference = found
                break
        else:
            return ""
    return ""


@dataclass
class AskModel(beam.PTransform):
    """(hash of a text, text), any text more than once -> (hash, answer) of those that were answered."""

    server: ModelServer
    handler: ModelHandler | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        """One request a distinct text."""
        made = self.handler or handler_of(self.server)
        predicted, failed = (
            texts
            | "By text" >> beam.GroupByKey()
            | "Each once" >> beam.Map(_once).with_output_types(Pair)
            | "Within budget" >> beam.combiners.Top.Smallest(self.server.requests)
            | "Asked" >> beam.FlatMap(_asked).with_output_types(Pair)
            | "Spread texts" >> beam.Reshuffle()
            | "Model" >> RunInference(KeyedModelHandler(made)).with_exception_handling()
        )
        _ = failed.failed_inferences | "Unanswered" >> beam.Map(_counted)
        return predicted | "Answers" >> beam.ParDo(_Answers()).with_output_types(Pair)


def _once(pair: tuple[str, Iterable[str]]) -> Pair:
    key, texts = pair
    return key, next(iter(texts))


def _asked(pairs: list[Pair]) -> list[Pair]:
    Metrics.counter("prompts", "asked").inc(len(pairs))
    return pairs


def _counted(failed: Any) -> None:
    del failed  # it holds the text
    Metrics.counter("prompts", "unanswered").inc()


class _Answers(beam.DoFn):
    def __init__(self) -> None:
        self._answered = Metrics.counter("prompts", "answered")

    def process(self, pair: tuple[str, Any]) -> Iterator[Pair]:
        self._answered.inc()
        yield pair[0], answer_text(pair[1])
