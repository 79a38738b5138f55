"""What answering a date's prompts reads, makes and loads: planned at the launch, loaded once a process, without Beam.

plan = plan_prompts(past, settings, step_version)    None where nobody asked, or everything is answered
prompter = plan.work.prompter()                      models, catalog, names
prompter.answer(chunk)                               intents and playlists of its listeners
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from pipelines.recommender.artefacts import fetch
from pipelines.recommender.champion import models_date
from pipelines.recommender.fitting import Fitted
from pipelines.recommender.prompting import Prompter, PromptPlan
from pipelines.recommender.settings import ModelSettings, TrialSettings
from transforms.common.errors import UserError
from transforms.listening.suspects import SuspectSettings
from transforms.prompts.settings import PromptSettings
from transforms.tables.as_of import AsOf, all_tracks
from transforms.tables.chunks import Spec
from transforms.tables.manifest import Heading, Manifest
from transforms.tables.runs import Run, plan
from transforms.tables.schema import TABLES
from transforms.tables.specs import specs
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse

MADE = ("intents", "playlists")  # in commit order: readers enter at the last


class PromptingSettings(Protocol):
    """The settings that answering reads."""

    @property
    def shards(self) -> int: ...
    @property
    def models(self) -> ModelSettings: ...
    @property
    def trial(self) -> TrialSettings: ...
    @property
    def prompts(self) -> PromptSettings: ...
    @property
    def suspects(self) -> SuspectSettings: ...


@dataclass(frozen=True)
class Prompting:
    """What a worker needs to answer chunks of prompts. Picklable; `artists` is None where the warehouse has no names."""

    warehouse: str
    what: PromptPlan
    settings: ModelSettings
    models: Manifest
    catalog: Heading | None
    artists: Heading | None

    def prompter(self) -> Prompter:
        """Load everything, once a process.

        Raises:
            UserError: a file is damaged, or a model is later than the night.
        """
        warehouse = Warehouse(self.warehouse)
        fitted = Fitted.load(fetch(self.warehouse, self.models, self.what.day), self.settings)
        names = warehouse.read_manifest(self.artists) if self.artists is not None else None
        return Prompter(self.what, fitted, all_tracks(warehouse, self.catalog), names)


@dataclass(frozen=True)
class PromptsPlan:
    """Prompts that are to be answered: runs in the order of commit, shards, and the worker's part."""

    runs: Sequence[Run]
    specs: Sequence[Spec]
    work: Prompting


def prompting(past: AsOf, settings: PromptingSettings, version: str) -> Prompting:
    """The worker's part, as of a view's date.

    Raises:
        UserError: no models were made by then.
    """
    newest = past.newest("models")
    if newest is None:
        raise UserError(
            f"no models up to {past.day} in the warehouse; make a night first with `nightshelf run --date D`"
        )
    models = past.need("models", models_date(past, newest.date, settings.trial))
    artists = past.newest_or_first("artists") if "artists" in TABLES else None
    asked = settings.prompts
    model = (asked.model.name or asked.model.handler or asked.model.url) if asked.model.asked else ""
    what = PromptPlan(past.day, version, models.version, asked.answer, asked.aliases, model)
    return Prompting(past.url, what, settings.models, models, past.catalog(), artists)


def tables_of(past: AsOf, suspects: SuspectSettings) -> dict[str, list[Heading]]:
    """The listener-side tables that prompts are answered with, beside the prompts."""
    listeners, library = past.listeners(), past.newest("library")
    return {
        "listeners": [listeners] if listeners else [],
        "library": past.library(library.date) if library else [],
        "feedback": past.every("feedback"),
        "exclusions": past.every("exclusions"),
        "suspects": [] if suspects.personal else past.window("suspects", suspects.days),
    }


def plan_prompts(past: AsOf, settings: PromptingSettings, step_version: str) -> PromptsPlan | None:
    """Plan the answers of a view's date; None where nobody asked, or where they are current.

    Raises:
        UserError: no models were made by then, or a table is pinned.
    """
    prompts = past.current("prompts")
    if prompts is None:
        return None
    work = prompting(past, settings, "")
    back = settings.prompts.follow_days
    earlier = {t: past.window(t, back, until=past.day - timedelta(1)) for t in MADE}
    tables: dict[str, list[Heading]] = {**tables_of(past, settings.suspects), **earlier, "prompts": [prompts]}
    inputs = inputs_of(work.models, work.catalog, work.artists, *(m for found in tables.values() for m in found))
    if work.what.model and (own := past.current("intents")) is not None:
        tables["intents"] = [*tables["intents"], own]  # what a model has read is not asked for again
    described = settings.prompts.model_dump(mode="json")
    runs = [
        run
        for table in MADE
        if (
            run := plan(
                past.warehouse,
                table,
                past.day,
                shards=settings.shards,
                inputs=inputs,
                settings=described,
                step_version=step_version,
            )
        )
    ]
    if not runs:
        return None
    work = prompting(past, settings, runs[-1].version)
    return PromptsPlan(runs, specs(past.warehouse, settings.shards, tables), work)
