"""Settings of all shelves: one entry a shelf, in the order in which they settle repeats and stand on their surface.

>>> [shelf.shelf_id for shelf in ShelvesSettings().shelves]
['discover-weekly', 'on-repeat', 'rediscover', 'popular-now', 'now-playing']
>>> ShelvesSettings().shelf("discover-weekly").refresh
'monday'
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from transforms.common.errors import UserError
from transforms.shelves.contexts import NextSessionSettings
from transforms.shelves.defaults import DEFAULT
from transforms.shelves.home_learning import HomeSettings
from transforms.shelves.merging import merged
from transforms.shelves.rules.registry import nearest
from transforms.shelves.shelf import ShelfSettings


class ExplorationSettings(BaseModel, frozen=True, extra="forbid"):
    """How an open slot is drawn: p = (1 - epsilon) softmax(score / tau) + epsilon / |pool|, or see `policy`."""

    policy: Literal["softmax", "thompson"] = Field(
        default="softmax",
        description="softmax, or thompson: by the chance to be the best given what is not known yet of the long-term reward, "
        "on shelves in the ranker's order; it needs rewards.weights.long_term",
    )

    epsilon: float = Field(
        default=0.1, ge=0, le=1, description="share of the probability that is uniform over the pool"
    )
    tau: float = Field(default=1.0, gt=0, description="temperature, in units of the shelf's score")
    pool: int = Field(default=30, ge=1, le=500, description="tracks a slot draws from")


class ShelvesSettings(BaseModel, frozen=True, extra="forbid"):
    """All shelves, how they explore, and the rules they share."""

    shelves: tuple[ShelfSettings, ...] = Field(
        default=DEFAULT,
        min_length=1,
        description="the shelves, in order: all of them as a list, or a mapping by shelf id of what differs from these",
    )
    exploration: ExplorationSettings = Field(default=ExplorationSettings(), description="draws of open slots")
    removed_listed: int = Field(
        default=20, ge=0, le=500, description="tracks named of what a rule removed from a shelf, for kept listeners"
    )
    home_swap: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of listeners for whom two neighbour shelves swap, where their order is not learned",
    )
    home: HomeSettings = Field(default=HomeSettings(), description="the order of the shelves of surface home")
    next_session: NextSessionSettings = Field(
        default=NextSessionSettings(), description="the contexts of next sessions that shelves are for"
    )

    @field_validator("shelves", mode="before")
    @classmethod
    def _changes_are_laid_over_the_defaults(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return merged([shelf.model_dump(mode="json", exclude_unset=True) for shelf in DEFAULT], given)
        return given

    @model_validator(mode="after")
    def _ids_are_distinct(self) -> ShelvesSettings:
        ids = [shelf.shelf_id for shelf in self.shelves]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"shelf ids must be distinct, found twice: {', '.join(twice)}")
        return self

    def exploration_of(self, shelf: ShelfSettings) -> ExplorationSettings:
        """How a shelf's slots are drawn."""
        own = {name: value for name, value in shelf.exploration.model_dump().items() if value is not None}
        found = self.exploration.model_copy(update=own)
        # what is not known is told in units of the ranker's score
        return found if set(shelf.order) == {"ranker_score"} else found.model_copy(update={"policy": "softmax"})

    def check_columns(self, known: Collection[str]) -> None:
        """Refuse a shelf that names a column of the candidates which nothing makes: it would be empty for everybody.

        Raises:
            ValueError: names the shelf, the column and the nearest known one.
        """
        for shelf in self.shelves:
            for name in shelf.columns:
                if name not in known and not name.startswith("f_"):
                    raise ValueError(
                        f"shelf {shelf.shelf_id!r} names the column {name!r}, which no source, ranker or listener's "
                        f"history gives{nearest(name, known)}"
                    )

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
class NightContext:
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
