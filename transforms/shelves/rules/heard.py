"""What was heard before, how often and how long ago: the rules of shelves of new and of known music.

unheard         no track of the recording was heard or is owned, and none was sampled (played for less than 30 s)
                in the last days
heard           the other way round, for shelves of one's own music
unheard_artist  no track that credits one of its artists was heard
rest            the recording was last heard so many days ago, or longer: by the listener's history and rhythm, within bounds
min_plays       the track was played so often, or is saved
in_taste        not heard only in sessions that the listener took out of their taste
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from transforms.shelves.rules.reads import Facts
from transforms.shelves.rules.registry import Parameters, rule

DAY_US = 86_400_000_000


class Unheard(Parameters):
    """When a track counts as new."""

    sampled_days: int = Field(90, ge=0, description="days a sampled recording stays out")


class Rest(Parameters):
    """How long a recording is left alone: by the listener's history and rhythm, within bounds.

    days wanted = min(share of the days since they were first heard of,
                      median days since they last heard what they heard more than once), within [least, days]

    A log of 60 days knows nothing that rested for 60; who comes back to their tracks every day has left one alone sooner than
    who plays twice a month; a listener of ten years has not forgotten what they heard in May.
    """

    days: int = Field(60, ge=1, description="days since the recording was last heard that are always enough")
    least: int = Field(7, ge=1, description="days that are needed however short the history and quick the rhythm")
    share: float = Field(
        0.25,
        gt=0,
        le=1,
        description="between the two, share of the days since the listener was first heard of, if their rhythm is no quicker",
    )


class Plays(Parameters):
    """A number of plays."""

    plays: int = Field(3, ge=1, description="plays of the track, at least (a saved track passes)")


@rule("unheard", "heard before, or sampled lately", Unheard, again=True)
def unheard(facts: Facts, parameters: Unheard, shelf_id: str) -> np.ndarray:
    """Decided by recording."""
    since = facts.cutoff_us - parameters.sampled_days * DAY_US
    return facts.heard | (facts.sampled >= since)


@rule("heard", "never heard")
def heard(facts: Facts, _: Parameters, shelf_id: str) -> np.ndarray:
    """Recordings of which no track was heard."""
    return ~facts.heard


@rule("unheard_artist", "one of its artists was heard before", again=True)
def unheard_artist(facts: Facts, _: Parameters, shelf_id: str) -> np.ndarray:
    """Any credit counts."""
    return facts.artist_heard


@rule("rest", "heard too lately", Rest)
def rest(facts: Facts, parameters: Rest, shelf_id: str) -> np.ndarray:
    """A track whose last play is unknown does not pass; nor does one of fewer than `days` where no history is known."""
    wanted = np.fmin(facts.history_days * parameters.share, facts.rhythm_days)
    wanted = np.clip(wanted, min(parameters.least, parameters.days), parameters.days)
    wanted = np.where(np.isnan(wanted), parameters.days, wanted)[facts.listener]
    return (facts.last_heard < 0) | (facts.last_heard > facts.cutoff_us - wanted * DAY_US)


@rule("min_plays", "played too seldom", Plays)
def min_plays(facts: Facts, parameters: Plays, shelf_id: str) -> np.ndarray:
    """Plays of the very track."""
    return ~((facts.column("plays") >= parameters.plays) | (facts.column("saved") > 0))


@rule("in_taste", "heard only in sessions that the listener took out of their taste")
def in_taste(facts: Facts, _: Parameters, shelf_id: str) -> np.ndarray:
    """Recordings heard of which no play is left in the listener's taste."""
    return facts.heard & ~((facts.column("plays") > 0) | (facts.column("saved") > 0))
