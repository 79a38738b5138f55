"""How large, how busy and how dirty a simulated world is.

>>> SimulationSettings(listeners=10, tracks=100, days=7).blocks
1
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from transforms.common.errors import UserError

EPOCH = date(1970, 1, 1)
DAY_MS = 86_400_000


class Dirt(BaseModel, frozen=True, extra="forbid"):
    """Shares of the clean log's rows that are added, or delivered otherwise."""

    duplicates: float = Field(default=0.005, ge=0, le=1, description="share of rows written twice, byte for byte")
    near_duplicates: float = Field(
        default=0.003, ge=0, le=1, description="share of rows repeated one to four seconds later"
    )
    broken: float = Field(default=0.0005, ge=0, le=1, description="share of rows followed by a broken copy (csv only)")
    future: float = Field(
        default=0.0002, ge=0, le=1, description="share of rows repeated with a time after the end date"
    )
    late_sessions: float = Field(
        default=0.01, ge=0, le=1, description="share of sessions delivered later, in listens-late/"
    )
    machine_every: int = Field(
        default=0, ge=0, description="every so many listeners one is also played for by a program; 0 = none"
    )
    bot_every: int = Field(default=500, ge=10, description="every so many listeners one is a bot")
    bot_plays: int = Field(
        default=900, ge=1, description="plays on each of a bot's three days; their playing time exceeds 24 h"
    )


class SimulationSettings(BaseModel, frozen=True, extra="forbid"):
    """Everything a world is a function of. Equal settings make equal bytes, whatever computes them."""

    listeners: int = Field(ge=1, description="number of listeners")
    tracks: int = Field(ge=20, description="number of tracks in the catalog")
    days: int = Field(ge=1, description="number of simulated days, the last one being end_date")
    seed: int = Field(default=0, description="seed of the world")
    end_date: date = Field(date(2026, 1, 31), description="last simulated day, UTC")
    plays_per_day: float = Field(default=15.0, gt=0, le=200, description="mean plays a listener a day")
    dirt: Dirt = Field(default=Dirt(), description="how dirty the log is")

    @property
    def first_date(self) -> date:
        """First simulated day."""
        return self.end_date - timedelta(days=self.days - 1)

    @property
    def first_day(self) -> int:
        """First simulated day, in days since 1970-01-01."""
        return (self.first_date - EPOCH).days

    def number(self, day: date) -> int:
        """The world's number of a date, from 0."""
        return (day - self.first_date).days

    @property
    def window_ms(self) -> tuple[int, int]:
        """First millisecond simulated and the first one after, Unix time."""
        return self.first_day * DAY_MS, (self.first_day + self.days) * DAY_MS

    @property
    def block_size(self) -> int:
        """Listeners a block: one block makes one log file."""
        return int(np.clip(self.listeners // 8, 25, 500))

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.listeners // self.block_size)

    def block(self, number: int) -> np.ndarray:
        """Listener indices of a block, int64."""
        low = number * self.block_size
        return np.arange(low, min(low + self.block_size, self.listeners), dtype=np.int64)


def world_settings(**given: Any) -> SimulationSettings:
    """Settings of a world, from what a command was given.

    Raises:
        UserError: a size out of range; it names the option.
    """
    try:
        return SimulationSettings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"--{'.'.join(map(str, first['loc']))}: {first['msg']}, found {first['input']!r}") from None
