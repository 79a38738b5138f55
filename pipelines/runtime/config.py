"""All settings in one typed, validated object. `nightshelf config` prints it with every default.

Each section is declared beside the code it belongs to; this file only puts them together.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.settings import RankerSettings
from pipelines.recommender.arms import arm_settings, check_arms
from pipelines.recommender.registry import sources
from pipelines.recommender.settings import BootstrapSettings, CandidateSettings, ModelSettings, TrialSettings
from transforms.evaluation.measure import EvaluationSettings
from transforms.experiments.settings import ExperimentsSettings
from transforms.gates.settings import GateSettings
from transforms.ingest.cleaning import IngestSettings
from transforms.listening.co_listens import CoListenSettings
from transforms.listening.library import LibrarySettings
from transforms.listening.sessions import SessionSettings
from transforms.listening.suspects import SuspectSettings
from transforms.listening.track_stats import TrackStatsSettings
from transforms.outcomes.join import OutcomeSettings
from transforms.outcomes.rewards import RewardSettings
from transforms.prompts.settings import PromptSettings
from transforms.reporting.settings import CostSettings
from transforms.shelves.blend.settings import BlendSettings
from transforms.shelves.columns import known_columns
from transforms.shelves.settings import ShelvesSettings
from transforms.signals.settings import SignalSettings
from transforms.simulation.live_settings import LiveSettings
from transforms.tables.upkeep import RetentionSettings

CLOSED = ConfigDict(frozen=True, extra="forbid")


class Settings(BaseModel):
    """Every setting of Nightshelf."""

    model_config = CLOSED

    seed: int = Field(20260131, ge=0, description="seed of everything random")
    shards: int = Field(4, ge=1, description="shards of a table, a power of two: a shard's day should stay below 64 MB")
    processes: int | None = Field(
        None, ge=1, description="processes of this machine that a local night works in; null = by cores and memory"
    )
    ingest: IngestSettings = Field(IngestSettings(), description="cleaning of the log")
    sessions: SessionSettings = Field(SessionSettings(), description="listening sessions")
    suspects: SuspectSettings = Field(SuspectSettings(), description="listeners who are machines, by their behaviour")
    library: LibrarySettings = Field(LibrarySettings(), description="listeners' histories with tracks")
    track_stats: TrackStatsSettings = Field(TrackStatsSettings(), description="popularity")
    co_listens: CoListenSettings = Field(CoListenSettings(), description="tracks heard together")
    signals: SignalSettings = Field(SignalSettings(), description="signals: docs/signals.md")
    models: ModelSettings = Field(ModelSettings(), description="what is fitted before scoring")
    trial: TrialSettings = Field(TrialSettings(), description="trials of newly fitted models against earlier ones")
    candidates: CandidateSettings = Field(CandidateSettings(), description="candidates")
    ranker: RankerSettings = Field(RankerSettings(), description="the ranker")
    bootstrap: BootstrapSettings = Field(BootstrapSettings(), description="nights before the first ranker")
    shelves: ShelvesSettings = Field(ShelvesSettings(), description="shelves")
    blend: BlendSettings = Field(BlendSettings(), description="the shelf that a group of listeners shares")
    prompts: PromptSettings = Field(PromptSettings(), description="prompted playlists")
    outcomes: OutcomeSettings = Field(OutcomeSettings(), description="outcomes")
    rewards: RewardSettings = Field(RewardSettings(), description="what a shown track may be worth, and how it counts")
    evaluation: EvaluationSettings = Field(EvaluationSettings(), description="evaluation")
    gates: GateSettings = Field(GateSettings(), description="checks before anything becomes current or is published")
    cost: CostSettings = Field(CostSettings(), description="the machine whose price the report reckons with")
    retention: RetentionSettings = Field(RetentionSettings(), description="what `clean` may delete")
    experiments: ExperimentsSettings = Field(ExperimentsSettings(), description="experiments, running and closed")
    live: LiveSettings = Field(LiveSettings(), description="how the listeners of `nightshelf live` behave")

    @model_validator(mode="after")
    def _arms_have_settings(self) -> Settings:
        check_arms(self.experiments, self.shelves, known_columns([source.name for source in sources()]))
        return self

    @model_validator(mode="after")
    def _draws_have_something_to_go_by(self) -> Settings:
        every = [self.shelves, *arm_settings(self.experiments, self.shelves)]
        asked = any(s.exploration_of(one).policy == "thompson" for s in every for one in s.shelves)
        if asked and not self.rewards.weights.long_term:
            raise ValueError(
                "exploration policy thompson draws by what is not known yet of the long-term reward, which counts nothing in "
                "the order: set rewards.weights.long_term, or take policy softmax"
            )
        return self

    @field_validator("shards")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be a power of two, so that it can double on any date")
        return value

    @field_validator("shelves")
    @classmethod
    def _columns_are_known(cls, value: ShelvesSettings) -> ShelvesSettings:
        value.check_columns(known_columns(source.name for source in sources()))
        return value
