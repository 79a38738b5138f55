"""The templates by name: what each is told, and the one job it starts.

Each function calls a job as the command line does, so a graph does not depend on who launched it. What the job reads at launch
(manifests, the settings file, an input's hash) the launching machine reads; tables and models are read by workers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow_templates import options as told
from transforms.common.errors import UserError

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

Job = Callable[[Any, Sequence[str]], str | None]  # says what it found where it starts no graph


@dataclass(frozen=True)
class Template:
    """A Flex Template.

    Attributes:
        name: of the template, its files, and the label of its jobs.
        title, description: for whoever launches it.
        options: the PipelineOptions it is told.
        run: starts the job, given the options and Beam's arguments.
        one_process: its workers run one Python process each, because one step needs the memory of all of them.
    """

    name: str
    title: str
    description: str
    options: type[told.TemplateOptions]
    run: Job
    one_process: bool = False


def settings_of(options: Any) -> Settings:
    """The settings of `--config`, defaults without one."""
    from pipelines.runtime.config import Settings as Model
    from pipelines.runtime.settings_file import load

    return load(Model, local(options.config))


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


def day(text: str, name: str = "date") -> date:
    """A date.

    Raises:
        UserError: there is no such day.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"--{name}: expected a day of the calendar as YYYY-MM-DD, found {text!r}") from error


def _ingest(o: Any, beam_args: Sequence[str]) -> None:
    from pipelines.ingest import ingest

    ingest(
        o.warehouse,
        o.format,
        o.input.split(","),
        mapping=local(o.mapping),
        tracks=o.tracks,
        listeners_file=o.listeners_file,
        feedback=o.feedback,
        impressions=o.impressions,
        end_date=day(o.end_date, "end_date") if o.end_date else None,
        anonymous=o.anonymous == "true",
        pseudonym_key_file=o.pseudonym_key_file,
        accept_gates=o.accept_gates == "true",
        settings=settings_of(o),
        beam_args=beam_args,
    )


def _check(o: Any, beam_args: Sequence[str]) -> str:
    from pipelines.runtime.check import require_listens
    from transforms.tables.warehouse import Warehouse

    night = day(o.date)
    require_listens(Warehouse(o.warehouse), night, settings_of(o).gates, o.accept_gates == "true")
    return f"the log of {night} may be folded"


def _features(o: Any, beam_args: Sequence[str]) -> None:
    from pipelines.features import features

    last = day(o.date)
    first = day(o.from_date, "from_date") if o.from_date else last
    features(o.warehouse, first, last, settings=settings_of(o), beam_args=beam_args)


def _exclusions(o: Any, beam_args: Sequence[str]) -> None:
    from pipelines.exclusions import exclusions

    exclusions(o.warehouse, day(o.date), settings=settings_of(o), beam_args=beam_args)


def _outcomes(o: Any, beam_args: Sequence[str]) -> None:
    from datetime import timedelta

    from pipelines.outcomes import outcomes
    from transforms.tables.warehouse import Warehouse

    settings, last = settings_of(o), day(o.date)
    horizons = sorted({*settings.outcomes.horizons, _horizon(o, settings)})
    nights = Warehouse(o.warehouse).dates("candidates")
    if not any(last - timedelta(h) in nights for h in horizons):
        return  # on most of a new warehouse's dates no night's horizon closes
    outcomes(o.warehouse, last, settings=settings, horizons=horizons, beam_args=beam_args)


def _horizon(o: Any, settings: Settings) -> int:
    return int(o.horizon) if o.horizon else settings.bootstrap.days_apart


def _train(o: Any, beam_args: Sequence[str]) -> None:
    from pipelines.nightly import bootstrap_settings
    from pipelines.train import train

    settings = settings_of(o)
    settings = bootstrap_settings(settings) if o.candidates_only == "true" else settings
    train(o.warehouse, day(o.date), settings=settings, beam_args=beam_args)


