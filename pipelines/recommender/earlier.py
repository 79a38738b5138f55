"""Earlier shelves as a night reads them: table `carried` of the night before, or the shelves of four weeks where it is not there.

A night leaves what later ones need of it and of those before in one table (`transforms.shelves.standing`). It counts only if
the newest shelves were made beside it, and if it looks back as far as the settings say: after a rollback, after a night in the
ranker's order alone (which reads no earlier shelves), or in a warehouse older than the table, the shelves themselves are read,
to the same effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from transforms.tables.as_of import AsOf
from transforms.tables.chunks import Chunk
from transforms.tables.manifest import Heading
from transforms.tables.runs import Run, with_extra

CARRIED, SHELVES = "carried", "shelves"
# of the shelves themselves, where they are read
COLUMNS = ("listener_id", "shelf_id", "run_date", "status", "refresh_date", "items", "spares")


@dataclass(frozen=True)
class Earlier:
    """What is read of earlier nights.

    Attributes:
        newest: the newest shelves; None = there are none.
        tables: headings by table, one of the two empty.
    """

    newest: Heading | None = None
    tables: dict[str, list[Heading]] = field(default_factory=lambda: {CARRIED: [], SHELVES: []})

    @property
    def date(self) -> date | None:
        """Of the newest shelves."""
        return self.newest.date if self.newest else None


def earlier_shelves(past: AsOf, days: int) -> Earlier:
    """What a night of the view's date reads of the shelves of `days` dates before."""
    for back in range(1, days + 1):
        day = past.day - timedelta(back)
        newest = past.heading(SHELVES, day)
        if newest is None:
            continue
        beside = past.heading(CARRIED, day)
        if beside is not None and newest.extra.get(CARRIED) == beside.version and _reach(beside) >= days:
            return Earlier(newest, {CARRIED: [beside], SHELVES: []})
        return Earlier(newest, {CARRIED: [], SHELVES: past.window(SHELVES, days, until=past.day - timedelta(1))})
    return Earlier()


def _reach(carried: Heading) -> int:
    """How many days the table looks back: those of the settings it was made by."""
    return int(carried.settings.get("candidates", {}).get("shelf_days", 0))


def made_together(past: AsOf, runs: Sequence[Run]) -> list[Run]:
    """The runs, of which that of the shelves names the version of table `carried` that was made beside it."""
    beside = next((run.version for run in runs if run.table == CARRIED), None)
    if beside is None and (stands := past.heading(CARRIED)) is not None:
        beside = stands.version
    return [with_extra(run, **{CARRIED: beside}) if run.table == SHELVES and beside else run for run in runs]


def earlier_of(chunk: Chunk, since: date) -> pl.DataFrame:
    """A chunk's rows of earlier shelves, from a date on, whichever table they came in."""
    found = next((chunk[t] for t in (CARRIED, SHELVES) if t in chunk.tables and chunk[t].height), None)
    if found is None:
        found = chunk.tables.get(SHELVES, pl.DataFrame(schema={"run_date": pl.Date}))
    return found.filter(pl.col("run_date") >= since)
