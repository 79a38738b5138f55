"""What a prompt asks for, as one typed record: the same whether rules or a language model read it.

What the text does not say is not in it: every field has a value for "not said". Hard are the exclusions, years, `explicit`
and the length; everything else is a wish (see `constraints`). Names keep the words they were said in, and the catalog's ids once
they are resolved.

    >>> Intent(tags=(Term(text="jazz"),), without_artists=(Name(text="kenny g"),)).said()
    ['without_artists', 'tags']
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_TRACKS = 500
MOST_MINUTES = 24 * 60


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Name(_Closed):
    """An artist or a track, as said; `ids` are the catalog's, empty where it has none of that name."""

    text: str = Field(min_length=1, max_length=200, description="as the prompt says it, folded")
    kind: Literal["artist", "track", "unknown"] = Field("unknown", description="what the catalog has of that name")
    ids: tuple[str, ...] = Field((), description="ids in the catalog")


class Term(_Closed):
    """A genre, mood, instrument, use or language; `ids` are tags of the catalog, empty where it has none of that name."""

    text: str = Field(min_length=1, max_length=100, description="as the prompt says it, folded")
    kind: Literal["genre", "mood", "instrument", "use", "country", "tag"] = Field("tag", description="of which kind")
    ids: tuple[str, ...] = Field((), description="tags in the catalog")


class Years(_Closed):
    """Release years, both included; an open end is null."""

    first: int | None = Field(None, ge=1000, le=2200, description="first year; null = any earlier one")
    last: int | None = Field(None, ge=1000, le=2200, description="last year; null = any later one")
    text: str = Field("", max_length=60, description="as the prompt says it, folded")

    @model_validator(mode="after")
    def _ordered(self) -> Years:
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ValueError("first must not be after last")
        return self

    def days(self) -> tuple[int, int]:
        """First and last day, counted from 1970-01-01."""
        low = (date(self.first, 1, 1) - date(1970, 1, 1)).days if self.first else -(10**7)
        high = (date(self.last, 12, 31) - date(1970, 1, 1)).days if self.last else 10**7
        return low, high


class Intent(_Closed):
    """Everything a prompt may ask for."""

    artists: tuple[Name, ...] = Field((), description="music by these")
    tracks: tuple[Name, ...] = Field((), description="these tracks themselves")
    like: tuple[Name, ...] = Field((), description="music like these artists or tracks")
    tags: tuple[Term, ...] = Field((), description="genres, moods, instruments, uses")
    languages: tuple[Term, ...] = Field((), description="languages or countries")
    without_artists: tuple[Name, ...] = Field((), description="nothing that credits these")
    without_tracks: tuple[Name, ...] = Field((), description="not these tracks, in any version")
    without_tags: tuple[Term, ...] = Field((), description="nothing that is tagged so")
    without_languages: tuple[Term, ...] = Field((), description="nothing in these")
    years: tuple[Years, ...] = Field((), description="released in any of these spans")
    without_years: tuple[Years, ...] = Field((), description="released in none of these spans")
    era: Literal["recent", "old"] | None = Field(None, description="recent or old, where no year is said")
    tempo: Literal["slow", "medium", "fast"] | None = Field(None, description="how fast")
    bpm: tuple[float, float] | None = Field(None, description="beats a minute, lowest and highest")
    explicit: Literal["no", "only"] | None = Field(None, description="no explicit content, or only such")
    familiarity: Literal["new", "known"] | None = Field(None, description="never heard by the listener, or heard")
    popularity: Literal["popular", "obscure"] | None = Field(None, description="hits, or what few know")
    size: int | None = Field(None, ge=1, le=MOST_TRACKS, description="number of tracks")
    minutes: float | None = Field(None, gt=0, le=MOST_MINUTES, description="length in minutes")
    order: Literal["rising", "falling", "newest", "oldest", "shuffled"] | None = Field(
        None, description="in what order"
    )
    unclear: tuple[str, ...] = Field((), description="what was said that no rule could place, for example two lengths")

    def said(self) -> list[str]:
        """Names of the fields that the prompt says something of, hard ones first."""
        order = [*HARD, *(name for name in Intent.model_fields if name not in HARD)]
        return [n for n in order if n != "unclear" and getattr(self, n) not in (None, ())]


HARD = ("without_artists", "without_tracks", "without_tags", "without_languages", "years", "without_years", "explicit",
        "size", "minutes")  # fmt: skip
NAMES = ("artists", "tracks", "like", "without_artists", "without_tracks")
TERMS = ("tags", "languages", "without_tags", "without_languages")
