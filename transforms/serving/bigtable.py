"""Publications in Bigtable: a row a listener, surface and shelf, a cell a publication, a pointer row that says which one counts.

    row key       <listener>#<surface>#<shelf>, each percent-encoded, so that a listener's rows stand together
    cell          family `s`, qualifier `row`: the row as JSON, under the publication's stamp as its timestamp
    pointer       row `!current`, family `p`, qualifier `pointer`: one cell, replaced only if it is the one that was seen

A reader takes the pointer, then the listener's rows with cells of exactly that stamp. So a publication that is being written,
or was killed, is never seen, and none is ever seen in part. A cell goes when it is older than `keep_days` and two newer ones
are there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import polars as pl
from google.cloud.bigtable import Client, column_family
from google.cloud.bigtable.row import DirectRow
from google.cloud.bigtable.row_filters import (
    CellsColumnLimitFilter,
    ColumnQualifierRegexFilter,
    FamilyNameRegexFilter,
    RowFilterChain,
    StripValueTransformerFilter,
    TimestampRange,
    TimestampRangeFilter,
    ValueRangeFilter,
)
from google.cloud.bigtable.row_set import RowSet
from google.cloud.bigtable.table import Table

from transforms.common.errors import LostRace, UserError
from transforms.privacy.forgotten import Forgotten
from transforms.serving.publication import Pointer, Publication, moved

ROWS, ROW, POINTERS, POINTER = "s", b"row", "p", b"pointer"
CURRENT = b"!current"
KEPT = 2  # publications that stay however old they are


@dataclass(frozen=True)
class Place:
    """A table of an instance; its name is `bigtable:PROJECT/INSTANCE/TABLE`."""

    project: str
    instance: str
    table: str

    @classmethod
    def of(cls, text: str) -> Place:
        """Read from its name.

        Raises:
            UserError: it is not one.
        """
        parts = text.removeprefix("bigtable:").split("/")
        if len(parts) != 3 or not all(parts):
            raise UserError(f"expected bigtable:PROJECT/INSTANCE/TABLE, found {text!r}")
        return cls(*parts)

    def open(self, admin: bool = False) -> Table:
        """The table, by the official client; the emulator's where BIGTABLE_EMULATOR_HOST says so."""
        return Client(project=self.project, admin=admin).instance(self.instance).table(self.table)

    def prepare(self, keep_days: int) -> None:
        """Make the table where it is not there, and set how long its cells stay."""
        table = self.open(admin=True)
        rule = column_family.GCRuleIntersection(
            rules=[column_family.MaxAgeGCRule(timedelta(days=keep_days)), column_family.MaxVersionsGCRule(KEPT)]
        )
        once = column_family.MaxVersionsGCRule(1)
        if not table.exists():
            table.create(column_families={ROWS: rule, POINTERS: once})
            return
        known = table.list_column_families()
        for name, wanted in ((ROWS, rule), (POINTERS, once)):
            family = table.column_family(name, gc_rule=wanted)
            if name not in known:
                family.create()
            elif known[name].gc_rule != wanted:
                family.update()


def key_of(listener: str, surface: str = "", shelf: str = "") -> bytes:
    """A row's key; with the listener alone, what all keys of theirs begin with.

    >>> key_of("a#b", "home", "on-repeat"), key_of("ann")
    (b'a%23b#home#on-repeat', b'ann#')
    """
    names = [quote(part, safe="") for part in (listener, surface, shelf)]
    return "#".join(names).encode() if surface else f"{names[0]}#".encode()


def direct_rows(values: pl.DataFrame, stamp: datetime) -> Iterator[DirectRow]:
    """Rows for Beam's sink, of `lines.values`."""
    for listener, surface, shelf, value in values.iter_rows():
        row = DirectRow(row_key=key_of(listener, surface, shelf))
        row.set_cell(ROWS, ROW, value.encode(), timestamp=stamp)
        yield row


def pointer_of(table: Table) -> Pointer | None:
    """The pointer; None in a table nothing was published to."""
    row = table.read_row(CURRENT, filter_=CellsColumnLimitFilter(1))
    return Pointer.model_validate_json(row.cell_value(POINTERS, POINTER)) if row is not None else None


