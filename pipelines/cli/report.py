"""The report of a night: what the warehouse says of itself, gathered and written as one HTML page.

manifests, runs/*.json, evaluation, shelves, tracks of D -> reports/date=D/report.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl

from models.settings import ApproximateSettings
from pipelines.cli.show import titles
from pipelines.recommender import preference, promotion
from pipelines.recommender.champion import note_of
from pipelines.recommender.indexes import remark
from pipelines.recommender.registry import read_by
from transforms.common.hashing import stable_hash
from transforms.evaluation.responses import without_estimates
from transforms.evaluation.variety import ReassembledNight, curves, measured_night, reassembled_shelves
from transforms.gates.check import Check
from transforms.gates.history import ACCEPTED, CHECKS, measured_in
from transforms.gates.measure import removed_by_shelf
from transforms.reporting.facts import Job, Ledger, Model, NightFacts, Sample, Shelf, ShelfItem, TableRows, VarietyCurve
from transforms.reporting.loop import believed, readouts_of
from transforms.reporting.page import render
from transforms.reporting.settings import CostSettings
from transforms.reporting.standing import Standing, standing
from transforms.reporting.verdict import verdict
from transforms.shelves.reasons import sentence
from transforms.shelves.settings import ShelvesSettings
from transforms.tables.manifest import Manifest
from transforms.tables.records import read_record
from transforms.tables.upkeep import input_key, tables
from transforms.tables.warehouse import Warehouse, folder

SHOWN_ITEMS = 10
SAMPLES = 3
GALLERY = 2000
VARIETY_LISTENERS = 300  # whose shelves are put together again to tell relevance against variety
ORDER = ("listens", "rejects", "tracks", "listeners", "feedback", "impressions", "sessions", "library", "track_stats")


def report(warehouse: str, day: date, prices: CostSettings | None = None, gallery: int = GALLERY) -> str:
    """Write the page of a night, and beside it the gallery of its listeners' shelves, and say where the page is.

    Args:
        warehouse: folder or bucket URL.
        day: the night.
        prices: section `cost` of the settings; None = defaults.
        gallery: listeners in the gallery, at most; 0 = no gallery.

    Returns:
        Its path, or its address in a bucket.

    Raises:
        UserError: the night has neither shelves nor candidates.
    """
    from pipelines.cli.gallery import write_gallery

    opened = Warehouse(warehouse)
    shelves, night = opened.current("shelves", day), gather(opened, day, prices)
    opened.store.delete(f"{folder('reports', day)}/gallery")
    if shelves is not None and shelves.rows and gallery:
        stands = standing(opened, shelves)
        said = verdict(night.checks, night.accepted, night.empty, night.remarks)
        night = replace(night, gallery=write_gallery(opened, shelves, stands, said, gallery))
    path = f"{folder('reports', day)}/report.html"
    opened.store.write(path, render(night, read_by()).encode())
    return f"{opened.url.rstrip('/')}/{path}"


def gather(warehouse: Warehouse, day: date, prices: CostSettings | None = None) -> NightFacts:
    """Everything the page tells of a night; what is not there is left out.

    Raises:
        UserError: the night has neither shelves nor candidates.
    """
    shelves = warehouse.current("shelves", day)
    if shelves is None:
        warehouse.need("candidates", day)
    measured = warehouse.current("evaluation", day)
    used = behind(warehouse, day)
    stands = standing(warehouse, shelves)
    counted = measured_in(shelves) if shelves else None
    return NightFacts(
        day=day,
        warehouse=warehouse.url,
        evaluation=warehouse.read_manifest(measured) if measured else None,
        evaluated_days=measured.settings.get("days") if measured else None,
        ranker_note=ranker_note(used),
        quality_note="" if measured else _not_measured(day),
        open_slots_note=_open_slots(warehouse, measured, shelves),
        checks=[Check.from_dict(c) for c in shelves.extra.get(CHECKS, [])] if shelves else [],
        accepted=shelves.extra.get(ACCEPTED, []) if shelves else [],
        statuses=stands.statuses,
        shelves_note=stands.note,
        removed=removed_by_shelf(counted.counts if counted else {}),
        jobs=list(jobs(warehouse, {m.run_id for m in used})),
        tables=list(_table_rows(warehouse, used, day)),
        batches=list(_batches(warehouse, day)),
        samples=_samples(warehouse, shelves, stands),
        models=list(_models(warehouse, used)),
        listeners=stands.listeners,
        plugins=sorted({f"{name} {number}" for m in used for name, number in m.settings.get("plugins", {}).items()}),
        prices=prices or CostSettings(),
        readouts=readouts_of(warehouse, day),
        believed=believed(warehouse, day),
        empty=stands.empty,
        variety=varieties(warehouse, shelves),
        remarks=[
            *([note] if shelves and (note := note_of(warehouse, shelves)) else []),
            *([why] if shelves and (why := preference.note_of(warehouse, shelves)) else []),
            *(f"ranker of {m.remark}" for m in _models(warehouse, used) if m.remark),
        ],
    )


def varieties(warehouse: Warehouse, shelves: Manifest | None) -> list[VarietyCurve]:
    """Relevance against variety of the night's shelves that stored candidates suffice for, on the newest night with outcomes."""
    settings = shelves.settings.get("shelves") if shelves else None
    night = measured_night(warehouse, shelves.date) if shelves and settings else None
    if night is None or settings is None:
        return []
    own = reassembled_shelves(ShelvesSettings.model_validate(settings).shelves)
    stored = ReassembledNight(warehouse, night, VARIETY_LISTENERS, own)
    listeners = {s.shelf_id: stored.listened(s)["listener_id"].n_unique() for s in own}
    known = [s for s in own if listeners[s.shelf_id]]
    return [
        VarietyCurve(s.title, s.size, night, listeners[s.shelf_id], points)
        for s, points in zip(known, curves(stored, known) if known else (), strict=True)
        if points[0].ndcg > 0
    ]


