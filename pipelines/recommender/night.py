"""What scoring a night reads, makes and loads: planned where it is launched, loaded once a process. It runs without Beam.

plan = plan_scoring(past, settings, Asked(), step_version)     None where the night is current
scorer = plan.work.scorer()                                    models, ranker, catalog, `session_sample`
for made in scorer.score(chunk): ...                           candidates, shelves, draws, vectors of its listeners
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import polars as pl

from pipelines.recommender.artefacts import fetch
from pipelines.recommender.champion import champion_of, held_back_by
from pipelines.recommender.earlier import CARRIED, Earlier, earlier_shelves, made_together
from pipelines.recommender.fitting import Fitted
from pipelines.recommender.scoring import Scorer
from pipelines.recommender.scoring_plan import UNTRAINED, Plan
from pipelines.recommender.settings import (
    READ_WHEN_SCORING,
    BootstrapSettings,
    CandidateSettings,
    ModelSettings,
    TrialSettings,
)
from transforms.common import plugins
from transforms.common.typed_names import LooksAt
from transforms.experiments.assignment import refuse_changes, registered
from transforms.experiments.settings import ExperimentsSettings
from transforms.ingest.artists import with_artist_names
from transforms.listening.library import LibrarySettings
from transforms.listening.suspects import SuspectSettings
from transforms.outcomes.rewards import RewardSettings
from transforms.shelves.home_learning import DAYS
from transforms.shelves.settings import ShelvesSettings
from transforms.signals.declared import Declared, Signal, recorded
from transforms.signals.plan import declared
from transforms.signals.settings import SignalSettings
from transforms.tables.as_of import AsOf, all_tracks
from transforms.tables.chunks import Spec
from transforms.tables.manifest import Heading, Manifest
from transforms.tables.roster import roster_size
from transforms.tables.runs import Run, plan
from transforms.tables.specs import specs
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse

SAID = ("sessions", "feedback", "exclusions", "suspects")
# in commit order: readers enter last
TABLES = ("candidates", "draws", "listener_embeddings", "removed", "market_defaults", "carried", "shelves")

SIGNAL_TABLES = ("listener_signals", "signal_values")


class NightSettings(Protocol):
    """The settings that scoring reads."""

    @property
    def seed(self) -> int: ...
    @property
    def shards(self) -> int: ...
    @property
    def models(self) -> ModelSettings: ...
    @property
    def library(self) -> LibrarySettings: ...
    @property
    def trial(self) -> TrialSettings: ...
    @property
    def candidates(self) -> CandidateSettings: ...
    @property
    def shelves(self) -> ShelvesSettings: ...
    @property
    def bootstrap(self) -> BootstrapSettings: ...
    @property
    def experiments(self) -> ExperimentsSettings: ...
    @property
    def suspects(self) -> SuspectSettings: ...
    @property
    def rewards(self) -> RewardSettings: ...
    @property
    def signals(self) -> SignalSettings: ...


@dataclass(frozen=True)
class Asked:
    """What of a night is asked for.

    Attributes:
        fit_date: use what was learned as of this date; None = the night itself.
        models_of: use the models of exactly this date; None = those of the fit date, or what a trial kept instead.
        candidates_only: stop after the candidates, as a night does that is made for the first ranker.
        greedy: the ranker's order under eligibility rules only.
        shelves, only: a preview of these shelves, of these listeners; nothing is committed.
    """

    fit_date: date | None = None
    candidates_only: bool = False
    greedy: bool = False
    shelves: Sequence[str] = ()
    only: Sequence[str] = ()
    models_of: date | None = None

    @property
    def preview(self) -> bool:
        """Whether nothing is to be committed."""
        return bool(self.shelves or self.only)

    @property
    def tables(self) -> Sequence[str]:
        """What is written, in the order of commit."""
        if self.candidates_only:
            return ("candidates",)
        if self.preview:
            return ("candidates", "shelves")
        return [
            t for t in TABLES if t != CARRIED or not self.greedy
        ]  # such a night reads no earlier shelves to hand on


WHOLE_NIGHT = Asked()


@dataclass(frozen=True)
class Scoring:
    """What a worker needs to score chunks of the night. Picklable.

    Attributes:
        what: the night's plan.
        before: the date of the newest earlier shelves.
        sample: table `session_sample` of the models' date; None = shelves do not continue sessions.
    """

    warehouse: str
    what: Plan
    settings: ModelSettings
    models: Manifest
    ranker: Manifest | None
    catalog: Heading | None
    artists: Heading | None
    sample: Manifest | None
    before: date | None
    beliefs: Manifest | None = None

    def scorer(self) -> Scorer:
        """Load everything, once a process.

        Raises:
            UserError: a file is damaged, or a model is later than the night.
        """
        from models.rankers.kinds import load
        from models.rankers.reward_heads import RewardHeads

        warehouse, day = Warehouse(self.warehouse), self.what.day
        fitted = Fitted.load(fetch(self.warehouse, self.models, day), self.settings)
        folder = fetch(self.warehouse, self.ranker, day) if self.ranker else None
        ranker, heads = (load(folder), RewardHeads.load(folder)) if folder else (None, None)
        beliefs = warehouse.read_manifest(self.beliefs).filter(pl.col("shelf_id") == "") if self.beliefs else None
        artists = warehouse.read_manifest(self.artists) if self.artists else None
        tracks = with_artist_names(all_tracks(warehouse, self.catalog), artists)
        sample = warehouse.read_manifest(self.sample) if self.sample and "next_in_session" in fitted.parts else None
        return Scorer(self.what, fitted, ranker, tracks, sample, heads, beliefs)


@dataclass(frozen=True)
class NightPlan:
    """A night that has something to make: runs by table in the order of commit, shards, and the worker's part."""

    runs: Sequence[Run]
    specs: Sequence[Spec]
    work: Scoring


