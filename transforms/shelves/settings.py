"""Settings of the shelves: one entry a shelf, in the order in which they settle repeats and stand on their surface.

A new shelf is a new entry: which rows it may take (`pool`, `requires`, `rest_days`, `min_plays`), what orders them,
how many of one artist, how many slots stay open for draws, how often it changes.

    >>> [shelf.shelf_id for shelf in ShelvesSettings().shelves]
    ['discover-weekly', 'on-repeat', 'rediscover', 'popular-now', 'now-playing']
    >>> ShelvesSettings().shelf("discover-weekly").refresh
    'monday'
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from transforms.common.errors import UserError

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Refresh = Literal["daily", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class ShelfSettings(BaseModel, frozen=True, extra="forbid"):
    """One shelf."""

    shelf_id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="the same every week")
    title: str = Field(min_length=1, description="title to show")
    surface: str = Field(default="home", description="where it stands; no recording stands twice on one surface")
    size: int = Field(default=20, ge=1, le=500, description="items")
    spares: int = Field(default=10, ge=0, le=500, description="tracks that follow when an item cannot be played")
    pool: Literal["unheard", "heard", "any", "popular"] = Field(
        default="unheard",
        description="candidates never heard, heard before, all of them, or the most popular of the market",
    )
    requires: tuple[str, ...] = Field(
        default=(), description="a candidate needs a positive value in one of these columns"
    )
    preferred: str | None = Field(
        default=None,
        description="candidates with a positive value in this column come first, in its order; a negative one keeps a "
        "candidate off",
    )
    order: dict[str, float] = Field(
        default={"ranker_score": 1.0},
        min_length=1,
        description="what orders it: one column as it is, or weights of columns standardised within the listener",
    )
    artist_cap: int | None = Field(
        default=2, ge=1, description="tracks of one credited artist, items and spares; null = any"
    )
    open_slots: int = Field(default=3, ge=0, le=50, description="slots filled by draws, spread over the shelf")
    refresh: Refresh = Field(default="daily", description="daily, or the weekday on which its items are chosen anew")
    cool_down_days: int = Field(
        default=0, ge=0, le=365, description="days a recording shown on this shelf stays away from it"
    )
    rest_days: int = Field(default=0, ge=0, description="days since the recording was last heard, at least")
    min_plays: int = Field(default=0, ge=0, description="plays of the track, at least (a saved track passes)")
    fallback: Literal["always", "no-history"] = Field(
        default="always",
        description="popular tracks stand in whenever nothing passes, or only for listeners without history",
    )

    @model_validator(mode="after")
    def _open_slots_fit(self) -> ShelfSettings:
        if self.open_slots >= self.size and self.open_slots:
            raise ValueError(f"open_slots ({self.open_slots}) must be less than size ({self.size})")
        return self


class ExplorationSettings(BaseModel, frozen=True, extra="forbid"):
    """How an open slot is drawn: p = (1 - epsilon) softmax(score / tau) + epsilon / |pool|."""

    epsilon: float = Field(
        default=0.1, ge=0, le=1, description="share of the probability that is uniform over the pool"
    )
    tau: float = Field(default=1.0, gt=0, description="temperature, in units of the shelf's score")
    pool: int = Field(default=30, ge=1, le=500, description="tracks a slot draws from")


class ExperimentSettings(BaseModel, frozen=True, extra="forbid"):
    """An experiment: listeners are dealt to arms by a hash of experiment and listener, the same on every date."""

    name: str = Field(min_length=1, description="experiment")
    arms: dict[str, float] = Field(
        default={"control": 0.5, "treatment": 0.5}, min_length=1, description="weight of each arm"
    )

    @model_validator(mode="after")
    def _weights_are_positive(self) -> ExperimentSettings:
        if min(self.arms.values()) < 0 or sum(self.arms.values()) <= 0:
            raise ValueError("arms must have weights of at least 0 that are not all 0")
        return self


_DEFAULT = (
    ShelfSettings(
        shelf_id="discover-weekly",
        title="Discover Weekly",
        size=30,
        spares=20,
        pool="unheard",
        artist_cap=2,
        refresh="monday",
        cool_down_days=28,
    ),
    ShelfSettings(
        shelf_id="on-repeat",
        title="On Repeat",
        pool="heard",
        order={"decayed_plays": 1.0, "activation": 1.0, "ranker_score": 0.5},
        artist_cap=4,
        fallback="no-history",
    ),
    ShelfSettings(
        shelf_id="rediscover",
        title="Rediscover",
        pool="heard",
        order={"plays": 1.0, "ranker_score": 0.5},
        artist_cap=3,
        rest_days=60,
        min_plays=3,
        fallback="no-history",
    ),
    ShelfSettings(
        shelf_id="popular-now",
        title="Popular now",
        pool="popular",
        order={"score_popular": 1.0},
        artist_cap=2,
        # The same for everyone in a market: a draw here would tell nothing about a listener.
        open_slots=0,
    ),
    ShelfSettings(
        shelf_id="now-playing",
        title="Now Playing",
        surface="now-playing",
        pool="any",
        requires=("rank_next_in_session", "score_next_tracks", "score_last_session", "rank_sequence"),
        preferred="continues",
        order={
            "score_next_in_session": 1.0,
            "score_next_tracks": 1.0,
            "score_last_session": 0.5,
            "score_sequence": 1.0,
            "ranker_score": 0.5,
        },
        artist_cap=6,
    ),
)


class ShelvesSettings(BaseModel, frozen=True, extra="forbid"):
    """All shelves, how they explore, and the rules they share."""

    shelves: tuple[ShelfSettings, ...] = Field(default=_DEFAULT, min_length=1, description="the shelves, in order")
    exploration: ExplorationSettings = Field(default=ExplorationSettings(), description="draws of open slots")
    sampled_days: int = Field(default=90, ge=0, description="days an unheard track stays out of Discover once sampled")
    home_swap: float = Field(
        default=0.1, ge=0, le=1, description="share of listeners for whom two neighbour shelves swap"
    )
    experiment: ExperimentSettings | None = Field(default=None, description="the running experiment, if any")

    @model_validator(mode="after")
    def _ids_are_distinct(self) -> ShelvesSettings:
        ids = [shelf.shelf_id for shelf in self.shelves]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"shelf ids must be distinct, found twice: {', '.join(twice)}")
        return self

    def shelf(self, shelf_id: str) -> ShelfSettings:
        """The shelf with this id.

        Raises:
            UserError: there is none.
        """
        for shelf in self.shelves:
            if shelf.shelf_id == shelf_id:
                return shelf
        known = ", ".join(shelf.shelf_id for shelf in self.shelves)
        raise UserError(f"expected a shelf of the settings ({known}), found {shelf_id!r}; name one of those")


@dataclass(frozen=True)
class Night:
    """What a night's rows carry.

    Attributes:
        date: the night's date; everything is as of its end, UTC.
        version: version of the shelves table being made.
        seed: the run's seed.
        model_version: version of the ranker, or the untrained blend.
        greedy: the ranker's order under the eligibility rules only: no variety, draws, carrying, cool-down or swap.
    """

    date: dt.date
    version: str = ""
    seed: int = 0
    model_version: str = "blend"
    greedy: bool = False

    @property
    def data_cutoff(self) -> dt.datetime:
        """The end of the date, UTC: nothing later is known."""
        return dt.datetime.combine(self.date + dt.timedelta(days=1), dt.time(), tzinfo=dt.UTC)


def last_refresh(refresh: Refresh, date: dt.date) -> dt.date:
    """The newest refresh day up to `date`.

    >>> last_refresh("monday", dt.date(2024, 5, 8))
    datetime.date(2024, 5, 6)
    """
    if refresh == "daily":
        return date
    return date - dt.timedelta(days=(date.weekday() - WEEKDAYS.index(refresh)) % 7)


def next_refresh(refresh: Refresh, date: dt.date) -> dt.date:
    """The first refresh day after `date`."""
    return last_refresh(refresh, date) + dt.timedelta(days=1 if refresh == "daily" else 7)
