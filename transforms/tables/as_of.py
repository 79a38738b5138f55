"""A warehouse as of the end of one date: the only reader that jobs have, so that no night can see what came after it.

    past = as_of("./warehouse", date(2026, 1, 31))
    past.newest("models")                  # the newest manifest up to the date
    past.window("sessions", days=30)       # the last 30 dates, those that have a manifest
    past.library()                         # base and deltas whose rows, merged, are the library of the date
    past.catalog()                         # table `tracks`; `known_by` are the tracks that the night knows
    past.window("shelves", 28, until=past.day - timedelta(1))

Of many dates only headings are read, which name no files (`Warehouse.whole` gives them): a launcher plans with what stands in
them, and workers read the files' names.

A date beyond the bound raises `LookAhead`: it is a mistake of the program and no user can mend it. A job that measures what
became of a night has to look ahead, and names how far: `past.following(last)` reads the dates after the night up to `last`,
and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from transforms.common.errors import UserError
from transforms.tables.manifest import Heading, Manifest
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import RUN_MANIFEST, Warehouse, days, folder


class LookAhead(Exception):
    """A job asked for a date outside the bounds of its view."""


@dataclass(frozen=True)
class AsOf:
    """The dates of a warehouse up to and including `day`. Small and picklable.

    Attributes:
        warehouse: what is written to, and what workers open a manifest's files in; jobs read nothing through it.
        day: the last date that can be read.
    """

    warehouse: Warehouse
    day: date

    @property
    def url(self) -> str:
        """The warehouse's folder or bucket."""
        return self.warehouse.url

    def current(self, table: str, day: date | None = None) -> Manifest | None:
        """The manifest of a table on a date (default: the bound), None where there is none.

        Raises:
            LookAhead: the date is later than the bound.
        """
        return self.warehouse.current(table, self._within(day))

    def heading(self, table: str, day: date | None = None) -> Heading | None:
        """The manifest of a table on a date (default: the bound) without its files, None where there is none.

        Raises:
            LookAhead: the date is later than the bound.
        """
        return self.warehouse.heading(table, self._within(day))

    def need(self, table: str, day: date | None = None) -> Manifest:
        """The manifest of a table on a date (default: the bound).

        Raises:
            UserError: there is none.
            LookAhead: the date is later than the bound.
        """
        return self.warehouse.need(table, self._within(day))

    def dates(self, table: str) -> list[date]:
        """Dates of a table up to the bound, in order."""
        return [d for d in self.warehouse.dates(table) if d <= self.day]

    def holds(self, table: str) -> bool:
        """Whether a table has any date at all, of whatever day: whether this log records such a thing."""
        return bool(self.warehouse.dates(table))

    def newest(self, table: str, before: date | None = None) -> Manifest | None:
        """The newest manifest up to the bound, or before a date of it."""
        last = self.day if before is None else min(self.day, before - timedelta(1))
        return self.warehouse.newest(table, last)

    def window(self, table: str, count: int, until: date | None = None) -> list[Heading]:
        """Headings of the last `count` dates up to the bound (or up to `until`), in order."""
        last = self._within(until)
        return self.between(table, last - timedelta(count - 1), last)

    def between(self, table: str, first: date, last: date | None = None) -> list[Heading]:
        """Headings from one date to another (default: the bound), both included, in order."""
        return [m for d in days(first, self._within(last)) if (m := self.warehouse.heading(table, d))]

    def every(self, table: str, since: date = date.min) -> list[Heading]:
        """Headings of all dates of a table up to the bound (from a date on), in order; the table's folder is listed."""
        return [m for d in self.dates(table) if d >= since and (m := self.warehouse.heading(table, d))]

    def library(self, day: date | None = None) -> list[Heading]:
        """Headings of the base and the deltas whose rows, merged, are the library of a date (default: the bound), base first.

        Their rows may name a pair several times: `transforms.listening.library.merge` adds them up, listener by listener.

        Raises:
            UserError: there is no library on that date, or a part of it is gone.
            LookAhead: the date is later than the bound.
        """
        own, parts = self.heading("library", day), list[Heading]()
        if own is None:
            own = self.need("library", day)
        for part in own.extra["chain"]:
            at, run_id = date.fromisoformat(part["date"]), part["run_id"]
            manifest = own if run_id == own.run_id else self.heading("library", at)
            if manifest is None or manifest.run_id != run_id:
                manifest = self._of_run("library", at, run_id)
            if manifest is None:
                raise UserError(
                    f"the library of {own.date} builds on run {run_id} of {at}, which is gone; remake it with "
                    f"`nightshelf features --from {own.extra['chain'][0]['date']} --to {own.date}`"
                )
            parts.append(manifest)
        return parts

    def catalog(self) -> Heading | None:
        """Table `tracks`: see `newest_or_first`."""
        return self.newest_or_first("tracks")

    def artists(self) -> Heading | None:
        """Table `artists`: see `newest_or_first`."""
        return self.newest_or_first("artists")

    def listeners(self) -> Heading | None:
        """Table `listeners`: see `newest_or_first`."""
        return self.newest_or_first("listeners")

    def newest_or_first(self, table: str) -> Heading | None:
        """The newest manifest up to the bound, else the first after it.

        A batch of listening is often ingested at once for many days, so its catalog may stand on a later date than an early
        night. It is then read all the same; what a later row may do follows from its own date: a track's release (`known_by`),
        the date a listener joined.
        """
        dates = self.warehouse.dates(table)
        upto = [d for d in dates if d <= self.day]
        return self.warehouse.heading(table, upto[-1] if upto else dates[0]) if dates else None

    def following(self, last: date) -> Following:
        """The dates after the bound, up to and including `last`: the second bound of a job that measures a night."""
        return Following(self, last)

    def _of_run(self, table: str, day: date, run_id: str) -> Heading | None:
        """The manifest that a run left in its own folder."""
        path = f"{folder(table, self._within(day))}/run={run_id}/{RUN_MANIFEST}"
        try:
            return Heading.head_of(self.warehouse.store.read(path))
        except FileNotFoundError:
            return None

    def _within(self, day: date | None) -> date:
        if day is not None and day > self.day:
            raise LookAhead(f"{day} is later than {self.day}, the last date that this job may read")
        return day or self.day


