"""Settings of Blend."""

from __future__ import annotations

from pydantic import BaseModel, Field


class BlendSettings(BaseModel, frozen=True, extra="forbid"):
    """The shelf that a group of listeners shares."""

    title: str = Field(default="Blend", min_length=1, description="title to show")
    size: int = Field(default=30, ge=1, le=200, description="tracks")
    spares: int = Field(default=10, ge=0, le=200, description="tracks that follow when one cannot be played")
    candidates: int = Field(
        default=200, ge=10, le=1000, description="best candidates of a member that others are offered"
    )
    fairness: float = Field(
        default=1.0,
        ge=0,
        le=10,
        description="0 = the mean of the members decides, 1 = proportional fairness, more = whoever is worst off",
    )
    guess: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="what a track that a member's own sources did not find is worth at most, by embeddings alone",
    )
    artist_cap: int = Field(
        default=2, ge=1, le=50, description="tracks of one artist at most, items and spares together"
    )