def _train_ranker(o: Any, beam_args: Sequence[str]) -> None:
    from pipelines.train_ranker import train_ranker

    settings = settings_of(o)
    horizon = _horizon(o, settings)
    train_ranker(o.warehouse, day(o.date), settings=settings, horizon=horizon, beam_args=beam_args)


def _score(o: Any, beam_args: Sequence[str]) -> None:
    from pipelines.recommender.night import Asked
    from pipelines.score import score

    fit = day(o.fit_date, "fit_date") if o.fit_date else None
    score(
        o.warehouse,
        day(o.date),
        settings=settings_of(o),
        asked=Asked(fit, candidates_only=o.candidates_only == "true", greedy=o.greedy == "true"),
        accept_gates=o.accept_gates == "true",
        beam_args=beam_args,
    )


def _evaluate(o: Any, beam_args: Sequence[str]) -> None:
    from pipelines.evaluate import evaluate
    from transforms.tables.warehouse import Warehouse

    night = day(o.date)
    if Warehouse(o.warehouse).current("candidates", night) is None:
        return  # in a new warehouse's first days there is no night of a week ago
    evaluate(o.warehouse, night, int(o.days), settings=settings_of(o), beam_args=beam_args)


def _publish(o: Any, beam_args: Sequence[str]) -> None:
    from dataflow_templates.publishing import publish

    publish(
        o.warehouse,
        day(o.date),
        o.to,
        o.tables.split(","),
        keep_days=int(o.keep_days),
        gates=settings_of(o).gates,
        accept_gates=o.accept_gates == "true",
        beam_args=beam_args,
    )


def _forget(o: Any, beam_args: Sequence[str]) -> None:
    from pipelines.forget import forget

    forget(
        o.warehouse,
        listeners_file=o.listeners_file,
        published=o.published,
        pseudonym_key_file=o.pseudonym_key_file,
        beam_args=beam_args,
    )


_ALL = (
    Template(
        "ingest",
        "Nightshelf: ingest",
        "A listening log into the warehouse: cleaned, counted, split by listener, filed by date.",
        told.IngestOptions,
        _ingest,
    ),
    Template(
        "check",
        "Nightshelf: check the log",
        "Volume, freshness and nulls of a date's listens, before the date is folded and closed.",
        told.CheckOptions,
        _check,
    ),
    Template(
        "features",
        "Nightshelf: features",
        "Days folded into sessions, library, track statistics and co-listens.",
        told.FeaturesOptions,
        _features,
    ),
    Template(
        "exclusions",
        "Nightshelf: exclusions",
        "The plays that feedback has taken out of a listener's taste, as of a date.",
        told.DateOptions,
        _exclusions,
    ),
    Template(
        "outcomes",
        "Nightshelf: outcomes",
        "What became of the stored nights whose horizons close on a date.",
        told.HorizonOptions,
        _outcomes,
    ),
    Template(
        "train",
        "Nightshelf: train",
        "Everything a night learns from other listeners, fitted as of a date.",
        told.TrainOptions,
        _train,
        one_process=True,
    ),
    Template(
        "train_ranker",
        "Nightshelf: train the ranker",
        "The ranker, fitted on stored nights and their outcomes.",
        told.HorizonOptions,
        _train_ranker,
        one_process=True,
    ),
    Template(
        "score",
        "Nightshelf: score",
        "Every listener scored: candidates, draws and shelves of a night.",
        told.ScoreOptions,
        _score,
    ),
    Template(
        "evaluate",
        "Nightshelf: evaluate",
        "A stored night, its sources and the baselines against what was listened to afterwards.",
        told.EvaluateOptions,
        _evaluate,
    ),
    Template(
        "publish",
        "Nightshelf: publish",
        "A night into BigQuery: loaded, counted, then the view replaced.",
        told.PublishOptions,
        _publish,
    ),
    Template(
        "forget",
        "Nightshelf: forget",
        "People removed from every table, stored night and published copy.",
        told.ForgetOptions,
        _forget,
    ),
)
TEMPLATES = {t.name: t for t in _ALL}
