"""`nightshelf check`: a night's checks, judged again with the settings of today, and the gate before publishing.

manifest of shelves (or, where a night was held back, of its newest run) + nights before -> PASS, FAIL or SKIP, with numbers
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from transforms.common.printable import plain
from transforms.gates.check import Check, failed, refuse, within
from transforms.gates.history import ACCEPTED, CHECKS, MEASURED, facts_of, measured_in, schema_faults
from transforms.gates.measure import removed_by_shelf
from transforms.gates.night import check_night
from transforms.gates.settings import GateSettings
from transforms.tables.manifest import Manifest
from transforms.tables.runs import RUN_MANIFEST
from transforms.tables.warehouse import Warehouse, folder

TABLE = "shelves"
OF_LISTENS = ("volume", "freshness", "nulls")


def held_back(warehouse: Warehouse, day: date) -> Manifest | None:
    """The newest run of a night that failed its checks and was not committed; None where there is none."""
    found = []
    for name in warehouse.store.folders(folder(TABLE, day)):
        try:
            manifest = Manifest.from_json(warehouse.store.read(f"{folder(TABLE, day)}/{name}/{RUN_MANIFEST}"))
        except FileNotFoundError:
            continue
        checks = [Check.from_dict(c) for c in manifest.extra.get(CHECKS, [])]
        if failed(checks) and ACCEPTED not in manifest.extra:
            version, _, attempt = manifest.run_id.rpartition("-")
            found.append((int(attempt), version, manifest))
    return max(found, key=lambda one: one[:2])[2] if found else None


def judged(warehouse: Warehouse, manifest: Manifest, settings: GateSettings) -> list[Check]:
    """A run of shelves, judged from its counts and its files' footers, with the given thresholds."""
    shelf_count = manifest.settings.get("shelves", {}).get("shelves", [])
    facts = facts_of(
        warehouse,
        manifest.date,
        settings.history,
        fit_date=date.fromisoformat(manifest.settings.get("fit_date", manifest.date.isoformat())),
        shelf_count=len(shelf_count),
        measured=measured_in(manifest),
        schema=schema_faults(warehouse, [(manifest.table, f.path) for f in manifest.files]),
        inputs=manifest.inputs,
        run_id=manifest.run_id,
        watched=settings.drift.past_nights,
    )
    return check_night(facts, settings)


def of_listens(warehouse: Warehouse, day: date, settings: GateSettings) -> list[Check]:
    """The checks that need no more than a date's listens."""
    facts = facts_of(warehouse, day, settings.history, fit_date=day, shelf_count=0, measured=None)
    return [c for c in check_night(facts, settings) if c.name in OF_LISTENS]


def newest_passing(
    warehouse: Warehouse, day: date, settings: GateSettings, names: Collection[str] = OF_LISTENS
) -> date | None:
    """The newest date before `day` whose listens pass; None where none of the last dates with listens does.

    Looked for among the dates from a week after the newest listens back to as many dates with listens as `history` counts.
    """
    listened = [d for d in warehouse.dates("listens") if d <= day]
    if not listened:
        return None
    first, newest = (
        listened[-settings.history :][0],
        min(day - timedelta(1), listened[-1] + timedelta(settings.history)),
    )
    for n in range((newest - first).days + 1):
        tried = newest - timedelta(n)
        if not failed([c for c in of_listens(warehouse, tried, settings) if c.name in names]):
            return tried
    return None


def require_listens(
    warehouse: Warehouse,
    day: date,
    settings: GateSettings,
    accept: bool = False,
    *,
    names: Collection[str] = OF_LISTENS,
    command: str = "run --date {day}",
) -> None:
    """The gate before a night begins: a date that is folded is closed, and what came later would be filed as late.

    Args:
        names: the checks that are asked.
        command: what takes the date as it is, if `--accept-gates` is added.

    Raises:
        GateFailed: a check failed and nobody accepted it, now or when the night was committed.
    """
    current = warehouse.current(TABLE, day)
    known = set(current.extra.get(ACCEPTED, [])) if current else set()
    checks = [c for c in of_listens(warehouse, day, settings) if c.name in names and c.name not in known]
    if failed(checks) and settings.enforce and not accept:
        passing = newest_passing(warehouse, day, settings, names)
        raise refuse(
            f"the log of {day}",
            checks,
            "nothing was begun and what was current stays so; ingest what is missing and run again, "
            + (f"take {passing}, the newest date that would pass, " if passing else "")
            + f"or take the date as it is with `nightshelf {command.format(day=day)} --accept-gates`",
        )


