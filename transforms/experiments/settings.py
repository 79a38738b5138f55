"""Experiments as settings: who takes part, what each arm changes, what decides.

    experiments:
      holdout: 0.02
      experiments:
        - name: fewer-of-one-artist
          arms:
            control: {weight: 1}
            one: {weight: 1, overrides: {shelves: {discover-weekly: {rules: {artist_cap: {most: 1}}}}}}
          success: [plays_attributed]
          guardrails: {active_days: 0.02}
          starts: 2026-01-10

A listener stands at one place of every layer, by a salted hash; an experiment takes a share of its layer's places, in the order
of the settings, so two experiments of a layer never share a listener, and those of two layers mix evenly. Inside, the arm is
another salted hash. Neither has a date in it: a listener stays where they are. Held-out listeners are in no experiment.

    >>> Experiment(name="e", starts=date(2026, 1, 1)).control
    'control'
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from transforms.common.errors import UserError

Metric = Literal["plays", "active_days", "plays_attributed", "saves", "skip_share", "attributed_skip_share"]
CLOSED = ConfigDict(frozen=True, extra="forbid")


class ArmSettings(BaseModel):
    """One arm: its weight, and what it changes of the settings."""

    model_config = CLOSED

    weight: float = Field(default=1.0, ge=0, description="weight of the arm among its experiment's")
    overrides: dict[str, Any] = Field(
        default={},
        description="what the arm changes: `shelves` by shelf id, or settings of section shelves such as exploration",
    )


class Experiment(BaseModel):
    """One experiment."""

    model_config = CLOSED

    name: str = Field(min_length=1, pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="experiment")
    salt: str | None = Field(default=None, description="what its arms are dealt by; default: its name")
    layer: str = Field(default="all", min_length=1, description="experiments of one layer share no listener")
    share: float = Field(default=1.0, gt=0, le=1, description="share of the layer's listeners that take part")
    arms: dict[str, ArmSettings] = Field(
        default={"control": ArmSettings(), "treatment": ArmSettings()}, min_length=1, description="the arms"
    )
    starts: date = Field(description="the first night that deals its arms")
    ends: date | None = Field(default=None, description="the last night that does; null = it runs on")
    success: tuple[Metric, ...] = Field(default=("plays_attributed",), description="one of these must get better")
    guardrails: dict[Metric, float] = Field(
        default={"active_days": 0.02},
        description="none of these may get worse by more than this share of the control's mean",
    )
    alpha: float = Field(default=0.05, gt=0, lt=0.5, description="chance of shipping what does nothing")
    power: float = Field(default=0.8, gt=0, lt=1, description="chance of shipping what does what was hoped for")
    change: float = Field(default=0.05, gt=0, description="the relative change of a success metric that is hoped for")
    look: Literal["once", "daily"] = Field(
        default="daily", description="once = a t test, valid on the day of the plan; daily = valid whenever one looks"
    )
    least: int = Field(default=100, ge=2, description="listeners an arm below which nothing is decided")

    @field_validator("arms", mode="before")
    @classmethod
    def _weights_alone(cls, value: Any) -> Any:
        """`control: 0.5` is an arm of that weight which changes nothing."""
        if isinstance(value, dict):
            return {name: {"weight": a} if isinstance(a, int | float) else a for name, a in value.items()}
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Experiment:
        if not any(arm.weight for arm in self.arms.values()):
            raise ValueError("arms must have weights that are not all 0")
        if self.ends is not None and self.ends < self.starts:
            raise ValueError(f"ends ({self.ends}) is before starts ({self.starts})")
        return self

    @property
    def control(self) -> str:
        """The arm that others are compared with: the one called `control`, else the first by name."""
        return "control" if "control" in self.arms else min(self.arms)

    def runs(self, night: date) -> bool:
        """Whether a night deals its arms."""
        return self.starts <= night and (self.ends is None or night <= self.ends)


class SurrogateSettings(BaseModel):
    """What early days imply for the long term; see `surrogate`."""

    model_config = CLOSED

    days: int = Field(default=14, ge=2, le=56, description="early days, from a listener's first exposure on")
    horizon: int | None = Field(
        default=63, ge=3, le=364, description="days of the long term that they imply; null = nothing is implied"
    )

    @model_validator(mode="after")
    def _shorter(self) -> SurrogateSettings:
        if self.horizon is not None and self.horizon <= self.days:
            raise ValueError(f"horizon ({self.horizon}) must be more days than days ({self.days})")
        return self


class ExperimentsSettings(BaseModel):
    """All experiments, running and closed."""

    model_config = CLOSED

    holdout: float = Field(default=0.0, ge=0, lt=1, description="share of listeners that are in no experiment, by hash")
    experiments: tuple[Experiment, ...] = Field(
        default=(), description="the experiments, in the order they take places"
    )
    surrogate: SurrogateSettings = Field(
        default=SurrogateSettings(), description="what early days imply for the long term"
    )

    @model_validator(mode="after")
    def _layers_hold(self) -> ExperimentsSettings:
        names = [e.name for e in self.experiments]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"experiments must have distinct names, found twice: {', '.join(twice)}")
        self.places()
        return self

    def named(self, name: str) -> Experiment:
        """The experiment of that name.

        Raises:
            UserError: there is none.
        """
        for one in self.experiments:
            if one.name == name:
                return one
        known = ", ".join(e.name for e in self.experiments) or "none"
        raise UserError(
            f"expected an experiment of the settings ({known}), found {name!r}; declare it under experiments.experiments"
        )

    def places(self) -> dict[str, float]:
        """Where each experiment's share of its layer begins: the first place that no earlier one of those days holds.

        Raises:
            ValueError: a layer has not room for all experiments that run on one day.
        """
        found: dict[str, float] = {}
        for n, one in enumerate(self.experiments):
            beside = [e for e in self.experiments[:n] if e.layer == one.layer and _meet(e, one)]
            taken = sorted((found[e.name], found[e.name] + e.share) for e in beside)
            at = 0.0
            for low, high in taken:
                if at + one.share <= low + 1e-9:
                    break
                at = max(at, high)
            if at + one.share > 1 + 1e-9:
                raise ValueError(
                    f"experiment {one.name} finds no room in layer {one.layer}: the others of those days leave less than "
                    f"{one.share:g} of it in one piece; give it another layer, a smaller share, or other days"
                )
            found[one.name] = at
        return found


def _meet(one: Experiment, other: Experiment) -> bool:
    """Whether two experiments run on a common day."""
    last = [e.ends or date.max for e in (one, other)]
    return one.starts <= last[1] and other.starts <= last[0]
