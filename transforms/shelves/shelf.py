"""Settings of one shelf.

A new shelf is a new entry: which rows it may take (`pool`, `requires`, `rules`), what orders them, how many slots stay open
for draws, how often it changes.

    >>> shelf = ShelfSettings(shelf_id="late", title="Late", pool="heard", rules={"rest": {"days": 7}})
    >>> shelf.cap("artist_cap"), shelf.judged_by()
    (2, {'heard': {}, 'rest': {'days': 7}})
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

import transforms.shelves.rules  # noqa: F401  (every rule is registered by this)
from transforms.shelves.cadence import Daypart, Refresh
from transforms.shelves.rules.registry import every_rule, parse

Given = dict[str, Any] | Literal[False]

BY_POOL = {"unheard": "unheard", "heard": "heard"}  # the rule that makes the pool
USUAL: dict[str, Given] = {"artist_cap": {"most": 2}}  # the rules of a shelf that names none
MOVED = {
    "artist_cap": "rules: {artist_cap: {most: N}}",
    "rest_days": "rules: {rest: {days: N}}",
    "min_plays": "rules: {min_plays: {plays: N}}",
    "cool_down_days": "rules: {cool_down: {days: N}}",
}
Step = Literal["unrestricted", "popular", "popular-without-history"]
OLD_FALLBACKS = {"always": "[popular]", "no-history": "[popular-without-history]"}


class VarietySettings(BaseModel, frozen=True, extra="forbid"):
    """How far a shelf's fixed slots leave its order for variety: see `variety`. All weights 0 and no decay: not at all."""

    window: int = Field(default=100, ge=1, le=500, description="best tracks that fit, among which each slot chooses")
    mmr: float = Field(default=0.0, ge=0, le=2, description="weight of likeness to what is placed, by embeddings")
    artist_decay: float = Field(
        default=1.0, gt=0, le=1, description="what each earlier track of an artist leaves of relevance"
    )
    artist_floor: float = Field(default=0.3, ge=0, le=1, description="the least that such tracks leave of it")
    calibration: float = Field(default=0.0, ge=0, le=2, description="weight of the listener's own mix of tags")
    popularity: float = Field(
        default=0.0, ge=0, le=2, description="weight of being more popular than what the listener usually plays"
    )

    @property
    def on(self) -> bool:
        """Whether anything of it is asked for."""
        return bool(self.mmr or self.calibration or self.popularity or self.artist_decay < 1)


class ShelfExploration(BaseModel, frozen=True, extra="forbid"):
    """How a shelf's slots are drawn where it differs from the other shelves; null = as they are."""

    policy: Literal["softmax", "thompson"] | None = Field(default=None, description="softmax or thompson")
    epsilon: float | None = Field(default=None, ge=0, le=1, description="share of the probability that is uniform")
    tau: float | None = Field(default=None, gt=0, description="temperature, in units of the shelf's score")
    pool: int | None = Field(default=None, ge=1, le=500, description="tracks a slot draws from")