@dataclass(frozen=True)
class Read:
    """What scoring reads, found before anything is planned.

    Attributes:
        fit: what was learned from other listeners is as of this date.
        trial: for which the models are not those of the fit date; None = they are.
        tables: listener-side, a chunk at a time.
        own: manifests among these that determine the night, and counts of looks.
    """

    fit: date
    trial: Heading | None
    models: Manifest
    ranker: Manifest | None
    beliefs: Manifest | None
    sample: Manifest | None
    catalog: Heading | None
    artists: Heading | None
    listeners: Heading | None
    earlier: Earlier
    tables: dict[str, list[Heading]]
    own: list[Heading]
    looked: list[Heading]
    signals: dict[str, Signal]

    @classmethod
    def of(cls, past: AsOf, settings: NightSettings, asked: Asked) -> Read:
        """Of a view's date.

        Raises:
            UserError: the library or the models are missing.
        """
        fit = asked.fit_date or past.day
        trial = None if asked.models_of else held_back_by(past, fit, settings.trial)
        learned = asked.models_of or (champion_of(trial) if trial else fit)
        models = past.need("models", learned)
        ranker = None if asked.candidates_only else past.current("rankers", fit)
        sample = None if asked.candidates_only else past.current("session_sample", learned)
        beliefs = None if asked.candidates_only else past.current("beliefs", fit)
        plain = asked.candidates_only or asked.greedy
        listeners = past.listeners()
        earlier = Earlier() if plain else earlier_shelves(past, settings.candidates.shelf_days)
        tables = tables_of(past, settings, asked, listeners, earlier)
        looked = [] if plain else past.window("looks", _days_of_looks(settings))
        named = (*SAID, *SIGNAL_TABLES, *earlier.tables, "impressions")
        own = [past.need("library"), *(m for t in named for m in tables[t]), *looked]
        learned_from = (trial, models, ranker, beliefs, sample, past.catalog(), past.artists(), listeners, earlier)
        return cls(fit, *learned_from, tables, own, looked, signals_of(past, settings, tables, fit))

    @property
    def inputs(self) -> dict[str, str]:
        """What a run of any of the night's tables records."""
        learned = (self.models, self.trial, self.ranker, self.beliefs, self.sample)
        return inputs_of(*learned, self.catalog, self.artists, self.listeners, *self.own)


def plan_scoring(past: AsOf, settings: NightSettings, asked: Asked, step_version: str) -> NightPlan | None:
    """Plan the night of a view's date; None where it is current.

    Raises:
        UserError: the library or the models are missing, or a table is pinned.
    """
    read = Read.of(past, settings, asked)
    if read.earlier.newest and (before_this := read.earlier.newest.settings.get("experiments")):
        refuse_changes(before_this, settings.experiments, past.day)
    inputs = read.inputs
    runs = [
        run
        for table in asked.tables
        if (
            run := plan(
                past.warehouse,
                table,
                past.day,
                shards=settings.shards,
                inputs=inputs,
                settings=described(table, settings, asked, read.fit, past.day, read.signals),
                step_version=step_version,
                seed=settings.seed,
            )
        )
    ]
    if not runs or (not asked.candidates_only and runs[-1].table != "shelves"):
        return None
    if CARRIED in asked.tables:
        runs = made_together(past, runs)
    work = scoring(past, settings, asked, read, {run.table: run.version for run in runs})
    return NightPlan(runs, specs(past.warehouse, settings.shards, read.tables), work)


