"""`status`, `rollback` and `clean`, printed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from transforms.common.printable import printable
from transforms.tables import upkeep
from transforms.tables.repair import faults, mend, remedies, waiting, waits
from transforms.tables.upkeep import RetentionSettings
from transforms.tables.warehouse import Warehouse


def print_status(warehouse: str, day: date | None = None) -> None:
    """Print a line a table: dates, rows of the newest, and what has moved since it was made."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    opened = Warehouse(warehouse)
    found = [s for s in upkeep.states(opened) if day is None or s.manifest.date <= day]
    newest: dict[str, upkeep.State] = {}
    dates: dict[str, int] = {}
    for state in sorted(found, key=lambda s: s.manifest.date):
        newest[state.manifest.table] = state
        dates[state.manifest.table] = dates.get(state.manifest.table, 0) + 1
    view = Table("table", "dates", "newest", "run", "rows", "state", title=escape(f"warehouse {printable(warehouse)}"))
    for table, state in sorted(newest.items()):
        m = state.manifest
        word = "pinned" if m.pinned else "current"
        if waits(m):
            word = "damaged, waiting to be made again"
        elif state.moved:
            word = "out of date: " + ", ".join(state.moved)
        view.add_row(table, str(dates[table]), str(m.date), m.run_id, f"{m.rows:,}", word)
    console = Console()
    console.print(view)
    for state in found:
        if state.moved and state is not newest[state.manifest.table]:
            said = f"{state.manifest.table} of {state.manifest.date} is out of date: {', '.join(state.moved)}"
            console.print(said, markup=False)
    for line in remedies(opened, [s.manifest for s in found if waits(s.manifest)]):
        console.print(line, soft_wrap=True, markup=False)


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
