"""What a night is held against, read from the warehouse's manifests and a few files' footers; never from rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from transforms.gates.measure import Counts, Measured
from transforms.gates.night import GateFacts
from transforms.gates.observed import observed, of_manifest
from transforms.tables.manifest import Manifest
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

MEASURED, CHECKS, ACCEPTED = "measured", "checks", "accepted"
FOOTERS = 16


def measured_in(manifest: Manifest) -> Measured | None:
    """The counts that a run keeps in its manifest; None where it has none."""
    raw = manifest.extra.get(MEASURED)
    if not isinstance(raw, dict) or "counts" not in raw:
        return None
    return Measured(dict(raw["counts"]), {k: tuple(v) for k, v in raw.get("examples", {}).items()})


def facts_of(
    warehouse: Warehouse,
    day: date,
    history: int,
    *,
    fit_date: date,
    shelf_count: int,
    measured: Measured | None,
    schema: tuple[str, ...] | None = None,
    inputs: Mapping[str, str] | None = None,
    run_id: str | None = None,
    watched: int = 0,
) -> GateFacts:
    """The facts of a night.

    Args:
        history: dates before, and nights before, to look at.
        fit_date, shelf_count, measured, schema: as in `GateFacts`.
        inputs, run_id: of the night's shelves; without inputs drift is not asked.
        watched: nights before that drift looks at.
    """
    listened = [d for d in warehouse.dates("listens") if d <= day]
    newest = listened[-1] if listened else day
    since = min(newest, day - timedelta(1)) - timedelta(history - 1)
    found = {d: warehouse.need("listens", d) for d in listened if d >= since}
    nulls: dict[date, Counts] = {d: dict(m.extra[MEASURED]) for d, m in found.items() if MEASURED in m.extra}
    earlier = [d for d in warehouse.dates("shelves") if d < day][-history:]
    nights = [one for d in earlier if (m := warehouse.current("shelves", d)) and (one := measured_in(m))]
    tonight, past = None, []
    if inputs is not None and measured is not None:
        tonight = observed(warehouse, day, inputs, measured.counts, nulls.get(day, {}), run_id)
        before = [d for d in warehouse.dates("shelves") if d < day][-watched:]
        past = [seen for d in before if (m := warehouse.current("shelves", d)) and (seen := of_manifest(warehouse, m))]
    return GateFacts(
        day=day,
        fit_date=fit_date,
        shelf_count=shelf_count,
        measured=measured,
        listens={d: m.rows for d, m in found.items()},
        listened=listened,
        nulls=nulls,
        nights=[one.counts for one in nights],
        schema=schema,
        tonight=tonight,
        watched=past,
    )


def schema_faults(warehouse: Warehouse, files: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """What is wrong with files' schemas, a sentence a file; the first few files of each table are opened.

    Args:
        files: (table, path).

    Raises:
        UserError: a file is missing or damaged.
    """
    wrong, seen = [], dict[str, int]()
    for table, path in files:
        seen[table] = seen.get(table, 0) + 1
        if table not in TABLES or not path.endswith(".parquet") or seen[table] > FOOTERS:
            continue
        found = warehouse.open_parquet(path).schema_arrow
        try:
            expected = TABLES[table].arrow_for(found.names)
        except ValueError as error:
            wrong.append(f"{path}: {error}")
            continue
        other = [f.name for f in expected if found.field(f.name).type != f.type]
        if other:
            wrong.append(f"{path}: another type of {', '.join(other)}")
    return tuple(wrong)
