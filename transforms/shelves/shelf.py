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
from transforms.shelves.rules.registry import RULES, parse

Refresh = Literal["daily", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Given = dict[str, Any] | Literal[False]

BY_POOL = {"unheard": "unheard", "heard": "heard"}  # the rule that makes the pool
USUAL: dict[str, Given] = {"artist_cap": {"most": 2}}  # the rules of a shelf that names none
MOVED = {
    "artist_cap": "rules: {artist_cap: {most: N}}",
    "rest_days": "rules: {rest: {days: N}}",
    "min_plays": "rules: {min_plays: {plays: N}}",
    "cool_down_days": "rules: {cool_down: {days: N}}",
}


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
    fallback: Literal["always", "no-history"] = Field(
        default="always",
        description="popular tracks stand in whenever nothing passes, or only for listeners without history",
    )
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
        return given

    @field_validator("rules", mode="before")
    @classmethod
    def _rules_are_known(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise ValueError("expected rules by name with their parameters, like {rest: {days: 60}}")
        return {
            name: False if value is False and name in RULES and not RULES[name].always else parse(name, value)
            for name, value in {**USUAL, **given}.items()
        }

    @model_validator(mode="after")
    def _open_slots_fit(self) -> ShelfSettings:
        if self.open_slots >= self.size and self.open_slots:
            raise ValueError(f"open_slots ({self.open_slots}) must be less than size ({self.size})")
        return self

    def judged_by(self) -> dict[str, dict[str, Any]]:
        """The rules that are judged before the shelf is filled, beside those that always hold, with their parameters."""
        pool: dict[str, dict[str, Any]] = {BY_POOL[self.pool]: {}} if self.pool in BY_POOL else {}
        named = {name: value for name, value in self.rules.items() if value is not False}
        return {name: value for name, value in {**pool, **named}.items() if RULES[name].removes is not None}

    def as_fallback(self) -> ShelfSettings:
        """The shelf as popular tracks stand in for it: they keep what is judged again on a carried shelf, and its caps."""
        kept = {n: p for n, p in self.rules.items() if n in RULES and (RULES[n].again or RULES[n].removes is None)}
        return self.model_copy(
            update={
                "rules": kept,
                "requires": (),
                "preferred": None,
                "pool": "unheard" if self.pool == "unheard" else "any",
            }
        )

    def cap(self, name: str) -> int | None:
        """A cap's number, None where the shelf has no such cap."""
        value = self.rules.get(name, False)
        return None if value is False else int(value["most"])

    @property
    def rests(self) -> bool:
        """Whether the shelf is of what was not heard lately."""
        return "rest" in self.judged_by()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the candidates that it names."""
        preferred = () if self.preferred is None else (self.preferred,)
        return (*self.order, *self.requires, *preferred)

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
