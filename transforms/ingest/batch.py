"""A batch: the files that one ingest brings in, and how its rows enter the warehouse so that a kill loses nothing.

The manifest of `rejects` is the ledger: its `extra["batches"]` holds, for each batch, the hashes of its files and the
count rows = listens + duplicates + rejects. It is committed last. Before it, dates commit one by one, each naming the
batch among its inputs; a batch that was killed between is run again under the same id, looks for duplicates only among
the listens of other batches, and files what it finds not committed yet, row by row: so it ends with the same bytes as if
nothing had happened, and with every row once if a night has closed dates meanwhile and the rest must be filed elsewhere.

A batch commits only on top of what it was planned on. If another ingest was faster, or a night closed a date, or somebody was
forgotten, nothing is committed and the batch is planned anew.

    batch id = hash(files' hashes, format, options, settings, end date)
    listens/date=D/_current.json   inputs {"batch 5f1c...": version before it}, files of earlier batches kept
    rejects/date=E/_current.json   extra {"batches": {"5f1c...": {"files": {...}, "rows": 10, "listens": 9, ...}}}
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import polars as pl

from transforms.common import plugins
from transforms.common.errors import LostCount, Moved, UserError
from transforms.common.typed_names import FiledLate, TableDate
from transforms.formats.base import Options, end_of
from transforms.formats.files import ROLES, InputFile, require_unchanged
from transforms.gates.settings import GateSettings
from transforms.ingest.cleaning import IngestSettings
from transforms.privacy.forgotten import forgotten
from transforms.privacy.pseudonyms import RECORDED, KeySource, checked_key
from transforms.tables.chunks import check_shards, shard_of
from transforms.tables.manifest import Manifest, canonical, version_of
from transforms.tables.runs import FORGOTTEN, Run, Written, claim, schema_signature
from transforms.tables.schema import TABLES
from transforms.tables.store import Token
from transforms.tables.warehouse import Warehouse

STEP = "7"
DATED = ("listens", "feedback", "impressions", "blends", "signal_values", "track_values")
TABLES_WRITTEN = (*DATED, "tracks", "artists", "listeners", "rejects")


@dataclass(frozen=True)
class Batch:
    """Everything a worker needs to know of an ingest; small and picklable.

    Attributes:
        id: what the batch is determined by.
        run_id: id and attempt; names the run folders.
        files: the new files; their positions are their numbers.
        closed: the newest date that a night has folded; None = none is.
        tokens: `table/date` -> token of each manifest seen at launch.
        done: `table/date` of manifests that hold this batch already.
        key: where the key of pseudonyms is read; None = ids as they came.
        gates: what the batch is held to; `accept_gates`: commit it even if a check fails.
        recorded_of_people: fingerprints of that key and of the list of who was forgotten, where there are such.
        people: token of that list, as seen at launch.
    """

    id: str
    run_id: str
    warehouse: str
    fmt: str
    files: tuple[InputFile, ...]
    options: Options
    settings: IngestSettings
    shards: int
    end_date: date
    closed: date | None
    tokens: dict[str, Token] = field(default_factory=dict)
    done: frozenset[str] = frozenset()
    key: KeySource | None = None
    gates: GateSettings = field(default_factory=GateSettings)
    accept_gates: bool = False
    recorded_of_people: dict[str, str] = field(default_factory=dict)
    people: Token = None

    @property
    def ingested_at(self) -> datetime:
        """The moment the batch stands for."""
        return end_of(self.end_date)

    def dates(self, table: str) -> list[date]:
        """Dates of a table that had a manifest at launch, in order."""
        known = (TableDate.parse(key) for key in self.tokens)
        return sorted(one.day for one in known if one is not None and one.table == table)

    def run(self, table: str, day: date, append: bool, extra: dict[str, Any] | None = None) -> Run | None:
        """The run that adds this batch to a table's date; None if that is written whole, with this batch, already.

        A date that files are added to keeps its number of shards; a new one, or one written whole, has the batch's. What is
        written whole depends on the newest date before it, what is added to on the date itself.

        Raises:
            UserError: the date is pinned.
        """
        key = str(TableDate(table, day))
        if key in self.done and not append:
            return None
        warehouse = Warehouse(self.warehouse)
        current = warehouse.current(table, day) if key in self.tokens else None
        if current is not None and current.pinned:
            raise UserError(
                f"{table} of {day} is pinned to run {current.run_id}; release it with "
                f"`nightshelf rollback {table} --date {day} --unpin`, then ingest again."
            )
        base = current if append or not self.dates(table) else warehouse.current(table, self.dates(table)[-1])
        inputs = {**(current.inputs if current else {}), f"batch {self.id}": base.version if base else ""}
        settings = self.recorded()
        shards = 1 if table in ("tracks", "artists") else current.shards if current and append else self.shards
        signature = schema_signature(table)
        return Run(
            warehouse=self.warehouse,
            table=table,
            day=day,
            version=version_of(table, day, signature, inputs, {**settings, "shards": shards}, STEP, 0),
            run_id=self.run_id,
            shards=shards,
            inputs=inputs,
            settings=settings,
            token=self.tokens.get(key),
            previous_run=current.run_id if current else None,
            previous=current.files if current and append else (),
            extra={**(current.extra if current and append else {}), **(extra or {})},
            people=self.people,
        )

    def check_unmoved(self) -> None:
        """Look whether the batch may be committed as it was planned and read.

        Raises:
            Moved: another ingest committed meanwhile, a night closed a date, or a manifest was changed.
            UserError: an input file is not what it was.
        """
        require_unchanged(self.files)
        warehouse = Warehouse(self.warehouse)
        closed = max(warehouse.dates("library"), default=None)
        moved = [] if closed == self.closed else [f"library/{closed or self.closed}"]
        seen = set()
        for table in TABLES_WRITTEN:
            for day in warehouse.dates(table):
                manifest, token = warehouse.current_with_token(table, day)
                seen.add(key := str(TableDate(table, day)))
                if token != self.tokens.get(key) and (manifest is None or manifest.run_id != self.run_id):
                    moved.append(key)
        moved += sorted(self.tokens.keys() - seen)
        if moved:
            raise Moved(
                f"{moved[0].replace('/', ' of ')} was committed while batch {self.id} was read, by another ingest or a night; "
                "nothing of the batch was committed: run the same command again"
            )

    def recorded(self) -> dict[str, Any]:
        """What the content depends on beside the files."""
        return {
            **self.settings.model_dump(mode="json"),
            **_described(self.fmt, self.options),
            "listener": "given" if self.options.listener else None,  # the batch's id stands for who
            **self.recorded_of_people,
            "closed": self.closed.isoformat() if self.closed else None,
        }

    def stored(self, shard: int, days: Iterable[date], before: date | None) -> pl.DataFrame | None:
        """Listens of other batches in a shard that a new one might repeat.

        Args:
            shard: the shard.
            days: dates that new listens started on.
            before: the newest of them that is closed; late listens of such dates may stand under any later one.

        Returns:
            listener_id, track_id, started_at, ms_played; None where nothing is stored.
        """
        from transforms.ingest.cleaning import STORED_COLUMNS

        warehouse = Warehouse(self.warehouse)
        known = self.dates("listens")
        near = {d.fromordinal(d.toordinal() + step) for d in days for step in (-1, 0, 1)}
        late = {d for d in known if before is not None and d > min(days, default=d)}
        frames = []
        for day in known:
            if day not in near and day not in late:
                continue
            manifest = warehouse.need("listens", day)
            if day not in near and manifest.extra.get("late_from", "9999") > str(before):
                continue
            frames += self.of_shard(manifest, shard, STORED_COLUMNS)
        return pl.concat(frames) if frames else None

    def committed(self, table: str, shard: int) -> dict[date, pl.DataFrame]:
        """Rows of this batch that an earlier attempt has committed, of one shard, by the date they are filed under."""
        out = {}
        for key in sorted(self.done):
            one = TableDate.parse(key)
            if one is None or one.table != table:
                continue
            frames = self.of_shard(Warehouse(self.warehouse).need(table, one.day), shard, own=True)
            if any(f.height for f in frames):
                out[one.day] = pl.concat(frames, how="diagonal")
        return out

    def of_shard(
        self, manifest: Manifest, shard: int, columns: Sequence[str] | None = None, own: bool = False
    ) -> list[pl.DataFrame]:
        """Rows of other batches (or its own) in one of the batch's shards, file by file, whatever the table's number is."""
        warehouse, least = Warehouse(self.warehouse), min(manifest.shards, self.shards)
        files = [f for f in manifest.files if (f.batch == self.id) == own and f.shard % least == shard % least]
        frames = warehouse.read_files(files, columns)
        if manifest.shards >= self.shards:
            return frames
        by = TABLES[manifest.table].sharded_by or "listener_id"
        return [f.filter(pl.Series(shard_of(f[by], self.shards) == shard)) for f in frames if f.height]


def plan_batch(
    warehouse: Warehouse,
    fmt: str,
    files: Sequence[InputFile],
    options: Options,
    *,
    settings: IngestSettings,
    shards: int,
    end_date: date,
    key: KeySource | None = None,
    gates: GateSettings | None = None,
    accept_gates: bool = False,
) -> Batch:
    """Plan the ingest of new files.

    New dates are split into `shards`, which may double on any date; a warehouse that is split finer already stays so.

    Args:
        key: where the key of pseudonyms is read; None = ids as they came.
        gates: what the batch is held to; `accept_gates`: commit it even if a check fails.

    Raises:
        UserError: a number of shards that is no power of two; another key of pseudonyms than the warehouse was begun
            with.
    """
    names = checked_key(warehouse, key)
    keyed = {RECORDED: names.fingerprint} if names else {}
    if names:  # a file may be called like the person whose log it is
        files = [replace(f, name=f"file-{f.sha256[:12]}") for f in files]
    people = warehouse.store.read_with_token(FORGOTTEN)[1]  # before the list itself is read
    gone = forgotten(warehouse).fingerprint
    described = {**_described(fmt, options), **settings.model_dump(mode="json"), **keyed}
    content = sorted((f.role, f.sha256) for f in files)
    name = version_of("batch", end_date, content, {}, described, STEP, 0)
    tokens: dict[str, Token] = {}
    done = set()
    known = 0
    for table in TABLES_WRITTEN:
        for day in warehouse.dates(table):
            manifest, token = warehouse.current_with_token(table, day)
            if manifest is None:
                continue
            tokens[str(TableDate(table, day))] = token
            known = max(known, manifest.shards) if table in DATED else known
            if f"batch {name}" in manifest.inputs:
                done.add(str(TableDate(table, day)))
    libraries = warehouse.dates("library")
    return Batch(
        id=name,
        run_id=claim(warehouse, "rejects", end_date, name),
        warehouse=warehouse.url,
        fmt=fmt,
        files=tuple(files),
        options=options,
        settings=settings,
        shards=max(known, check_shards(shards)),
        end_date=end_date,
        closed=libraries[-1] if libraries else None,
        tokens=tokens,
        done=frozenset(done),
        key=key,
        gates=gates or GateSettings(),
        accept_gates=accept_gates,
        recorded_of_people={**keyed, **({"forgotten": gone} if gone else {})},
        people=people,
    )


def _described(fmt: str, options: Options) -> dict[str, Any]:
    return {
        "format": fmt,
        "mapping": options.mapping.model_dump(mode="json") if options.mapping else None,
        "anonymous": options.anonymous,
        "listener": canonical(options.listener) if options.listener else None,
        "end_date": options.end_date.isoformat() if options.end_date else None,
        **plugins.touching("formats", named=fmt),
    }


def ledger(warehouse: Warehouse) -> set[tuple[str, str]]:
    """Content hash and role of every file ingested so far; a batch that did not record roles counts for all of them."""
    known: set[tuple[str, str]] = set()
    for day in warehouse.dates("rejects"):
        manifest = warehouse.need("rejects", day)
        for account in manifest.extra.get("batches", {}).values():
            roles = account.get("roles", {})
            known |= {(content, role) for content in account["files"] for role in roles.get(content, ROLES)}
    return known


def account(batch: Batch, counted: Sequence[dict[str, int]]) -> dict[str, Any]:
    """What came of a batch's rows.

    Args:
        batch: the batch.
        counted: counts by name, from every step: rows, listens, duplicates, `reject <reason>`, `unread <column>`; and per
            other table `feedback rows`, `feedback kept`, `feedback duplicates`, `feedback reject <reason>`.

    Returns:
        rows, listens, duplicates, rejects, reasons, unread (where there is any), and the same for the other tables; the
        files' hashes and roles.

    Raises:
        LostCount: rows went missing or came from nowhere.
    """
    total: dict[str, int] = {}
    for counts in counted:
        for name, n in counts.items():
            total[name] = total.get(name, 0) + n
    roles: dict[str, list[str]] = {}
    for content, role in sorted(f.identity for f in batch.files):
        roles.setdefault(content, []).append(role)
    files = {f.sha256: f.name for f in batch.files}
    out: dict[str, Any] = {"files": files, "roles": roles, "format": batch.fmt, **_one("", total)}
    tables = {role: _one(f"{role} ", total) for role in sorted({f.role for f in batch.files} - {"log"})}
    return {**out, "tables": tables, "known": total.get("known", 0)}


def passed(batch: Batch, done: dict[str, Any], files: Iterable[Written]) -> dict[str, int]:
    """What went in and came out, under the names of the steps' counters, from what reached the commit: those do not."""
    filed = [w.file for w in files if w.file is not None and w.table in DATED]
    return {
        "ingest.rows_in": done["rows"] + sum(t["rows"] for t in done["tables"].values()),
        "ingest.bytes_in": sum(f.bytes for f in batch.files),
        "ingest.rows_written": sum(f.rows or 0 for f in filed),
        "ingest.bytes_written": sum(f.bytes for f in filed),
    }


