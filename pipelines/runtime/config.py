"""All settings in one typed, validated object. `nightshelf config` prints it with every default.

Each section is declared beside the code it belongs to; this file only puts them together.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.settings import RankerSettings
from pipelines.recommender.fitting import ModelSettings
from transforms.candidates.settings import ContinueSettings, SourceSettings
from transforms.evaluation.measure import EvaluationSettings
from transforms.gates.settings import GateSettings
from transforms.ingest.cleaning import IngestSettings
from transforms.listening.co_listens import CoListenSettings
from transforms.listening.library import LibrarySettings
from transforms.listening.sessions import SessionSettings
from transforms.listening.track_stats import TrackStatsSettings
from transforms.outcomes.join import OutcomeSettings
from transforms.reporting.cost import CostSettings
from transforms.shelves.settings import ShelvesSettings
from transforms.tables.upkeep import RetentionSettings

CLOSED = ConfigDict(frozen=True, extra="forbid")


class CandidateSettings(BaseModel):
    """What is retrieved, what of it is stored, and how far back scoring reads."""

    model_config = CLOSED

    sources: SourceSettings = Field(SourceSettings(), description="sources over the catalog and over one's own past")
    continuation: ContinueSettings = Field(ContinueSettings(), description="the session that `now-playing` continues")
    per_source: int = Field(300, ge=1, le=2000, description="tracks a source and listener, before the ranker")
    keep_all_below: int = Field(100_000, ge=0, description="listeners below which all candidates are stored")
    keep_share: float = Field(0.01, gt=0, le=1, description="share of listeners whose candidates are all stored, above")
    session_days: int = Field(30, ge=1, description="days of sessions that scoring reads")
    shelf_days: int = Field(28, ge=1, description="days of earlier shelves that carrying and cool-down read")


class BootstrapSettings(BaseModel):
    """Nights made before the first ranker, so that it has something to learn from."""

    model_config = CLOSED

    nights: int = Field(3, ge=1, le=12, description="nights made; a shorter log spaces them proportionally")
    days_apart: int = Field(7, ge=1, le=28, description="days between them, and the horizon of the ranker's labels")
    listeners: int = Field(20_000, ge=1, description="listeners they are made for at most, a hashed sample")
    ranker_nights: int = Field(6, ge=1, description="stored nights that a ranker learns from at most, the newest")


class Settings(BaseModel):
    """Every setting of Nightshelf."""

    model_config = CLOSED

    seed: int = Field(20260131, ge=0, description="seed of everything random")
    shards: int = Field(4, ge=1, description="shards of a table, a power of two: a shard's day should stay below 64 MB")
    ingest: IngestSettings = Field(IngestSettings(), description="cleaning of the log")
    sessions: SessionSettings = Field(SessionSettings(), description="listening sessions")
    library: LibrarySettings = Field(LibrarySettings(), description="listeners' histories with tracks")
    track_stats: TrackStatsSettings = Field(TrackStatsSettings(), description="popularity")
    co_listens: CoListenSettings = Field(CoListenSettings(), description="tracks heard together")
    models: ModelSettings = Field(ModelSettings(), description="what is fitted before scoring")
    candidates: CandidateSettings = Field(CandidateSettings(), description="candidates")
    ranker: RankerSettings = Field(RankerSettings(), description="the ranker")
    bootstrap: BootstrapSettings = Field(BootstrapSettings(), description="nights before the first ranker")
    shelves: ShelvesSettings = Field(ShelvesSettings(), description="shelves")
    outcomes: OutcomeSettings = Field(OutcomeSettings(), description="outcomes")
    evaluation: EvaluationSettings = Field(EvaluationSettings(), description="evaluation")
    gates: GateSettings = Field(GateSettings(), description="checks before anything becomes current or is published")
    cost: CostSettings = Field(CostSettings(), description="the machine whose price the report reckons with")
    retention: RetentionSettings = Field(RetentionSettings(), description="what `clean` may delete")

    @field_validator("shards")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be a power of two, so that it can double on any date")
        return value
