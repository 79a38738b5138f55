"""The templates by name: what each is told, and the one job it starts.

Each function calls a job as the command line does, with the values of the same declared options, so a graph does not depend on
who launched it. What the job reads at launch (manifests, the settings file, an input's hash) the launching machine reads; tables
and models are read by workers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow_templates.options import TemplateOptions, options_of
from pipelines.cli.declare import Command
from pipelines.cli.jobs import COMMANDS

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

Job = Callable[..., str | None]  # says what it found where it starts no graph


@dataclass(frozen=True)
class Template:
    """A Flex Template.

    Attributes:
        command: its name, its words for whoever launches it, its options.
        options: the same options as Beam parses them.
        start: starts the job, given the options' values, the settings and Beam's arguments.
    """

    command: Command
    options: type[TemplateOptions]
    start: Job

    @property
    def name(self) -> str:
        """Of the template, its files, and the label of its jobs."""
        return self.command.name

    @property
    def title(self) -> str:
        """For whoever launches it."""
        return self.command.title

    @property
    def description(self) -> str:
        """For whoever launches it."""
        return self.command.says

    @property
    def one_process(self) -> bool:
        """Its workers run one Python process each."""
        return self.command.one_process

    def run(self, options: Any, beam_args: Sequence[str]) -> str | None:
        """Start the job with parsed options."""
        given = self.command.values(options)
        return self.start(settings=settings_of(given.pop("config")), beam_args=beam_args, **given)


def settings_of(path: str | None) -> Settings:
    """The settings of `--config`, defaults without one."""
    from pipelines.runtime.config import Settings as Model
    from pipelines.runtime.settings_file import load

    return load(Model, local(path))


def local(path: str | None) -> str | None:
    """A file on this machine: the path itself, or a copy of an object of a bucket.

    Raises:
        UserError: the object cannot be read.
    """
    if path is None or "://" not in path:
        return path
    from transforms.formats.files import open_input

    target = Path(tempfile.mkdtemp(prefix="nightshelf-")) / Path(path).name
    with open_input(path) as stream:
        target.write_bytes(stream.read())
    return str(target)


def _ingest(*, mapping: str | None, **given: Any) -> None:
    from pipelines.ingest import ingest

    ingest(mapping=local(mapping), **given)


def _check(*, warehouse: str, day: date, settings: Settings, accept_gates: bool, beam_args: Sequence[str]) -> str:
    from pipelines.runtime.check import require_listens
    from transforms.tables.warehouse import Warehouse

    require_listens(Warehouse(warehouse), day, settings.gates, accept_gates)
    return f"the log of {day} may be folded"


def _features(*, date_from: date | None, date_to: date, **given: Any) -> None:
    from pipelines.features import features

    features(date_from=date_from or date_to, date_to=date_to, **given)


def _exclusions(**given: Any) -> None:
    from pipelines.exclusions import exclusions

    exclusions(**given)


def _outcomes(*, warehouse: str, day: date, horizon: int | None, settings: Settings, beam_args: Sequence[str]) -> None:
    from pipelines.outcomes import outcomes
    from transforms.tables.warehouse import Warehouse

    horizons = sorted({*settings.outcomes.horizons, horizon or settings.bootstrap.days_apart})
    nights = Warehouse(warehouse).dates("candidates")
    if not any(day - timedelta(h) in nights for h in horizons):
        return  # on most of a new warehouse's dates no night's horizon closes
    outcomes(warehouse, day, settings=settings, horizons=horizons, beam_args=beam_args)


def _try_models(*, horizon: int | None, settings: Settings, **given: Any) -> None:
    from pipelines.try_models import try_models

    try_models(horizon=horizon or settings.bootstrap.days_apart, settings=settings, **given)


def _beliefs(**given: Any) -> None:
    from pipelines.beliefs import beliefs

    beliefs(**given)


def _train(*, candidates_only: bool, settings: Settings, **given: Any) -> None:
    from pipelines.runtime.schedule import bootstrap_settings
    from pipelines.train import train

    train(settings=bootstrap_settings(settings) if candidates_only else settings, **given)


def _train_ranker(*, horizon: int | None, settings: Settings, **given: Any) -> None:
    from pipelines.train_ranker import train_ranker

    train_ranker(horizon=horizon or settings.bootstrap.days_apart, settings=settings, **given)


def _score(*, fit_date: date | None, candidates_only: bool, greedy: bool, **given: Any) -> None:
    from pipelines.recommender.night import Asked
    from pipelines.score import score

    score(asked=Asked(fit_date, candidates_only, greedy), **given)


def _blend(**given: Any) -> None:
    from pipelines.blend import blend

    blend(**given)


def _file_prompts(**given: Any) -> None:
    from pipelines.file_prompts import file_prompts

    file_prompts(**given)


def _prompt(**given: Any) -> None:
    from pipelines.prompt import prompt

    prompt(**given)


def _evaluate(*, warehouse: str, day: date, **given: Any) -> None:
    from pipelines.evaluate import evaluate
    from transforms.tables.warehouse import Warehouse

    if Warehouse(warehouse).current("candidates", day) is None:
        return  # in a new warehouse's first days there is no night of a week ago
    evaluate(warehouse, day, **given)


def _experiments(**given: Any) -> None:
    from pipelines.experiments import experiments

    experiments(**given)


def _publish(*, settings: Settings, **given: Any) -> None:
    from dataflow_templates.publishing import publish

    publish(gates=settings.gates, **given)


def _export(**given: Any) -> None:
    from pipelines.export import export

    export(**given)


def _forget(*, settings: Settings, **given: Any) -> None:
    from pipelines.forget import forget

    forget(**given)


_STARTS: dict[str, Job] = {
    "ingest": _ingest,
    "check": _check,
    "features": _features,
    "exclusions": _exclusions,
    "outcomes": _outcomes,
    "try_models": _try_models,
    "beliefs": _beliefs,
    "train": _train,
    "train_ranker": _train_ranker,
    "score": _score,
    "blend": _blend,
    "file_prompts": _file_prompts,
    "prompt": _prompt,
    "evaluate": _evaluate,
    "experiments": _experiments,
    "publish": _publish,
    "export": _export,
    "forget": _forget,
}
TEMPLATES = {c.name: Template(c, options_of(c), _STARTS[c.name]) for c in COMMANDS}
