"""Settings of what is fitted and tried, of what is scored and stored of a night, and of the nights before the first ranker."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.clusters import ClusterSettings
from models.settings import (
    AlsSettings,
    ApproximateSettings,
    DecoderSettings,
    HistorySettings,
    PreferenceSettings,
    SemanticIdSettings,
    SequenceSettings,
    TwoTowerSettings,
)
from models.threads import DEFAULT
from transforms.candidates.adjacent_artists import AdjacencySettings
from transforms.candidates.ease import EaseSettings
from transforms.candidates.neighbours import NeighbourSettings
from transforms.candidates.settings import ContinueSettings, CutSettings, SourceSettings
from transforms.candidates.similar_listeners import ProfileSettings
from transforms.next_in_session.fitted import NextModelSettings

CLOSED = ConfigDict(frozen=True, extra="forbid")
READ_WHEN_SCORING = (
    "history",
    "use_next_in_session",
    "next_in_session",
    "plugins",
    "threads",
    "approximate",
)  # of ModelSettings, by the parts' `load`


class ModelSettings(BaseModel):
    """Settings of everything that is fitted before scoring."""

    model_config = CLOSED

    als: AlsSettings = Field(AlsSettings(), description="iALS")
    two_tower: TwoTowerSettings = Field(TwoTowerSettings(), description="two-tower retrieval")
    use_two_tower: bool = Field(True, description="train the two-tower model")
    sequence: SequenceSettings = Field(
        SequenceSettings(
            layers=1,
            length=50,
            epochs=1,
            batch=64,
            positions=1.0,
            negatives=256,
            full_softmax=2000,
            windows=3072,
            warm_up=10,
            learning_rate=3e-3,
        ),
        description="the sequence model, trained for seconds; more windows and epochs pay with a larger audience",
    )
    use_sequence: bool = Field(True, description="train the sequence model")
    use_generative: bool = Field(
        False, description="give tracks semantic ids (table `semantic_ids`) and fit the source `generative`"
    )
    semantic_ids: SemanticIdSettings = Field(SemanticIdSettings(), description="how tracks get semantic ids")
    decoder: DecoderSettings = Field(
        DecoderSettings(), description="what generates them, trained for seconds like the sequence model"
    )
    use_preference: bool = Field(
        False,
        description="tune the decoder by what listeners preferred of what they were shown; needs use_generative, and ships only "
        "where it is shown to be better",
    )
    preference: PreferenceSettings = Field(
        PreferenceSettings(), description="how the decoder is tuned by preferences, and what it must show to be used"
    )
    use_next_in_session: bool = Field(True, description="learn how sessions go on, for `now-playing`")
    next_in_session: NextModelSettings = Field(NextModelSettings(), description="what is learned of sessions")
    history: HistorySettings = Field(HistorySettings(), description="histories as the two-tower model reads them")
    neighbours: NeighbourSettings = Field(NeighbourSettings(), description="track-to-track neighbours")
    use_ease: bool = Field(False, description="fit the source `ease`; the ranker gained nothing from it where measured")
    ease: EaseSettings = Field(EaseSettings(), description="what predicts a track within its neighbourhood")
    use_adjacent_artists: bool = Field(
        False,
        description="fit the source `adjacent_artists`; it finds more, but the order gained nothing where measured",
    )
    adjacency: AdjacencySettings = Field(AdjacencySettings(), description="what makes artists near")
    clusters: ClusterSettings = Field(
        ClusterSettings(clusters=4096, listeners_per_cluster=3), description="clusters of listeners"
    )
    profiles: ProfileSettings = Field(ProfileSettings(), description="what is kept of a cluster")
    sample_listeners: int = Field(2_000_000, ge=1, description="listeners learned from at most, a hashed sample")
    approximate: ApproximateSettings = Field(
        ApproximateSettings(), description="approximate search of the sources that score by a dot product"
    )
    threads: int = Field(
        DEFAULT,
        ge=1,
        description="threads TensorFlow computes with, whatever the machine has: another number sums in another order, so it is "
        "part of the models' version",
    )
    plugins: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="settings of the fitted parts that plugins bring, by the part's name"
    )

    @model_validator(mode="after")
    def _decoder_to_tune(self) -> ModelSettings:
        if self.use_preference and not self.use_generative:
            raise ValueError("use_preference tunes the decoder, so it needs use_generative")
        return self


class CandidateSettings(BaseModel):
    """What is retrieved, what of it is stored, and how far back scoring reads."""

    model_config = CLOSED

    sources: SourceSettings = Field(SourceSettings(), description="sources over the catalog and over one's own past")
    continuation: ContinueSettings = Field(ContinueSettings(), description="the session that `now-playing` continues")
    cut: CutSettings | None = Field(
        CutSettings(), description="what is kept of the sources' union before the ranker; null = all"
    )
    per_source: int = Field(300, ge=1, le=2000, description="tracks a source and listener, before the ranker")
    keep_all_below: int = Field(100_000, ge=0, description="listeners below which all candidates are stored")
    keep_share: float = Field(0.01, gt=0, le=1, description="share of listeners whose candidates are all stored, above")
    session_days: int = Field(30, ge=1, description="days of sessions that scoring reads")
    shelf_days: int = Field(28, ge=1, description="days of earlier shelves that carrying and cool-down look back")


class TrialSettings(BaseModel):
    """How newly fitted models are tried against earlier ones, on a stored night that neither has seen."""

    model_config = CLOSED

    listeners: int = Field(
        500,
        ge=0,
        description="listeners of that night tried on at most, of whole shards; 0 = never, the newest are used",
    )


class BootstrapSettings(BaseModel):
    """Nights made before the first ranker, so that it has something to learn from."""

    model_config = CLOSED

    nights: int = Field(3, ge=1, le=12, description="nights made at most; two more where a short log has them closer")
    days_apart: int = Field(
        7, ge=1, le=28, description="days between them, and the horizon of the ranker's labels, at most: see share"
    )
    share: float = Field(
        0.12,
        gt=0,
        lt=1,
        description="of the last 90 dates' listens, what the days between hold at least: a short log's nights stand closer",
    )
    listeners: int = Field(20_000, ge=1, description="listeners they are made for at most, a hashed sample")
    ranker_nights: int = Field(6, ge=1, description="stored nights that a ranker learns from at most, the newest")
