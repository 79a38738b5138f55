"""Settings of signals: which of the log's stored columns are signals by themselves, and how far back signals are read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from transforms.signals.declared import DEFAULTS, Signal, nearest


class SignalSettings(BaseModel):
    """What becomes a signal, and how long a play counts for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stored: tuple[str, ...] = Field(
        tuple(DEFAULTS), description="columns of the log that are signals without being declared; [] = none"
    )
    ignored: tuple[str, ...] = Field((), description="declared signals that are not folded and that no ranker reads")
    window_days: int = Field(28, ge=1, description="dates whose plays count for a signal of listens")

    @field_validator("stored")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in DEFAULTS:
                known = ", ".join(DEFAULTS)
                raise ValueError(f"{name!r} is no such column of the log: {known}{nearest(name, DEFAULTS)}")
        return value

    def signals(self, declared: dict[str, Signal]) -> dict[str, Signal]:
        """The stored columns that are signals, and the declared ones that are not ignored, by name."""
        own = {name: one for name, one in declared.items() if name not in self.ignored}
        return dict(sorted({**{name: DEFAULTS[name] for name in self.stored}, **own}.items()))
