"""`rollback`, `repair` and `clean`, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from transforms.tables import upkeep
from transforms.tables.repair import faults, mend, remedies, waiting
from transforms.tables.upkeep import RetentionSettings
from transforms.tables.warehouse import Warehouse


def rollback(warehouse: str, table: str, day: date, unpin: bool = False) -> str:
    """Go back one run and pin it, or release the pin; says what stands now."""
    if unpin:
        manifest = upkeep.unpin(Warehouse(warehouse), table, day)
        return f"{table} of {day} is run {manifest.run_id}, no longer pinned"
    manifest = upkeep.rollback(Warehouse(warehouse), table, day)
    return f"{table} of {day} is run {manifest.run_id} again, and pinned to it"


def repair(warehouse: str, day: date | None = None, dry_run: bool = False) -> Iterator[str]:
    """Look for damaged files and manifests and mark them; yields a line a fault, what was done, and what is left to do."""
    opened = Warehouse(warehouse)
    found = list(faults(opened, day))
    for fault in found:
        yield from (f"damaged: {words}" for words in fault.words)
        if not dry_run:
            yield mend(opened, fault)
    if not found:
        yield "nothing is damaged"
    yield from remedies(opened, waiting(opened))


def clean(warehouse: str, settings: RetentionSettings, dry_run: bool = False, abandoned: bool = False) -> Iterator[str]:
    """Delete what retention allows; yields a line a folder."""
    opened = Warehouse(warehouse)
    for path in list(upkeep.removable(opened, settings, abandoned)):
        if dry_run or upkeep.remove(opened, path):
            yield f"{'would delete' if dry_run else 'deleted'} {path}"
