"""After damage from outside (a disk, a copy that broke off): what is damaged, and getting it made again.

A run never damages anything, but its version says "current", so nothing would remake it. `mark` gives a damaged table's
manifest another version, in one atomic step: its files stay named, so a reader meets an error and never a hole, and what
`remedies` names makes the same version again. What was ingested cannot be made again; its bytes must be brought back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from transforms.common.errors import UserError
from transforms.tables.manifest import Manifest
from transforms.tables.runs import RUN_MANIFEST
from transforms.tables.schema import TABLES
from transforms.tables.upkeep import check_table, rows_of, tables
from transforms.tables.warehouse import CURRENT, Warehouse, days, folder

INGESTED = frozenset(table.name for table in TABLES.values() if table.made_by == "ingest")
FOLDED = frozenset(table.name for table in TABLES.values() if table.made_by == "fold")
DAMAGED = "damaged-"
_MISCOUNTED = re.compile(r" rows, and its (?:files|manifest says) [\d,]+$")


@dataclass(frozen=True)
class Fault:
    """One table of one date that is damaged. `manifest` is None where the manifest itself cannot be read."""

    table: str
    day: date
    words: tuple[str, ...]
    manifest: Manifest | None


def is_marked(manifest: Manifest) -> bool:
    """Whether a manifest is marked to be made again."""
    return manifest.version.startswith(DAMAGED)


def waits(manifest: Manifest) -> bool:
    """Whether a manifest is marked to be made again, or was made from one that was."""
    return is_marked(manifest) or any(version.startswith(DAMAGED) for version in manifest.inputs.values())


def waiting(warehouse: Warehouse) -> list[Manifest]:
    """What is marked and not made again yet, by table and date. Only manifests are read, those that can be."""
    found = []
    for table in tables(warehouse):
        for day in warehouse.dates(table):
            try:
                manifest = warehouse.need(table, day)
            except UserError:
                continue  # `faults` tells of it
            if waits(manifest):
                found.append(manifest)
    return found


def remedies(warehouse: Warehouse, marked: Sequence[Manifest]) -> Iterator[str]:
    """Sentences that name what is marked and the commands that make it again.

    What the fold made is folded again by `features`, up to the first library that holds it all: `backfill` would do so
    too, and make whole nights of the dates between that have none.
    """
    folded = [m for m in marked if m.table in FOLDED]
    if folded:
        first, last = min(m.date for m in folded), max(m.date for m in folded)
        last = next((d for d in warehouse.dates("library") if d >= last), last)
        yield _remedy(folded, f"nightshelf features --from {first} --to {last}")
    for day in sorted({m.date for m in marked if m.table not in FOLDED}):
        others = [m for m in marked if m.date == day and m.table not in FOLDED]
        yield _remedy(others, f"nightshelf backfill --from {day} --to {day}")


def _remedy(marked: Sequence[Manifest], command: str) -> str:
    by_table: dict[str, list[str]] = {}
    for m in marked:
        by_table.setdefault(m.table, []).append(m.date.isoformat())
    named = "; ".join(f"{table} of {', '.join(dates)}" for table, dates in by_table.items())
    return f"waiting to be made again: {named}; make it with `{command}`"


def to_fold_again(warehouse: Warehouse, first: date, last: date) -> list[date]:
    """Dates of libraries up to which to fold again, in order, before dates from `first` to `last` are folded.

    That is what waits in that range, and of what stands before it the libraries that the fold builds on. Each of them is
    folded by itself, as it was the first time: with the catalog of its own date.
    """
    before = warehouse.newest("library", first - timedelta(1))
    while before is not None:
        first = min([before.date, *(date.fromisoformat(part["date"]) for part in before.extra.get("chain", ()))])
        base = warehouse.current("library", first)
        if base is None or not waits(base):
            break
        before = warehouse.newest("library", first - timedelta(1))
    found = set()
    for table in sorted(FOLDED):
        held = set(warehouse.store.folders(table))  # of a log's whole past most dates have nothing to be read yet
        there = [d for d in days(first, last) if f"date={d}" in held]
        found |= {d for d in there if (m := warehouse.current(table, d)) and waits(m)}
    if not found:
        return []
    libraries = [d for d in warehouse.dates("library") if d <= last]
    return sorted({end for d in found if (end := next((e for e in libraries if e >= d), None))})


def faults(warehouse: Warehouse, day: date | None = None) -> Iterator[Fault]:
    """Every table and date (or those of one date) whose manifest cannot be read or whose files are not what it says."""
    for table in tables(warehouse):
        for when in warehouse.dates(table):
            if day is not None and when != day:
                continue
            try:
                manifest = warehouse.need(table, when)
            except UserError:
                yield Fault(table, when, (f"{folder(table, when)}/{CURRENT} is not a manifest",), None)
                continue
            wrong = check_table(warehouse, manifest)
            if wrong:
                yield Fault(table, when, tuple(wrong), manifest)


def mend(warehouse: Warehouse, fault: Fault) -> str:
    """Do what can be done about a fault; a sentence that says what was done, and what is left to do but `remedies`.

    Raises:
        LostRace: a run committed meanwhile.
    """
    manifest, token = fault.manifest, warehouse.store.read_with_token(f"{folder(fault.table, fault.day)}/{CURRENT}")[1]
    if manifest is None:
        manifest = newest_run(warehouse, fault.table, fault.day)
        if manifest is None:
            return f"{fault.table} of {fault.day}: no run to put back; delete {CURRENT} there and make the date again"
        if fault.table in INGESTED:
            warehouse.commit(manifest, token)
            return f"{fault.table} of {fault.day}: run {manifest.run_id} is current again"
    elif all(_MISCOUNTED.search(words) for words in fault.words):
        warehouse.commit(recounted(warehouse, manifest), token)
        return f"{fault.table} of {fault.day}: its files are what was committed, and were counted again"
    elif fault.table in INGESTED:
        hashes = {f.path: f.sha256 for f in manifest.files}
        lost = [path for path in hashes if any(path in words for words in fault.words)]
        named = ", ".join(f"{path} (sha256 {hashes[path]})" for path in lost)
        return (
            f"{fault.table} of {fault.day} came from outside and cannot be made again: bring back {named} from a copy, "
            "or ingest the log into a new warehouse"
        )
    marked = _built_on(warehouse, manifest)
    for one in marked:
        current, seen = warehouse.current_with_token(one.table, one.date) if one != manifest else (manifest, token)
        if current is not None and not is_marked(current):
            warehouse.commit(current.model_copy(update={"version": f"{DAMAGED}{current.version}"}), seen)
    also = ", ".join(m.date.isoformat() for m in marked[1:])
    return f"{fault.table} of {fault.day} is marked to be made again" + (
        f", and so are those built on it: {also}" if also else ""
    )


def recounted(warehouse: Warehouse, manifest: Manifest) -> Manifest:
    """A manifest with the numbers of rows that its files hold."""
    files = tuple(
        f.model_copy(update={"rows": rows_of(warehouse.store.read(f.path))}) if f.path.endswith(".parquet") else f
        for f in manifest.files
    )
    return manifest.model_copy(update={"files": files, "rows": sum(f.rows for f in files)})


def newest_run(warehouse: Warehouse, table: str, day: date) -> Manifest | None:
    """Of the runs that were finished and not held back by a check, the one that no other run came after."""
    found = []
    for name in warehouse.store.folders(folder(table, day)):
        try:
            manifest = Manifest.from_json(warehouse.store.read(f"{folder(table, day)}/{name}/{RUN_MANIFEST}"))
        except (FileNotFoundError, ValueError):
            continue
        states = {c.get("state") for c in manifest.extra.get("checks", ()) if isinstance(c, dict)}
        if "FAIL" not in states or "accepted" in manifest.extra:
            found.append(manifest)
    earlier = {m.previous_run for m in found}
    last = [m for m in found if m.run_id not in earlier]
    return min(last, key=lambda m: (m.version, m.run_id)) if last else None


def _built_on(warehouse: Warehouse, manifest: Manifest) -> list[Manifest]:
    """The manifest, and later libraries that add their days to it."""
    out = [manifest]
    if manifest.table == "library":
        for day in warehouse.dates("library"):
            later = warehouse.current("library", day) if day > manifest.date else None
            if later and any(part["run_id"] == manifest.run_id for part in later.extra.get("chain", ())):
                out.append(later)
    return out
