"""Settings of what is scored and stored of a night, and of the nights made before the first ranker."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from transforms.candidates.settings import ContinueSettings, CutSettings, SourceSettings

CLOSED = ConfigDict(frozen=True, extra="forbid")


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
    shelf_days: int = Field(28, ge=1, description="days of earlier shelves that carrying and cool-down read")


class BootstrapSettings(BaseModel):
    """Nights made before the first ranker, so that it has something to learn from."""

    model_config = CLOSED

    nights: int = Field(3, ge=1, le=12, description="nights made; a shorter log spaces them proportionally")
    days_apart: int = Field(7, ge=1, le=28, description="days between them, and the horizon of the ranker's labels")
    listeners: int = Field(20_000, ge=1, description="listeners they are made for at most, a hashed sample")
    ranker_nights: int = Field(6, ge=1, description="stored nights that a ranker learns from at most, the newest")
