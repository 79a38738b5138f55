"""`nightshelf check`: a night's checks, judged again with the settings of today, and the gate before publishing.

manifest of shelves (or, where a night was held back, of its newest run) + nights before -> PASS, FAIL or SKIP, with numbers
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

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
        raise refuse(
            f"the log of {day}",
            checks,
            "nothing was begun and what was current stays so; ingest what is missing and run again, or take the date as "
            f"it is with `nightshelf {command.format(day=day)} --accept-gates`",
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


def print_checks(warehouse: str, day: date, settings: GateSettings) -> None:
    """Print every check of a night.

    Raises:
        GateFailed: one of them fails and nobody accepted it.
    """
    import click

    from transforms.common.printable import plain

    opened = Warehouse(warehouse)
    current = opened.current(TABLE, day)
    manifest = current or held_back(opened, day)
    if manifest is None:
        click.echo(f"there are no shelves of {day} yet; its listens:")
        checks = of_listens(opened, day, settings)
    else:
        click.echo(f"shelves of {day}, run {manifest.run_id}, {'current' if current else 'held back, not current'}")
        checks = judged(opened, manifest, settings)
    for one in checks:
        click.echo(plain(str(one)))  # its examples are ids of tracks
    measured = measured_in(manifest) if manifest else None
    for shelf, rules in removed_by_shelf(measured.counts if measured else {}).items():
        click.echo(f"removed from {shelf}: {', '.join(f'{rule} {number:,}' for rule, number in rules)}")
    accepted = manifest.extra.get(ACCEPTED, []) if manifest else []
    if accepted:
        click.echo(f"accepted when it was committed: {', '.join(accepted)}")
    open_checks = [c for c in checks if c.name not in accepted]
    if failed(open_checks):
        remedy = "docs/operations.md says what to do, by the name of the check"
        raise refuse(f"the night of {day}", open_checks, remedy)


def say_what_moved(warehouse: Warehouse, day: date) -> None:
    """A warning for everything in a committed night that is spread otherwise than in the nights before."""
    from pipelines.runtime import logs

    shelves = warehouse.current(TABLE, day)
    for one in (Check.from_dict(raw) for raw in shelves.extra.get(CHECKS, [])) if shelves else ():
        if one.state == "WARN":
            logs.say("WARN", f"WARN night {day}: {one.name}: {one.detail}", date=day.isoformat())