@dataclass(frozen=True)
class Following:
    """The dates after a night, up to and including `last`: what a night is measured with."""

    past: AsOf
    last: date

    @property
    def days(self) -> int:
        """How many dates they are."""
        return (self.last - self.past.day).days

    def every(self, table: str) -> list[Heading]:
        """Manifests of a table on these dates, in order."""
        return as_of(self.past.url, self.last).between(table, self.past.day + timedelta(1))

    def catalog(self) -> Heading | None:
        """Table `tracks` as of the last of these dates, for the recordings of what was played on them."""
        return as_of(self.past.url, self.last).catalog()


def as_of(warehouse: str, day: date) -> AsOf:
    """What a job of a date may read of the warehouse at a folder or bucket URL."""
    return AsOf(Warehouse(warehouse), day)


def days_logged_after(warehouse: str, day: date) -> int:
    """Days of the log after a night; 0 where there are none. It is how far a measured night may look ahead."""
    newest = Warehouse(warehouse).newest("listens", date.max)
    return max(0, (newest.date - day).days) if newest else 0


def all_tracks(warehouse: Warehouse, manifest: Heading | None) -> pl.DataFrame:
    """Table `tracks`, whatever is released when; empty where there is no catalog."""
    return TABLES["tracks"].empty() if manifest is None else warehouse.read_manifest(manifest)


def known_by(tracks: pl.DataFrame, day: date, played: pl.Series) -> pl.DataFrame:
    """The tracks that a night knows: released by its date, or played by somebody.

    They are what may be recommended. The facts of all others are kept beside them, since a fact that is left out (who
    performs a track, where it may be played, that it is explicit, which recording it is) would count as unknown, and no rule
    could hold on it.
    """
    return tracks.filter((pl.col("released_on") <= day).fill_null(False) | pl.col("track_id").is_in(played.implode()))
