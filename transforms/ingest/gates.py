"""The gate of an ingest: a batch's counts against the dates and batches that are there, before anything is committed.

A batch that was killed between its dates is judged again: what it committed itself is left out of what it is held
against, so it is judged alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from transforms.gates.batch import BatchFacts, check_batch
from transforms.gates.check import failed, refuse
from transforms.gates.history import ACCEPTED, CHECKS, MEASURED
from transforms.gates.measure import Counts, add
from transforms.tables.manifest import Manifest
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from transforms.ingest.batch import Batch

CATALOG = "catalog"
Told = tuple[str, str, Mapping[str, int]]


def judge_batch(batch: Batch, account: Mapping[str, Any], acts: Iterable[Told]) -> dict[str, Any]:
    """Judge a batch.

    Args:
        account: rows, duplicates, known, rejects, reasons of the log.
        acts: (table, date, counts) of everything written.

    Returns:
        What the ledger keeps of it: every check, what was accepted, and how much of the batch the catalog knew.

    Raises:
        GateFailed: a check failed and nobody accepted it.
    """
    warehouse = Warehouse(batch.warehouse)
    counts = _by_target(acts)
    filed = {day: n["rows"] for (table, day), n in counts.items() if table == "listens"}
    catalog = _catalog(batch, warehouse, counts)
    facts = BatchFacts(
        rows=account["rows"],
        duplicates=account["duplicates"],
        rejects=account["rejects"] - account["reasons"].get("forgotten", 0),  # such lines are refused, not bad
        known=account.get("known", 0),
        reasons=dict(account["reasons"]),
        filed=filed,
        stored=_stored(batch, warehouse, max(filed, default=None)),
        tracks=catalog.get("tracks", 0),
        unknown=catalog["tracks"] - catalog["known"] if catalog else None,
        unknown_before=_unknown_before(batch, warehouse),
    )
    checks = check_batch(facts, batch.gates)
    bad = [c.name for c in failed(checks)]
    if bad and batch.gates.enforce and not batch.accept_gates:
        raise refuse(
            f"batch {batch.id}",
            checks,
            "nothing was committed and the files do not count as ingested; mend the log and ingest again, or take it "
            "as it is with `nightshelf ingest --accept-gates`",
        )
    return {CHECKS: [c.to_dict() for c in checks], **({ACCEPTED: bad} if bad else {}), CATALOG: catalog}


def measured_extra(
    batch: Batch, table: str, current: Manifest | None, counts: Sequence[Mapping[str, int]]
) -> dict[str, Any]:
    """What a date's manifest keeps for later checks: the listens' counts, or how much of the batch the catalog knew."""
    if table == "listens":
        before = current.extra.get(MEASURED, {}) if current else {}
        complete = current is None or current.rows == before.get("rows")  # else some of its rows were never counted
        return {MEASURED: add([before, *counts])} if complete else {}
    if table == "tracks" and any(counts):
        return {CATALOG: {batch.id: add(counts)}}
    return {}


def _by_target(acts: Iterable[Told]) -> dict[tuple[str, date], Counts]:
    out: dict[tuple[str, date], Counts] = {}
    for table, day, counts in acts:
        key = (table, date.fromisoformat(day))
        out[key] = add([out.get(key, {}), counts])
    return out


def _stored(batch: Batch, warehouse: Warehouse, newest: date | None) -> dict[date, int]:
    """Listens of earlier batches on the newest date and the dates before it."""
    if newest is None:
        return {}
    out = {}
    for back in range(batch.gates.history + 1):
        day = newest - timedelta(back)
        manifest = warehouse.current("listens", day)
        if manifest is not None:
            out[day] = sum(f.rows for f in manifest.files if f.batch != batch.id)
    return out


def _catalog(batch: Batch, warehouse: Warehouse, counts: Mapping[tuple[str, date], Counts]) -> Counts:
    """Distinct tracks of the batch, and how many of them the catalog knew; as a killed attempt said, where it did."""
    for day in batch.dates("tracks"):
        manifest = warehouse.current("tracks", day)
        kept = manifest.extra.get(CATALOG, {}).get(batch.id) if manifest else None
        if kept:
            return dict(kept)
    return next((n for (table, _), n in sorted(counts.items()) if table == "tracks" and n), {})


def _unknown_before(batch: Batch, warehouse: Warehouse) -> list[float]:
    """Of earlier batches, newest last, the share of tracks that no catalog knew."""
    shares = []
    for day in warehouse.dates("rejects"):
        for name, account in warehouse.need("rejects", day).extra.get("batches", {}).items():
            found = account.get(CATALOG)
            if name != batch.id and found and found["tracks"]:
                shares.append(1 - found["known"] / found["tracks"])
    return shares[-batch.gates.history :]
