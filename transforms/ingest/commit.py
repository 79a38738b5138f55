"""The end of an ingest: listeners, the catalog and rejects are written beside what was there, then everything becomes current.

root | WriteListeners, WriteCatalog, WriteRejects, CommitBatch
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import apache_beam as beam
import polars as pl

from transforms.formats.base import merge_catalog
from transforms.formats.formats import named
from transforms.formats.songs import add_artists
from transforms.formats.tables import one_each
from transforms.ingest.artists import merge_artists
from transforms.ingest.batch import DATED, Batch, Late, account, late_from, passed
from transforms.ingest.beam import from_bytes, to_bytes
from transforms.ingest.catalog import merge_tracks
from transforms.ingest.gates import judge_batch, measured_extra
from transforms.ingest.rejects import check_kept, refused
from transforms.listening.suspects import UNTIMED
from transforms.signals.declared import joined, recorded
from transforms.signals.plan import SIGNALS
from transforms.tables.manifest import Manifest
from transforms.tables.records import USED, record_commit
from transforms.tables.runs import Run, Written, finish_all
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame


def no_listeners(batch: Batch) -> list[tuple[str, bytes]]:
    """A block without listeners for every shard of a batch."""
    block = to_bytes(TABLES["listeners"].empty().select("listener_id", "joined_on"))
    return [(str(shard), block) for shard in range(batch.shards)]


class WriteListeners(beam.DoFn):
    """(shard, blocks) -> Written: who is new, beside who was there."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def process(self, keyed: tuple[str, Iterable[bytes]], written: Iterable[Written]) -> Iterator[Written]:
        """Write one shard of `listeners`."""
        if not any(w.table == "listens" for w in written) and not any(f.role == "listeners" for f in self._batch.files):
            return
        shard, blocks = int(keyed[0]), keyed[1]
        frames = [from_bytes(b) for b in blocks]
        given = [f.drop("given") for f in frames if "given" in f.columns]
        heard = [f for f in frames if "given" not in f.columns]
        declared = TABLES["listeners"]
        first = declared.empty().select("listener_id", "joined_on")
        first = pl.concat([first, *heard]).group_by("listener_id").agg(pl.col("joined_on").min())
        targets = _targets(self._batch, "listeners", written)
        for day in targets:
            run = self._batch.run("listeners", day, append=False)
            if run is None:
                continue
            known = pl.concat([declared.empty(), *given], how="diagonal_relaxed")
            known = pl.concat(
                [known, _before(self._batch, "listeners", shard).join(known, on="listener_id", how="anti")],
                how="diagonal",
            )
            merged = known.join(first, on="listener_id", how="full", coalesce=True, suffix="_heard")
            merged = merged.with_columns(joined_on=pl.coalesce("joined_on", "joined_on_heard")).drop("joined_on_heard")
            entry = write_frame(run, shard, merged, self._batch.id)
            yield Written("listeners", day.isoformat(), entry, {})


class WriteCatalog(beam.DoFn):
    """One element -> Written of `tracks` (recordings decided over the whole catalog) and of `artists`."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def process(
        self,
        _: int,
        written: Iterable[Written],
        found: Iterable[bytes],
        given: Iterable[bytes],
        names: Iterable[bytes],
    ) -> Iterator[Written]:
        """Write both tables for every date that needs them."""
        yield from self._tracks(written, found, given)
        said = add_artists([from_bytes(b) for b in names])
        if not said.height:
            return
        artists = merge_artists(_before(self._batch, "artists"), said)
        for day in _targets(self._batch, "artists", written):
            run = self._batch.run("artists", day, append=False)
            if run is not None:
                yield Written("artists", day.isoformat(), write_frame(run, 0, artists, self._batch.id), {})

    def _tracks(self, written: Iterable[Written], found: Iterable[bytes], given: Iterable[bytes]) -> Iterator[Written]:
        ids = pl.DataFrame(schema={"track_id": pl.String})
        derived = merge_catalog(pl.concat([ids, *(from_bytes(b) for b in found)], how="diagonal"))
        rows = pl.concat([TABLES["tracks"].empty(), *(from_bytes(b) for b in given)], how="diagonal_relaxed")
        if not derived.height and not rows.height:
            return
        rows = one_each(rows, ["track_id"])
        before = _before(self._batch, "tracks")
        tracks = merge_tracks(before, rows, derived)
        played = derived.select("track_id").unique()
        catalog = pl.concat([before.select("track_id"), rows.select("track_id")]).unique()
        counts = {"tracks": played.height, "known": played.join(catalog, on="track_id", how="semi").height}
        for day in _targets(self._batch, "tracks", written):
            run = self._batch.run("tracks", day, append=False)
            if run is not None:
                entry = write_frame(run, 0, tracks, self._batch.id)
                yield Written("tracks", day.isoformat(), entry, counts if catalog.height else {})


def _targets(batch: Batch, table: str, written: Iterable[Written]) -> list[date]:
    """Where a table without dates of its own is filed: the batch's first date, and any later one that has it already.

    A night of any date from the batch's first on then finds it as the newest table up to that date.
    """
    filed = [date.fromisoformat(w.day) for w in written if w.table == "listens"]
    known = batch.dates(table)
    first = min(filed, default=known[-1] if known else batch.end_date)
    return sorted({first, *(d for d in known if d > first)})


def _before(batch: Batch, table: str, shard: int | None = None) -> pl.DataFrame:
    """The newest rows of a table, of one shard or all."""
    dates = batch.dates(table)
    frames = [TABLES[table].empty()]
    if dates:
        warehouse = Warehouse(batch.warehouse)
        manifest = warehouse.need(table, dates[-1])
        frames += warehouse.read_files(manifest.files) if shard is None else batch.of_shard(manifest, shard)
    return pl.concat(frames, how="diagonal")


class WriteRejects(beam.DoFn):
    """(shard, blocks) -> Written of `rejects`."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def process(self, keyed: tuple[str, Iterable[bytes]]) -> Iterator[Written]:
        """Write one shard of `rejects`."""
        batch = self._batch
        run = batch.run("rejects", batch.end_date, append=True)
        if run is None:
            return
        rows = refused((from_bytes(b) for b in keyed[1]), [f.name for f in batch.files], batch.id)
        entry = write_frame(run, int(keyed[0]) % run.shards, rows, batch.id)
        yield Written("rejects", batch.end_date.isoformat(), entry)


