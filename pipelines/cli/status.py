"""`nightshelf status`: what stands in a warehouse, what is pinned beside what has moved, and the command for each.

    warehouse ./warehouse
    table                dates  newest            rows  state
    library                 24  2026-01-24      84,210  current
    shelves                  3  2026-01-24       3,400  pinned, out of date

    shelves of 2026-01-24 is out of date; moved: models@2026-01-24, tracks@2026-01-02
      remedy  nightshelf backfill --from 2026-01-24 --to 2026-01-24
      pinned  to run 5f1c9a-1 and kept so by every command; first
              nightshelf rollback shelves --date 2026-01-24 --unpin

Lines are at most 80 columns wide where no name is longer. `--json` has every table and date.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from transforms.common.printable import printable
from transforms.tables import upkeep
from transforms.tables.repair import remedies, waits
from transforms.tables.warehouse import Warehouse

WIDTH = 80
NAMED = 4  # inputs that moved, of one table and date


@dataclass(frozen=True)
class Standing:
    """One table of one date.

    Attributes:
        moved: its inputs that have another version now, as `table@date`.
        damaged: it waits to be made again.
    """

    table: str
    date: date
    run: str
    version: str
    rows: int
    pinned: bool
    damaged: bool
    moved: tuple[str, ...]

    @property
    def state(self) -> str:
        """In words."""
        words = ["pinned"] if self.pinned else []
        if self.damaged:
            words.append("damaged")
        elif self.moved:
            words.append("out of date")
        return ", ".join(words) or "current"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.__dict__, "date": str(self.date), "moved": list(self.moved), "state": self.state}


def standing_tables(warehouse: Warehouse, day: date | None = None) -> list[Standing]:
    """Every table and date of a warehouse (up to `day`), by table and date."""
    found = [
        Standing(m.table, m.date, m.run_id, m.version, m.rows, m.pinned, waits(m), state.moved)
        for m, state in ((state.manifest, state) for state in upkeep.states(warehouse))
        if day is None or m.date <= day
    ]
    return sorted(found, key=lambda s: (s.table, s.date))


def status_lines(warehouse: Warehouse, day: date | None = None) -> Iterator[str]:
    """`standing_tables` for people."""
    found = standing_tables(warehouse, day)
    yield f"warehouse {printable(warehouse.url)}"
    yield from _table(found)
    for one in found:
        if one.moved and not one.damaged:
            yield from _moved(one, warehouse.url)
        elif one.pinned:
            yield ""
            yield f"{one.table} of {one.date}"
            yield from _pinned(one, warehouse.url)
    marked = {(s.table, s.date) for s in found if s.damaged}
    if marked:
        manifests = [m for table, at in sorted(marked) if (m := warehouse.current(table, at)) is not None]
        yield ""
        yield from remedies(warehouse, manifests)


def _table(found: Sequence[Standing]) -> Iterator[str]:
    width = max([5, *(len(s.table) for s in found)])
    yield f"{'table':<{width}}  dates  newest      {'rows':>11}  state"
    for table in sorted({s.table for s in found}):
        own = [s for s in found if s.table == table]
        last = own[-1]
        yield f"{table:<{width}}  {len(own):>5}  {last.date}  {last.rows:>11,}  {_state(own)}"


def _state(own: Sequence[Standing]) -> str:
    """The newest date's state, and how many dates before it are not current."""
    before = sum(s.state != "current" for s in own[:-1])
    return own[-1].state + (f" (and {before} before)" if before else "")


def _moved(one: Standing, url: str) -> Iterator[str]:
    named = ", ".join(one.moved[:NAMED])
    more = f" and {len(one.moved) - NAMED} more" if len(one.moved) > NAMED else ""
    yield ""
    yield from textwrap.wrap(
        f"{one.table} of {one.date} is out of date; moved: {named}{more}", WIDTH, subsequent_indent="  "
    )
    yield f"  remedy  nightshelf backfill --from {one.date} --to {one.date}{_where(url)}"
    if one.pinned:
        yield from _pinned(one, url, "and kept so by every command; first")


def _pinned(one: Standing, url: str, why: str = "and kept so; released by") -> Iterator[str]:
    yield f"  pinned  to run {one.run} {why}"
    yield f"          nightshelf rollback {one.table} --date {one.date} --unpin{_where(url)}"


def _where(url: str) -> str:
    return "" if url == "./warehouse" else f" --warehouse {printable(url)}"
