"""Settings of the sources that read the catalog or the listener's own past: nothing in them is fitted.

What is fitted (neighbours, clusters, adjacent artists, models) is switched in the section `models`.

    >>> SourceSettings(albums=False).albums
    False
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class SourceSettings(BaseModel, frozen=True, extra="forbid"):
    """Which of these sources are asked, and how far they reach. Where the catalog lacks the columns, one is not there."""

    artists: bool = Field(True, description="other tracks of artists one plays")
    new_releases: bool = Field(True, description="their new tracks")
    new_for_days: int = Field(90, ge=1, le=365, description="days that a release is new")
    albums: bool = Field(True, description="the rest of albums of which one heard some, what comes next first")
    content: bool = Field(True, description="tracks that nobody played in the window, by artists and tags")
    content_tracks: int = Field(
        20_000, ge=1, description="such tracks compared at most, of the most played artists first"
    )
    rediscover: bool = Field(True, description="heard tracks that rest, by activation; for the shelf Rediscover")
    rest_days: int = Field(
        28,
        ge=1,
        description="days since a track was last heard until it may be rediscovered, at most; a quarter of a "
        "shorter history, less where what is played again was mostly played lately, and no less than 7 days",
    )


class CutSettings(BaseModel, frozen=True, extra="forbid"):
    """How the sources' union is cut before the ranker's dearer features are computed; see `transforms.candidates.cut`."""

    best: int = Field(
        300, ge=1, description="candidates kept a listener by the sources' blend, unheard and heard ones each"
    )
    of_each: int = Field(50, ge=0, description="every source's best, kept whatever the blend says")


class ContinueSettings(BaseModel, frozen=True, extra="forbid"):
    """Which session goes on, and how."""

    session: Literal["open", "last"] = Field(
        "open",
        description="what `now-playing` simply continues: a session that is open at the night's end (or is all that is "
        "known of its listener), or the last session whatever",
    )
    repeats: bool = Field(True, description="a track of the session may come again")
    tracks: int = Field(60, ge=1, le=500, description="tracks that continue a session")