class CommitBatch(beam.DoFn):
    """The last step: check the account, then make the dates current one by one, the ledger last. Yields the account."""

    def __init__(self, batch: Batch, job: str | None = None) -> None:
        self._batch, self._job = batch, job

    def process(self, _: int, written: Iterable[Written], counts: Iterable[str]) -> Iterator[str]:
        """Commit."""
        reported = list(written)
        batch, files = self._batch, [w for w in reported if w.table != USED]
        counted = [json.loads(c) for c in counts]
        late = Late.of(counted)
        done = account(batch, counted)
        if late.listens:
            done["late"] = dict(sorted(late.listens.items()))
        warehouse = Warehouse(batch.warehouse)
        done |= judge_batch(batch, done, [(w.table, w.day, w.counts) for w in files])
        made: list[tuple[Run, list[Written]]] = []
        for table in (*DATED, "listeners", "artists", "tracks"):
            mine = [w for w in files if w.table == table]
            for day in sorted({w.day for w in mine if w.file is not None or table not in DATED}):
                when = date.fromisoformat(day)
                current = warehouse.current(table, when)
                extra: dict[str, Any] = dict(late_from(current, late.first.get(day))) if table == "listens" else {}
                if table == "listens" and named(batch.fmt).untimed:
                    extra[UNTIMED] = True
                extra |= _signals(batch, table, current)
                new = [w for w in mine if w.day == day and (w.file is not None or table not in DATED)]
                extra |= measured_extra(batch, table, current, [w.counts for w in new])
                run = batch.run(table, when, append=table in DATED, extra=extra)
                if run is not None:
                    made.append((run, [Written(w.table, w.day, w.file) for w in new]))
        ledger = self._ledger_run(warehouse, done)
        refused = [w for w in files if w.table == "rejects"]
        kept = {w.file.path: w.file.rows for w in refused if w.file}  # a retried bundle tells of its file twice
        check_kept(sum(kept.values()), done["rejects"] + sum(t["rejects"] for t in done["tables"].values()))
        finish_all([*made, (ledger, refused)], batch.check_unmoved, "an ingest")
        record_commit(self._job, [ledger], reported, passed(batch, done, files))
        yield json.dumps(done)

    def _ledger_run(self, warehouse: Warehouse, done: dict[str, Any]) -> Run:
        current = warehouse.current("rejects", self._batch.end_date)
        before = current.extra.get("batches", {}) if current else {}
        extra = {"batches": {**before, self._batch.id: done}}
        run = self._batch.run("rejects", self._batch.end_date, append=True, extra=extra)
        assert run is not None, "the ledger is added to"
        return run


def _signals(batch: Batch, table: str, current: Manifest | None) -> dict[str, Any]:
    """`extra` entry that says which signals stand in a date of a table: those of its batches before, and of this one."""
    mapping = batch.options.mapping
    own = {n: one for n, one in (mapping.signals if mapping else {}).items() if table in _HOLD[one.of]}
    before = current.extra.get(SIGNALS, {}) if current else {}
    return {SIGNALS: recorded(joined([before, recorded(own)]))} if own or before else {}


_HOLD = {"listen": ("listens",), "listener": ("signal_values",), "pair": ("signal_values",), "track": ("track_values",)}