def _one(prefix: str, total: dict[str, int]) -> dict[str, Any]:
    reasons, unread = (
        {k.removeprefix(mark): n for k, n in sorted(total.items()) if k.startswith(mark) and n}
        for mark in (f"{prefix}reject ", f"{prefix}unread ")
    )
    rows = total.get(f"{prefix}rows", 0)
    kept, duplicates, rejects = (
        total.get(f"{prefix}listens", 0),
        total.get(f"{prefix}duplicates", 0),
        sum(reasons.values()),
    )
    if rows != kept + duplicates + rejects:
        raise LostCount(
            f"ingest lost count of {prefix or 'the log'}: {rows} rows in, but {kept} kept + {duplicates} duplicates + "
            f"{rejects} rejects; nothing was committed"
        )
    counts = {"rows": rows, "listens": kept, "duplicates": duplicates, "rejects": rejects, "reasons": reasons}
    return {**counts, "unread": unread} if unread else counts


def late_from(manifest: Manifest | None, found: str | None) -> dict[str, str]:
    """`extra` entry that says from which date on a manifest holds late listens."""
    known = [d for d in (found, manifest.extra.get("late_from") if manifest else None) if d]
    return {"late_from": min(known)} if known else {}


@dataclass(frozen=True)
class Late:
    """Late listens by the date they are filed under: the earliest true date of them, and how many."""

    first: dict[str, str] = field(default_factory=dict)
    listens: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, counted: list[dict[str, int]]) -> Late:
        """Taken out of the counts, where they stand as `late <filed under> <true date>`."""
        out = cls()
        for counts in counted:
            for late, n in FiledLate.among(counts).items():
                day, first = late.day.isoformat(), late.first.isoformat()
                out.first[day] = min(first, out.first.get(day, first))
                out.listens[day] = out.listens.get(day, 0) + n
                del counts[str(late)]
        return out