def ranker_note(used: Sequence[Manifest]) -> str:
    """What the order of a night has to say of itself, from the manifests behind it."""
    rankers = [m for m in used if m.table == "rankers"]
    if not rankers:
        return "No stored night has outcomes to learn from yet, so the sources' untrained blend orders this one"
    outcome = promotion.sentence(max(rankers, key=lambda m: m.date).extra)
    return f"Ranker of {max(m.date for m in rankers)}: {outcome}" if outcome else ""


def _not_measured(day: date) -> str:
    """What a report without an evaluation says in its first chapter."""
    return (
        f"Not measured: this night has no evaluation. `nightshelf evaluate --date {day}` adds it, once listens of the days "
        "after the night are ingested; then make the report again."
    )


def _open_slots(warehouse: Warehouse, measured: Manifest | None, shelves: Manifest | None) -> str:
    """Why an evaluated night says nothing of its open slots, if it does not."""
    if measured is None or shelves is None:
        return ""
    return without_estimates(warehouse, measured.date, int(measured.settings.get("days", 0))) or ""


def behind(warehouse: Warehouse, day: date) -> list[Manifest]:
    """Current manifests of the night and of everything it was made from, in order of table and date."""
    starts = [m for t in tables(warehouse) if (m := warehouse.current(t, day))]
    found: dict[str, Manifest] = {}
    while starts:
        manifest = starts.pop()
        if input_key(manifest) in found:
            continue
        found[input_key(manifest)] = manifest
        for key in manifest.inputs:
            table, _, when = key.partition("@")
            if key not in found and when and (m := warehouse.current(table, date.fromisoformat(when))):
                starts.append(m)
    place_of = {table: n for n, table in enumerate(ORDER)}
    return sorted(found.values(), key=lambda m: (place_of.get(m.table, len(ORDER)), m.table, m.date))


def jobs(warehouse: Warehouse, run_ids: set[str]) -> Iterator[Job]:
    """Jobs that made the given runs, in the order they ran. A job that made many tables is told once."""
    by_job: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for path in warehouse.store.paths("runs"):
        if path.rsplit("/", maxsplit=1)[-1].removesuffix(".json") in run_ids and (
            record := read_record(warehouse, path)
        ):
            # (before there was one record a job, there was one for each of its runs, within moments of each other)
            by_job.setdefault((record["job"], record["seconds"]), []).append(record)
    for (name, seconds), records in sorted(by_job.items(), key=lambda pair: min(r.get("at", 0.0) for r in pair[1])):
        dates = sorted({day for r in records for day in (r["date"], r.get("first_date", r["date"]))})
        counters = records[0].get("counters", {})
        yield Job(
            name=name,
            dates=dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
            seconds=seconds,
            peak_mb=records[0].get("peak_mb", 0.0),
            rows_read=records[0].get("rows_in", counters.get("read.rows", counters.get("ingest.rows_in", 0))),
            rows_written=records[0].get("rows_out", counters.get("write.rows", counters.get("ingest.rows_written", 0))),
            megabytes=records[0].get("bytes_out", counters.get("write.bytes", 0)) / 1e6,
            megabytes_read=records[0].get("bytes_in", 0) / 1e6,
            cpu_seconds=records[0].get("cpu_seconds"),
            vcpus=records[0].get("machine", {}).get("vcpus", 1) * records[0].get("machines", 1),
            parts=records[0].get("parts", {}),
        )


