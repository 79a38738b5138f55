"""What a job read and must find unchanged when it commits, where a table that moved meanwhile would be missed for ever.

A fold closes its dates: listens that are committed into them while it is at work would be neither folded nor late. So its commit
looks once more, and so does that of an ingest, whose plan depends on which dates are closed and on the catalog before it.

    stands = Stands.of(warehouse, ("listens", "feedback"), first, last)
    still_stands(warehouse, stands)          # raises Moved where a date's manifest is another one, or there is a new one
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from transforms.common.errors import Moved
from transforms.tables.warehouse import Warehouse


@dataclass(frozen=True)
class Stands:
    """Versions of some tables' manifests from one date to another, as they were read; picklable.

    Attributes:
        versions: `table@date` -> version.
    """

    tables: tuple[str, ...]
    first: date
    last: date
    versions: dict[str, str]

    @classmethod
    def of(cls, warehouse: Warehouse, tables: Sequence[str], first: date, last: date) -> Stands:
        """As they are now."""
        return cls(tuple(tables), first, last, dict(_versions(warehouse, tables, first, last)))


def _versions(warehouse: Warehouse, tables: Sequence[str], first: date, last: date) -> list[tuple[str, str]]:
    return [
        (f"{table}@{day}", manifest.version)
        for table in tables
        for day in warehouse.dates(table)
        if first <= day <= last and (manifest := warehouse.current(table, day)) is not None
    ]


def still_stands(warehouse: Warehouse, stands: Stands) -> None:
    """Compare with what stands now.

    Raises:
        Moved: something was committed meanwhile.
    """
    now = dict(_versions(warehouse, stands.tables, stands.first, stands.last))
    moved = sorted(k for k in {*now, *stands.versions} if now.get(k) != stands.versions.get(k))
    if moved:
        raise Moved(
            f"{moved[0]} moved while this job was at work on it (another ingest, or a repair); nothing was committed: run the "
            "same command again"
        )
