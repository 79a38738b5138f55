"""Length, age and audience of the track itself."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from transforms.shelves.rules.reads import Facts
from transforms.shelves.rules.registry import Parameters, rule
from transforms.shelves.tracks import UNKNOWN_DATE


class Seconds(Parameters):
    """Limits of length; a track of unknown length passes."""

    least: int = Field(0, ge=0, description="seconds, at least")
    most: int = Field(24 * 3600, ge=1, description="seconds, at most")


class Age(Parameters):
    """How long ago a track came out."""

    days: int = Field(90, ge=1, description="days since its release, at most; an unknown date does not pass")


class Audience(Parameters):
    """How many have heard a track."""

    most: float = Field(20, ge=0, description="listeners, at most (as models know them; halved with time)")


@rule("duration", "too short or too long", Seconds, again=True)
def duration(facts: Facts, limits: Seconds, shelf_id: str) -> np.ndarray:
    """Skits and hour-long mixes."""
    length = facts.tracks.duration[facts.track]
    return (length >= 0) & ((length < limits.least * 1000) | (length > limits.most * 1000))


@rule("released_within", "released too long ago", Age)
def released_within(facts: Facts, age: Age, shelf_id: str) -> np.ndarray:
    """What is not new any more."""
    released = facts.tracks.released[facts.track]
    return (released == UNKNOWN_DATE) | (released <= facts.night_number - age.days)


@rule("few_listeners", "too many have heard it", Audience)
def few_listeners(facts: Facts, audience: Audience, shelf_id: str) -> np.ndarray:
    """What is known well already."""
    return facts.column("listeners") > audience.most
