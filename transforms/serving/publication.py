"""A publication: one night's rows under one stamp, and the pointer by which readers find the one that counts.

The stamp is the end of the night plus a millisecond for every time that night was published before, so publications are in order
and a publish that was killed finds its own stamp again. The pointer is replaced in one step, and only if it is still the one that
was seen at launch.

    >>> stamp(date(2026, 1, 24), 2).isoformat()
    '2026-01-25T00:00:00.002000+00:00'
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from pydantic import BaseModel

KEEP_DAYS = 7


class Publication(BaseModel, frozen=True):
    """One night's rows in a target.

    Attributes:
        stamp: what tells it from every other, and orders them.
        date: the night.
        version: of table `shelves`.
        listeners, rows: how many there are.
    """

    stamp: datetime
    date: date
    version: str
    listeners: int = 0
    rows: int = 0


class Pointer(BaseModel, frozen=True):
    """Which publication counts, and which did before it."""

    now: Publication
    before: Publication | None = None

    def to_json(self) -> bytes:
        """As a target keeps it."""
        return self.model_dump_json().encode()


def stamp(night: date, attempt: int) -> datetime:
    """The stamp of a night's publication number `attempt`, from 1."""
    return datetime.combine(night + timedelta(1), datetime.min.time(), tzinfo=UTC) + timedelta(milliseconds=attempt)


def moved(pointer: Pointer | None, to: Publication) -> Pointer:
    """The pointer once a publication counts; the same if it does already."""
    if pointer is not None and pointer.now.stamp == to.stamp:
        return Pointer(now=to, before=pointer.before)
    return Pointer(now=to, before=pointer.now if pointer else None)