def require(warehouse: Warehouse, manifests: Sequence[Manifest], settings: GateSettings, accept: bool = False) -> None:
    """The gate before publishing: every file has the declared schema, and the shelves pass their checks.

    What a person accepted when the night was committed counts as accepted here too.

    Raises:
        GateFailed: a check failed and nobody accepted it.
    """
    for manifest in manifests:
        if manifest.table == TABLE and MEASURED in manifest.extra:
            checks = judged(warehouse, manifest, settings)
        else:
            wrong = schema_faults(warehouse, [(manifest.table, f.path) for f in manifest.files])
            checks = [within("schema", len(wrong), high=0, unit="files of another schema", examples=wrong)]
        known = set(manifest.extra.get(ACCEPTED, []))
        bad = [c for c in failed(checks) if c.name not in known]
        if bad and settings.enforce and not accept:
            raise refuse(
                f"{manifest.table} of {manifest.date}",
                [c for c in checks if c.name not in known],
                "no view was replaced, consumers read what they read before; make the night again or take it back with "
                f"`nightshelf rollback {manifest.table} --date {manifest.date}`, or publish it as it is with "
                "`--accept-gates`",
            )


@dataclass(frozen=True)
class Checked:
    """A night's checks, or those of a date's listens where there is no night yet.

    Attributes:
        run: of its shelves; None where there are none.
        current: whether that run is current; else it was held back.
        removed: by shelf what each rule kept off it, most first.
        accepted: checks that somebody accepted when it was committed.
        passing: where the log fails, the newest date that would pass.
    """

    day: date
    run: str | None
    current: bool
    checks: tuple[Check, ...]
    removed: dict[str, list[tuple[str, int]]]
    accepted: tuple[str, ...]
    passing: date | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "night": str(self.day),
            "run": self.run,
            "current": self.current,
            "checks": [one.to_dict() for one in self.checks],
            "removed": {shelf: dict(rules) for shelf, rules in self.removed.items()},
            "accepted": list(self.accepted),
            "newest_date_that_would_pass": str(self.passing) if self.passing else None,
        }


def checked(warehouse: str, day: date, settings: GateSettings) -> Checked:
    """Judge a night with the given thresholds: what is current, else what was held back, else the listens alone."""
    opened = Warehouse(warehouse)
    current = opened.current(TABLE, day)
    manifest = current or held_back(opened, day)
    if manifest is None:
        checks = of_listens(opened, day, settings)
        passing = newest_passing(opened, day, settings) if failed(checks) else None
        return Checked(day, None, False, tuple(checks), {}, (), passing)
    measured = measured_in(manifest)
    removed = removed_by_shelf(measured.counts if measured else {})
    accepted = tuple(manifest.extra.get(ACCEPTED, []))
    checks = judged(opened, manifest, settings)
    return Checked(day, manifest.run_id, current is not None, tuple(checks), removed, accepted)


def told_lines(found: Checked) -> list[str]:
    """A night's checks for people."""
    stands = "current" if found.current else "held back, not current"
    head = f"shelves of {found.day}, run {found.run}, {stands}"
    lines = [head if found.run else f"there are no shelves of {found.day} yet; its listens:"]
    lines += [plain(str(one)) for one in found.checks]  # its examples are ids of tracks
    if found.passing:
        lines.append(f"the newest date that would pass: {found.passing}")
    for shelf, rules in found.removed.items():
        lines.append(f"removed from {shelf}: {', '.join(f'{rule} {number:,}' for rule, number in rules)}")
    if found.accepted:
        lines.append(f"accepted when it was committed: {', '.join(found.accepted)}")
    return lines


def require_passed(found: Checked) -> None:
    """Refuse a night that fails.

    Raises:
        GateFailed: one of its checks fails and nobody accepted it.
    """
    open_checks = [c for c in found.checks if c.name not in found.accepted]
    if failed(open_checks):
        remedy = "docs/operations.md says what to do, by the name of the check"
        raise refuse(f"the night of {found.day}", open_checks, remedy)


def say_what_moved(warehouse: Warehouse, day: date) -> None:
    """A warning for everything in a committed night that is spread otherwise than in the nights before."""
    from pipelines.runtime import logs

    shelves = warehouse.current(TABLE, day)
    for one in (Check.from_dict(raw) for raw in shelves.extra.get(CHECKS, [])) if shelves else ():
        if one.state == "WARN":
            logs.say("WARN", f"WARN night {day}: {one.name}: {one.detail}", date=day.isoformat())