def scoring(past: AsOf, settings: NightSettings, asked: Asked, read: Read, versions: Mapping[str, str]) -> Scoring:
    """The worker's part; `versions` of what is made stand in its rows."""
    enough = min(settings.candidates.keep_all_below - 1, settings.bootstrap.listeners)
    size = roster_size(past.warehouse, read.tables["library"], read.listeners, past.day, enough)
    what = Plan(
        day=past.day,
        seed=settings.seed,
        k=settings.candidates.per_source,
        # a night for the first ranker is a sample already: all of it is kept
        keep=1.0
        if asked.candidates_only or size < settings.candidates.keep_all_below
        else settings.candidates.keep_share,
        sample=min(1.0, settings.bootstrap.listeners / max(size, 1)) if asked.candidates_only else 1.0,
        shelves=not asked.candidates_only,
        greedy=asked.greedy,
        model_version=read.models.version,
        ranker_version=read.ranker.version if read.ranker else None,
        versions=dict(versions),
        settings=settings.shelves,
        experiments=settings.experiments,
        sources=settings.candidates.sources,
        continuation=settings.candidates.continuation,
        cut=settings.candidates.cut,
        only=tuple(asked.only),
        only_shelves=tuple(asked.shelves),
        library=settings.library,
        rewards=settings.rewards,
        signals=read.signals,
        looked=sums(read.looked),
        shelf_days=settings.candidates.shelf_days,
    )
    learned = (read.models, read.ranker, read.catalog, read.artists, read.sample)
    return Scoring(past.url, what, settings.models, *learned, read.earlier.date, read.beliefs)


def tables_of(
    past: AsOf, settings: NightSettings, asked: Asked, listeners: Heading | None, earlier: Earlier
) -> dict[str, list[Heading]]:
    """The listener-side tables that scoring reads, a chunk at a time."""
    plain = asked.candidates_only or asked.greedy
    return {
        "listeners": [listeners] if listeners else [],
        "library": past.library(),
        "sessions": past.window("sessions", settings.candidates.session_days),
        "feedback": past.every("feedback"),
        "exclusions": past.every("exclusions"),
        "suspects": [] if settings.suspects.personal else past.window("suspects", settings.suspects.days),
        "listener_signals": past.window("listener_signals", settings.signals.window_days),
        "signal_values": past.every("signal_values"),
        **earlier.tables,
        "looks": [] if plain else past.window("looks", DAYS),
        "impressions": [] if plain else past.window("impressions", settings.candidates.shelf_days),
    }


def _days_of_looks(settings: NightSettings) -> int:
    return max(DAYS, settings.shelves.home.window_days)


def sums(looks: Sequence[Heading]) -> dict[str, int]:
    """Counts of looks by `LooksAt` over some dates, from their manifests alone."""
    found: dict[str, int] = {}
    for name, n in (item for manifest in looks for item in manifest.extra.items()):
        if LooksAt.parse(name) is not None:
            found[name] = found.get(name, 0) + n
    return found


def signals_of(
    past: AsOf, settings: NightSettings, tables: Mapping[str, Sequence[Heading]], fit: date
) -> dict[str, Signal]:
    """The signals that a night's rankers read: those that are known of its listeners, or of tracks as of the fit date."""
    tracks = past.window("track_signals", settings.signals.window_days, until=fit)
    known = [*(m for t in SIGNAL_TABLES for m in tables[t]), *tracks, *past.every("track_values")]
    return settings.signals.signals(declared(known)) if known else {}


def described(
    table: str, settings: NightSettings, asked: Asked, fit: date, day: date, signals: Declared
) -> dict[str, Any]:
    """What of the settings and of the request a table's version depends on.

    A shelf's title stands on the shelf alone. What is considered and drawn does not depend on it, and so a ranker, which
    learns from that, is not fitted again for it; of a night that has no shelves, nor for any of their settings.
    """
    found: dict[str, Any] = {
        "candidates": settings.candidates.model_dump(mode="json"),
        "library": settings.library.model_dump(mode="json", include={"decay", "half_life_days"}),
        "rewards": settings.rewards.model_dump(mode="json", include={"rewards", "weights"}),
        "bootstrap": settings.bootstrap.model_dump(mode="json"),
        "models": settings.models.model_dump(mode="json", include=set(READ_WHEN_SCORING)),
        "experiments": registered(settings.experiments, day),
        "greedy": asked.greedy,
        "signals": {"window_days": settings.signals.window_days, "declared": recorded(signals)},
        "fit_date": fit.isoformat(),
        "candidates_only": asked.candidates_only,
        **plugins.touching("sources", "parts", "rules"),
    }
    if asked.candidates_only:
        # how sessions go on orders a shelf, and such a night has none; the workflow fits it all the same
        for name in ("next_in_session", "use_next_in_session"):
            found["models"].pop(name, None)
    else:
        found["shelves"] = settings.shelves.model_dump(mode="json")
        if table != "shelves":
            for shelf in found["shelves"]["shelves"]:
                del shelf["title"]
    if asked.preview:
        found |= {"preview_shelves": sorted(asked.shelves), "preview_listeners": len(asked.only)}
    return dict(json.loads(json.dumps(found)))


def ranker_kind(scorer: Scorer) -> str:
    """The kind of the night's ranker, as its checks name it."""
    return str(scorer.ranker.kind) if scorer.ranker else UNTRAINED