def _table_rows(warehouse: Warehouse, used: list[Manifest], day: date) -> Iterator[TableRows]:
    """The newest date of every table behind the night, with the rows of the inputs it names."""
    rows = {input_key(m): m.rows for m in used}
    newest = {m.table: m for m in used}
    for manifest in newest.values():
        known = [rows[key] for key in manifest.inputs if key in rows]
        yield TableRows(
            table=manifest.table,
            day=manifest.date,
            rows_in=sum(known) if known else None,
            rows=manifest.rows,
            bytes=sum(f.bytes for f in manifest.files),
            files=len(manifest.files),
            version=manifest.version,
        )


def _batches(warehouse: Warehouse, day: date) -> Iterator[Ledger]:
    """What came of every batch that was ingested; the manifest of `rejects` is its ledger."""
    for when in warehouse.dates("rejects"):
        for name, account in warehouse.need("rejects", when).extra.get("batches", {}).items():
            yield Ledger(
                batch=name,
                format=account.get("format", ""),
                files=len(account.get("files", {})),
                rows=account["rows"],
                listens=account["listens"],
                duplicates=account["duplicates"],
                rejects=account["rejects"],
                reasons=dict(account.get("reasons", {})),
            )


def _models(warehouse: Warehouse, used: list[Manifest]) -> Iterator[Model]:
    """Registry entries among the files of the manifests."""
    for manifest in used:
        for file in manifest.files:
            if file.path.endswith("/entry.json"):
                entry = json.loads(warehouse.store.read(file.path))
                metrics = dict(sorted(entry.get("metrics", {}).items()))
                remark = promotion.sentence(manifest.extra) if manifest.table == "rankers" else searched(entry)
                yield Model(
                    entry["name"],
                    entry.get("kind", ""),
                    entry["version"],
                    entry["fit_date"],
                    metrics,
                    f"{manifest.date}: {remark}" if remark else "",
                )


def searched(entry: Mapping[str, Any]) -> str:
    """How the dense sources of a model's entry are searched; empty where exactly and without an index."""
    described = entry.get("settings", {}).get("approximate")
    return remark(entry.get("metrics", {}), ApproximateSettings.model_validate(described)) if described else ""


def _samples(warehouse: Warehouse, shelves: Manifest | None, stands: Standing) -> list[Sample]:
    """A few listeners, chosen by hash: most with the most personal shelves, one with fallbacks where there is one."""
    if shelves is None or stands.rows.is_empty():
        return []
    people = (
        stands.rows.group_by("listener_id").agg(personal=(pl.col("status") == "personal").sum()).sort("listener_id")
    )
    people = people.with_columns(_hash=stable_hash(people["listener_id"], purpose="report")).sort(
        "_hash", "listener_id"
    )
    most = people.filter(pl.col("personal") == pl.col("personal").max()).head(SAMPLES - 1)
    least = people.join(most, on="listener_id", how="anti").sort("personal", maintain_order=True).head(1)
    chosen = pl.concat([most, least])["listener_id"]
    frames = [f.filter(pl.col("listener_id").is_in(chosen.implode())) for f in warehouse.read_files(stands.files)]
    rows = pl.concat(frames).sort("surface", "home_position", "shelf_id")
    names = titles(warehouse, shelves.date, rows)
    out = []
    for listener in chosen:
        own = [_shelf(row, names) for row in rows.filter(listener_id=listener).iter_rows(named=True)]
        personal = sum(s.status == "personal" for s in own)
        out.append(Sample(listener, f"{personal} of {len(own)} shelves personal", tuple(own)))
    return out


def _shelf(row: dict[str, Any], names: dict[str, str]) -> Shelf:
    items = []
    for item in row["items"][:SHOWN_ITEMS]:
        title, _, artist = names.get(item["track_id"], item["track_id"]).partition(" · ")
        ref = item["reason_ref"]
        drawn = f"drawn, p {item['propensity']:.2f}" if item["propensity"] is not None else ""
        why = sentence(item["reason"], names.get(ref, ref) if ref else None)
        items.append(ShelfItem(item["position"], title, artist, why, item["source"] or "", drawn))
    rest = len(row["items"]) - len(items)
    more = ", ".join(p for p in (f"{rest} more" if rest else "", f"{len(row['spares'])} spares") if p)
    return Shelf(row["title"], row["shelf_id"], row["status"], row["status_reason"] or "", tuple(items), more)