def publish(table: Table, publication: Publication, seen: Pointer | None) -> Pointer:
    """Make a publication the one that counts.

    Args:
        seen: the pointer at launch.

    Raises:
        LostRace: another publish was faster; what it published stays.
    """
    pointer = pointer_of(table)
    if pointer is not None and pointer.now.stamp != publication.stamp and pointer != seen:
        raise LostRace(f"{pointer.now.date} was published meanwhile; nothing was replaced: export again")
    after = moved(pointer, publication)
    _replace(table, pointer, after)
    return after


def roll_back(table: Table) -> Pointer:
    """Point back at the publication before.

    Raises:
        UserError: there is none.
        LostRace: a publish was faster.
    """
    pointer = pointer_of(table)
    if pointer is None or pointer.before is None:
        raise UserError("there is no earlier publication to go back to; nothing was changed")
    after = Pointer(now=pointer.before, before=None)
    _replace(table, pointer, after)
    return after


def _replace(table: Table, before: Pointer | None, after: Pointer) -> None:
    """Write the pointer if it is still `before`: one conditional mutation of one row."""
    newest = [FamilyNameRegexFilter(POINTERS), ColumnQualifierRegexFilter(POINTER), CellsColumnLimitFilter(1)]
    if before is not None:
        newest.append(ValueRangeFilter(start_value=before.to_json(), end_value=before.to_json()))
    row = table.conditional_row(CURRENT, filter_=RowFilterChain(filters=newest))
    row.delete_cells(POINTERS, [POINTER], state=before is not None)
    row.set_cell(POINTERS, POINTER, after.to_json(), state=before is not None)
    matched = row.commit()
    if matched != (before is not None):
        raise LostRace("another night was published meanwhile; nothing was replaced: export again")


def read_listener(table: Table, listener: str, pointer: Pointer | None = None) -> list[dict[str, Any]]:
    """A listener's rows of the publication that counts, in the order of each surface."""
    pointer = pointer or pointer_of(table)
    if pointer is None:
        return []
    rows = RowSet()
    rows.add_row_range_with_prefix(key_of(listener).decode())
    found = [
        json.loads(row.cell_value(ROWS, ROW))
        for row in table.read_rows(row_set=rows, filter_=_exactly(pointer.now.stamp))
    ]
    return sorted(found, key=lambda one: (one["surface"], one["home_position"] or 0, one["shelf_id"]))


def _exactly(stamp: datetime) -> RowFilterChain:
    """Cells of one publication."""
    whole = TimestampRange(start=stamp, end=stamp + timedelta(milliseconds=1))
    return RowFilterChain(filters=[FamilyNameRegexFilter(ROWS), TimestampRangeFilter(whole)])


def forget(table: Table, listeners: Sequence[str], gone: Forgotten) -> int:
    """Delete every row of listeners, of all publications; of nobody named, everybody on the list. Returns how many rows.

    Raises:
        UserError: the service refused some of them; the same command again goes on.
    """
    if not table.exists():
        return 0
    names = list(listeners) or sorted(gone.among(_listeners(table)))
    deleted = 0
    for listener in names:
        rows = RowSet()
        rows.add_row_range_with_prefix(key_of(listener).decode())
        keys = [row.row_key for row in table.read_rows(row_set=rows, filter_=_KEYS)]
        for start in range(0, len(keys), 1000):
            doomed = [table.direct_row(key) for key in keys[start : start + 1000]]
            for row in doomed:
                row.delete()
            refused = [status for status in table.mutate_rows(doomed) if status.code]
            if refused:
                raise UserError(
                    f"Bigtable refused to delete {len(refused)} rows ({refused[0].message}); run the same command again"
                )
        deleted += len(keys)
    return deleted


_KEYS = RowFilterChain(filters=[CellsColumnLimitFilter(1), StripValueTransformerFilter(True)])


def _listeners(table: Table) -> set[str]:
    """Everybody who has a row."""
    keys = (row.row_key.decode() for row in table.read_rows(filter_=_KEYS))
    return {unquote(key.split("#")[0]) for key in keys if not key.startswith("!")}
