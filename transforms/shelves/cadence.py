"""When a shelf changes and when it holds, on the listener's own clock.

A night of date D ends at midnight UTC. Where a listener is at that moment it is some local date: D east of Greenwich is
over by then and D + 1 has begun, west of it D still goes on. A shelf that changes on Mondays changes in the first night
whose end lies on a local Monday or later, so it never changes twice in a local week, and it is carried on all other days.

A shelf of a daypart holds during the next such hours that have not ended when the night does:

    night     0 to 6      morning    6 to 12      afternoon   12 to 18      evening    18 to 24

Example, the night of Sunday 5 May, which ends at 00:00 UTC on Monday: in Tokyo it is Monday 9:00, so a Monday shelf changes; the
morning in Tokyo is under way and holds until 12:00 there (03:00 UTC). In New York it is Sunday 20:00: the Monday shelf waits
for the night of Monday, and the next morning begins at 6:00 on Monday.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from transforms.common.time_zones import known_zones

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Refresh = Literal["daily"] | Weekday
Daypart = Literal["night", "morning", "afternoon", "evening"]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAYPARTS: tuple[Daypart, ...] = ("night", "morning", "afternoon", "evening")
HOURS = 6


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


class Clock:
    """The local time of some listeners at the end of a night.

    Attributes:
        zones: the distinct time zones.
        zone: int64 by listener, place in `zones`.
    """

    def __init__(self, date: dt.date, cutoff: dt.datetime, time_zones: Sequence[str | None]) -> None:
        self.date, self.cutoff = date, cutoff
        names = sorted({name or "UTC" for name in time_zones})
        place = {name: number for number, name in enumerate(names)}
        self.zones = [_zone(name) for name in names]
        self.zone = np.array([place[name or "UTC"] for name in time_zones], np.int64)

    def ahead(self) -> np.ndarray:
        """int64 by listener: 1 where the next date has begun when the night ends, else 0."""
        last = self.cutoff - dt.timedelta(microseconds=1)
        days = [max(0, (last.astimezone(zone).date() - self.date).days) for zone in self.zones]
        return np.array(days, np.int64)[self.zone]

    def weekend(self) -> np.ndarray:
        """bool by listener: whether the local day that is on, or begins, when the night ends is one of a weekend."""
        return np.array([self.cutoff.astimezone(zone).weekday() >= 5 for zone in self.zones], np.bool_)[self.zone]

    def window(self, daypart: Daypart) -> list[tuple[dt.datetime, dt.datetime]]:
        """By listener from when to when the next such daypart lasts, UTC, beginning no earlier than the night ends."""
        found = [self._window(zone, DAYPARTS.index(daypart)) for zone in self.zones]
        return [found[number] for number in self.zone.tolist()]

    def _window(self, zone: dt.tzinfo, part: int) -> tuple[dt.datetime, dt.datetime]:
        today = self.cutoff.astimezone(zone).date()
        for days in range(3):
            day = today + dt.timedelta(days=days)
            start, end = (_at(day, HOURS * (part + n), zone) for n in (0, 1))
            if end > self.cutoff:
                break
        return max(start, self.cutoff), end


def _at(day: dt.date, hour: int, zone: dt.tzinfo) -> dt.datetime:
    local = dt.datetime.combine(day + dt.timedelta(days=hour // 24), dt.time(hour % 24), tzinfo=zone)
    return local.astimezone(dt.UTC)


def _zone(name: str) -> dt.tzinfo:
    """A zone that can be reckoned with; UTC for others, so also for names that every machine gives its own meaning."""
    try:
        return ZoneInfo(name) if known_zones([name]) else dt.UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return dt.UTC