class NewTracks(BaseModel, frozen=True, extra="forbid"):
    """Slots that are kept for tracks hardly anybody has heard, drawn like open slots, among such tracks only."""

    slots: int = Field(default=0, ge=0, le=20, description="slots for new tracks, beside the open ones")
    most_listeners: float = Field(default=5, ge=0, description="listeners of a track that counts as new, at most")


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
    rules: dict[str, Given] = Field(
        default=USUAL,
        description="rules by name with their parameters, beside those that always hold; false switches off a usual one",
    )
    open_slots: int = Field(default=3, ge=0, le=50, description="slots filled by draws, spread over the shelf")
    refresh: Refresh = Field(default="daily", description="daily, or the weekday on which its items are chosen anew")
    daypart: Daypart | None = Field(
        default=None,
        description="it holds in these hours of the listener's day; null = until the next night or refresh",
    )
    instead: bool = Field(
        default=False,
        description="it is shown instead of the others of its surface, so what stands on those may stand on it too",
    )
    sources: dict[str, int | None] = Field(
        default={},
        description="only candidates that one of these sources retrieved, the first that did counts, and so many items "
        "and spares of each at most (null = any number)",
    )
    fallback: tuple[Step, ...] = Field(
        default=("popular",),
        description="what stands in, in turn, where nothing of its own does: its pool without what it requires, what is "
        "popular, or what is popular for listeners without history only",
    )
    variety: VarietySettings = Field(default=VarietySettings(), description="what its fixed slots give up for variety")
    exploration: ShelfExploration = Field(default=ShelfExploration(), description="how its slots are drawn")
    new_tracks: NewTracks = Field(default=NewTracks(), description="slots for new tracks")
    named_by: str | None = Field(default=None, description="the evidence that gives each listener's shelf its subtitle")
    why_empty: str | None = Field(
        default=None,
        min_length=1,
        description="the reason it gives when nothing of a listener's own stands on it; {rest.days} is that parameter",
    )

    @model_validator(mode="before")
    @classmethod
    def _say_what_moved(cls, given: Any) -> Any:
        found = [name for name in MOVED if isinstance(given, dict) and name in given]
        if found:
            raise ValueError(f"{found[0]} is a rule now; write {MOVED[found[0]]} instead")
        old = given.get("fallback") if isinstance(given, dict) else None
        if isinstance(old, str):
            raise ValueError(f"fallback is a list of steps now; write fallback: {OLD_FALLBACKS.get(old, f'[{old}]')}")
        return given

    @field_validator("rules", mode="before")
    @classmethod
    def _rules_are_known(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise ValueError("expected rules by name with their parameters, like {rest: {days: 60}}")
        known = every_rule()
        return {
            name: False if value is False and name in known and not known[name].always else parse(name, value)
            for name, value in {**USUAL, **given}.items()
        }

    @model_validator(mode="after")
    def _open_slots_fit(self) -> ShelfSettings:
        drawn = self.open_slots + self.new_tracks.slots
        if drawn >= self.size and drawn:
            raise ValueError(
                f"open_slots ({self.open_slots}) and new_tracks.slots ({self.new_tracks.slots}) must be less than size "
                f"({self.size})"
            )
        return self

    def judged_by(self) -> dict[str, dict[str, Any]]:
        """The rules that are judged before the shelf is filled, beside those that always hold, with their parameters."""
        pool: dict[str, dict[str, Any]] = {BY_POOL[self.pool]: {}} if self.pool in BY_POOL else {}
        named = {name: value for name, value in self.rules.items() if value is not False}
        return {name: value for name, value in {**pool, **named}.items() if every_rule()[name].removes is not None}

    def unrestricted(self) -> ShelfSettings:
        """The shelf without what it requires and prefers: its pool, under its rules."""
        return self.model_copy(update={"requires": (), "preferred": None, "sources": {}})

    def of_popular(self) -> ShelfSettings:
        """The shelf as popular tracks stand in for it: they keep what is judged again on a carried shelf, and its caps."""
        known = every_rule()
        kept = {n: p for n, p in self.rules.items() if known[n].again or known[n].removes is None}
        pool = "unheard" if self.pool == "unheard" else "any"
        return self.unrestricted().model_copy(update={"rules": kept, "pool": pool, "order": {"score_popular": 1.0}})

    def cap(self, name: str) -> int | None:
        """A cap's number, None where the shelf has no such cap."""
        value = self.rules.get(name, False)
        return None if value is False else int(value.get("most", 1))

    @property
    def apart(self) -> bool:
        """Whether nobody sees it beside the others of its surface: what they hold may stand on it."""
        return self.instead or self.daypart is not None

    @property
    def rests(self) -> bool:
        """Whether the shelf is of what was not heard lately."""
        return "rest" in self.judged_by()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the candidates that it names."""
        preferred = () if self.preferred is None else (self.preferred,)
        return (*self.order, *self.requires, *preferred, *(f"rank_{name}" for name in self.sources))

    def why(self) -> str:
        """Why it has nothing of its own for a listener with a history."""
        if self.why_empty is not None:
            said = self.why_empty
            for name, parameters in self.judged_by().items():
                for key, value in parameters.items():
                    said = said.replace(f"{{{name}.{key}}}", str(value))
            return said
        if self.pool == "popular":
            return "nothing popular passes the rules"
        kind = "" if self.pool == "any" else f" {self.pool}"
        if self.requires:
            named = ", ".join(name.removeprefix("rank_").removeprefix("score_") for name in self.requires)
            return f"no{kind} candidate of {named} passes the rules"
        return f"no{kind} candidate passes the rules"
