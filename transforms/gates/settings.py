"""Thresholds of the gates. A share stands between 0 and 1; a fall or a rise is a difference of shares."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from transforms.gates.drift import DriftSettings

CLOSED = ConfigDict(frozen=True, extra="forbid")


class BatchGates(BaseModel):
    """What an ingest is held to before any of its dates is committed."""

    model_config = CLOSED

    volume_low: float = Field(
        0.0, ge=0, description="least listens of the newest date, against the median; 0 where a day comes in parts"
    )
    volume_high: float = Field(4.0, gt=1, description="most listens of the newest date, against the median")
    rejects: float = Field(0.2, ge=0, le=1, description="largest share of refused lines")
    duplicates: float = Field(0.5, ge=0, le=1, description="largest share of lines that repeat others of the batch")
    unknown_rise: float = Field(0.3, ge=0, le=1, description="largest rise of the share of tracks new to the catalog")


class NightGates(BaseModel):
    """What a night is held to before its shelves are committed, and again before they are published."""

    model_config = CLOSED

    volume_low: float = Field(
        0.5, ge=0, description="least listens of the date, against the median of the dates before"
    )
    volume_high: float = Field(4.0, gt=1, description="most listens of the date, against that median")
    stale_days: int = Field(0, ge=0, description="days that the newest listens may be older than the night")
    rhythm: int = Field(
        3,
        ge=0,
        description="dates with listens in `history`, lately or over the whole log, below which the log is one with pauses: "
        "silence is no alarm while it is no longer than it ever was, or than `history`; 0 = always is",
    )
    model_days: int = Field(14, ge=0, description="days that what was learned from others may be older than the night")
    null_rise: float = Field(0.2, ge=0, le=1, description="largest rise of a column's share of nulls in the listens")
    unknown_tracks: float = Field(0.5, ge=0, le=1, description="largest share of the date's plays of unknown tracks")
    coverage: float = Field(1.0, ge=0, le=1, description="least share of the roster that has a row for every shelf")
    listeners_low: float = Field(0.9, ge=0, le=1, description="least size of the roster, against the night before")
    empty: float = Field(0.8, ge=0, le=1, description="largest share of empty rows over all shelves")
    personal_fall: float = Field(0.2, ge=0, le=1, description="largest fall of a shelf's share of personal rows")
    overlap_low: float = Field(0.02, ge=0, le=1, description="least share of items that stood on the shelf before")
    overlap_high: float = Field(0.999, ge=0, le=1, description="largest such share, of shelves that were chosen anew")
    carried_low: float = Field(0.5, ge=0, le=1, description="least such share of shelves that were carried")
    score_shift: float = Field(
        0.4, ge=0, le=1, description="largest distance (Kolmogorov-Smirnov) of the scores from those of nights before"
    )


class GateSettings(BaseModel):
    """The gates."""

    model_config = CLOSED

    enforce: bool = Field(True, description="a failed check stops the commit; false = it is only recorded")
    history: int = Field(7, ge=1, le=60, description="dates before, and nights before, that a new one is held against")
    min_history: int = Field(3, ge=1, description="of these needed before anything is held against them")
    min_rows: int = Field(1000, ge=1, description="rows below which a share, a volume or a distribution says nothing")
    ingest: BatchGates = Field(BatchGates(), description="before an ingest is committed")
    drift: DriftSettings = Field(DriftSettings(), description="when a night is said to differ from the nights before")
    night: NightGates = Field(NightGates(), description="before a night is committed and before it is published")
