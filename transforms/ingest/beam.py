"""The Beam shell of ingest: pieces are parsed, split by listener, gathered by shard, cleaned, written, committed.

    pieces | Parse        -> (table/shard, Arrow bytes), rejects by shard, catalog rows, counts
           | GroupByKey
           | CleanShard   -> files of listens, feedback, impressions by date; distinct tracks and listeners; counts
    root   | WriteListeners, WriteCatalog, WriteRejects, CommitBatch

What is grouped are blocks of about a million rows as Arrow, one byte string a shard, never rows.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

import apache_beam as beam
import polars as pl
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from transforms.common.background import Background
from transforms.common.typed_names import FiledLate, TableShard
from transforms.formats.base import merge_catalog
from transforms.formats.formats import named, parse_log, read_table
from transforms.formats.pieces import Piece
from transforms.formats.songs import add_artists
from transforms.formats.tables import EVENT_TIME, names_of, one_each, rows_of
from transforms.gates import measure
from transforms.ingest.artists import merge_artists
from transforms.ingest.batch import DATED, Batch, Late, account, late_from, passed
from transforms.ingest.catalog import merge_tracks
from transforms.ingest.cleaning import clean
from transforms.ingest.gates import judge_batch, measured_extra
from transforms.ingest.people import People
from transforms.ingest.rejects import by_shard, check_kept, refused
from transforms.listening.suspects import UNTIMED
from transforms.privacy.forgotten import forgotten
from transforms.tables.chunks import split
from transforms.tables.order import by_date
from transforms.tables.records import USED, record_commit, used
from transforms.tables.runs import Run, Written, finish_all, write_frame
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

GATHERED_ROWS = 1_000_000
COUNTS, REJECTS, TRACKS, GIVEN, LISTENERS, NAMES = "counts", "rejects", "tracks", "given", "listeners", "names"


def to_bytes(frame: pl.DataFrame) -> bytes:
    """A frame as a compressed Arrow stream that holds its own rows only."""
    out = io.BytesIO()
    frame.write_ipc_stream(out, compression="lz4", compat_level=pl.CompatLevel.oldest())
    return out.getvalue()


def from_bytes(data: bytes) -> pl.DataFrame:
    """Back from `to_bytes`."""
    return pl.read_ipc_stream(data)


def _counts(**counts: int) -> beam.pvalue.TaggedOutput:
    return beam.pvalue.TaggedOutput(COUNTS, json.dumps(counts))


class Parse(beam.DoFn):
    """Piece (JSON) -> (key, bytes) with key `table/shard`; and tagged counts, rejects, tracks, given."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._rows = Metrics.counter("ingest", "rows_in")
        self._bytes = Metrics.counter("ingest", "bytes_in")
        self._shuffled = Metrics.counter("ingest", "bytes_shuffled")

    def setup(self) -> None:
        """Read the key of pseudonyms, and who was forgotten."""
        self._people = People(
            self._batch.key.load() if self._batch.key else None, forgotten(Warehouse(self._batch.warehouse))
        )

    def start_bundle(self) -> None:
        """Begin to gather."""
        self._held: dict[str, list[pl.DataFrame]] = {}
        self._beside = Background()

    def process(self, element: str) -> Iterator[Any]:
        """Parse one piece."""
        piece = Piece.loads(element)
        if piece.row_groups is None or not piece.row_groups.first_row:
            self._bytes.inc(sum(f.bytes for f in piece.files))
        role = piece.files[0].role
        found = self._log(piece) if role == "log" else self._table(piece, role)
        for table, rows in found:
            if isinstance(rows, beam.pvalue.TaggedOutput):
                yield rows
                continue
            held = self._held.setdefault(table, [])
            held.append(rows)
            if sum(f.height for f in held) >= GATHERED_ROWS:
                yield from self._flush(table)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Hand on what is left."""
        for table in sorted(self._held):
            for item in self._flush(table):
                yield WindowedValue(item, GlobalWindow().max_timestamp(), (GlobalWindow(),))
        self._beside.close()

    def _flush(self, table: str) -> Iterator[tuple[str, bytes]]:
        frames = [f for f in self._held.pop(table, []) if f.height]
        if frames:
            rows = pl.concat(frames, how="diagonal") if len(frames) > 1 else frames[0]
            parts = split(rows, self._batch.shards)
            blocks = list(self._beside.map(to_bytes, [part for _, part in parts]))
            self._shuffled.inc(sum(map(len, blocks)))
            yield from ((str(TableShard(table, shard)), block) for (shard, _), block in zip(parts, blocks, strict=True))

    def _log(self, piece: Piece) -> Iterator[tuple[str, Any]]:
        batch = self._batch
        for number, found in parse_log(batch.fmt, piece, batch.options):
            parsed = self._people.of_log(found)
            self._rows.inc(parsed.rows)
            yield "", _counts(rows=parsed.rows, **_by_reason(parsed.rejects), **_unread(parsed.unread))
            if parsed.rejects.height:
                yield from (("", item) for item in self._rejects(parsed.rejects, number))
            if len(parsed.catalog.columns) > 1:
                yield "", beam.pvalue.TaggedOutput(TRACKS, to_bytes(parsed.catalog))
            if parsed.artists.height:
                yield "", beam.pvalue.TaggedOutput(NAMES, to_bytes(parsed.artists))
            if parsed.plays.height:
                yield "listens", parsed.plays.with_columns(file_no=pl.lit(number, dtype=pl.Int32))

    def _rejects(self, rejects: pl.DataFrame, number: int) -> Iterator[beam.pvalue.TaggedOutput]:
        return _refused(rejects.with_columns(file_no=pl.lit(number, dtype=pl.Int32)), self._batch.shards)

    def _table(self, piece: Piece, role: str) -> Iterator[tuple[str, Any]]:
        for frame, first, broken in read_table(piece):
            known, gone = self._people.of_table(frame)
            found = rows_of(role, known, first, self._batch.end_date, gone)
            rows = found.kept
            rejects = self._people.of_rejects(pl.concat([broken, found.rejects]))
            counts = {f"{role} rows": frame.height + broken.height, **_by_reason(rejects, f"{role} ")}
            counts |= _unread(found.unread, f"{role} ")
            if role in ("tracks", "listeners"):
                distinct = rows[TABLES[role].key[0]].n_unique()  # of an id that a file names twice one row is kept
                counts |= {f"{role} listens": distinct, f"{role} duplicates": rows.height - distinct}
            yield "", _counts(**counts)
            if rejects.height:
                yield from (("", item) for item in self._rejects(rejects, piece.numbers[0]))
            if role == "tracks":
                yield "", beam.pvalue.TaggedOutput(GIVEN, to_bytes(rows))
                yield "", beam.pvalue.TaggedOutput(NAMES, to_bytes(names_of(role, known)))
            elif rows.height:
                yield role, rows


def _by_reason(rejects: pl.DataFrame, prefix: str = "") -> dict[str, int]:
    return {f"{prefix}reject {reason}": n for reason, n in rejects["reason"].value_counts(name="n").iter_rows()}


def _unread(cells: Mapping[str, int], prefix: str = "") -> dict[str, int]:
    return {f"{prefix}unread {column}": n for column, n in cells.items()}


def _refused(rejects: pl.DataFrame, shards: int) -> Iterator[beam.pvalue.TaggedOutput]:
    for shard, part in by_shard(rejects, shards):
        yield beam.pvalue.TaggedOutput(REJECTS, (str(shard), to_bytes(part)))


class CleanShard(beam.DoFn):
    """(table/shard, blocks) -> Written; and tagged counts, rejects, tracks, listeners."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._written = Metrics.counter("ingest", "rows_written")
        self._bytes = Metrics.counter("ingest", "bytes_written")

    def start_bundle(self) -> None:
        """Make ready to write."""
        self._beside = Background()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Wait for the last files."""
        for item in self._done():
            yield WindowedValue(item, GlobalWindow().max_timestamp(), (GlobalWindow(),))
        self._beside.close()
        yield WindowedValue(used(), GlobalWindow().max_timestamp(), (GlobalWindow(),))

    def process(self, keyed: tuple[str, Iterable[bytes]]) -> Iterator[Any]:
        """Clean one shard of one table."""
        key, blocks = keyed
        found = TableShard.parse(key)
        assert found is not None, key
        table, shard = found.table, found.shard
        rows = pl.concat(self._beside.map(from_bytes, blocks), how="diagonal")
        if table == "listens":
            yield from self._listens(shard, rows)
        elif table == "listeners":
            given = one_each(rows, ["listener_id"]).with_columns(given=pl.lit(True))
            yield beam.pvalue.TaggedOutput(LISTENERS, (str(shard), to_bytes(given)))
        else:
            yield from self._events(table, shard, rows)

    def _listens(self, shard: int, plays: pl.DataFrame) -> Iterator[Any]:
        batch = self._batch
        days = plays["started_at"].dt.date().unique().to_list()
        closed = [d for d in days if batch.closed is not None and d <= batch.closed]
        stored = batch.stored(shard, [*days, *_next(batch.closed)], max(closed, default=None))
        if stored is not None:
            stored = stored.join(plays.select("listener_id").unique(), on="listener_id", how="semi")
        done = clean(plays, stored, batch.settings, batch.closed, batch.ingested_at)
        again = 0
        if stored is not None:  # what earlier batches brought, as against what this one says twice
            again = plays.join(stored, on=["listener_id", "track_id", "started_at"], how="semi").height
        del plays, stored
        yield _counts(listens=done.listens.height, duplicates=done.duplicates, known=again, **_by_reason(done.rejects))
        if done.rejects.height:
            yield from _refused(done.rejects, batch.shards)
        if not done.listens.height:
            return
        yield beam.pvalue.TaggedOutput(TRACKS, to_bytes(done.listens.select("track_id").unique()))
        heard = done.listens.group_by("listener_id").agg(joined_on=pl.col("started_at").min().dt.date())
        yield beam.pvalue.TaggedOutput(LISTENERS, (str(shard), to_bytes(heard)))
        fresh, there = done.listens, list[pl.DataFrame]()
        for day, stands in batch.committed("listens", shard).items():
            rows = stands.join(fresh.select("listener_id", "listen_id"), on=["listener_id", "listen_id"], how="semi")
            there.append(rows.select("started_at", "late", date=pl.lit(day), id="listen_id"))
            yield Written("listens", day.isoformat(), None, measure.listens(rows))
            fresh = fresh.join(rows, on=["listener_id", "listen_id"], how="anti", maintain_order="left")
        late = pl.concat([fresh.select("started_at", "late", "date", id="listen_id"), *there]).filter("late")
        first = pl.col("started_at").min().dt.date()
        for day, earliest, n in late.group_by("date").agg(first, n=pl.len()).sort("date").iter_rows():
            yield _counts(**{str(FiledLate(day, earliest)): n})
        yield from self._by_date("listens", shard, fresh)

    def _events(self, table: str, shard: int, rows: pl.DataFrame) -> Iterator[Any]:
        batch, declared = self._batch, TABLES[table]
        distinct = one_each(rows, declared.key)
        day = pl.col(EVENT_TIME[table]).dt.date()
        filed = pl.max_horizontal(day, pl.lit(_next(batch.closed)[0])) if batch.closed else day
        distinct = distinct.with_columns(date=filed)
        warehouse = Warehouse(batch.warehouse)
        for known in batch.dates(table):
            manifest = warehouse.need(table, known)
            for before in batch.of_shard(manifest, shard, declared.key):
                distinct = distinct.join(before, on=declared.key, how="anti", nulls_equal=True)
        yield _counts(**{f"{table} listens": distinct.height, f"{table} duplicates": rows.height - distinct.height})
        for mine in batch.committed(table, shard).values():
            distinct = distinct.join(mine, on=declared.key, how="anti", nulls_equal=True)
        yield from self._by_date(table, shard, distinct)

    def _done(self) -> Iterator[Written]:
        for item in self._beside.results():
            self._bytes.inc(item.file.bytes if item.file else 0)
            yield item

    def _by_date(self, table: str, shard: int, rows: pl.DataFrame) -> Iterator[Written]:
        # one shard is being written while the next one is cleaned, never more
        yield from self._done()
        for day, part in by_date(rows):
            self._written.inc(part.height)
            self._beside.submit(_filed, self._batch, table, day, shard, part)


def _filed(batch: Batch, table: str, day: date, shard: int, part: pl.DataFrame) -> Written:
    run = batch.run(table, day, append=True)
    # a date split coarser than the batch keeps its number: its shard then holds several of the batch's
    entry = write_frame(run, shard % run.shards, part, batch.id, presorted=table == "listens") if run else None
    return Written(table, day.isoformat(), entry, measure.listens(part) if table == "listens" else {})


def _next(closed: date | None) -> list[date]:
    return [date.fromordinal(closed.toordinal() + 1)] if closed else []


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
        for table in ("listens", "feedback", "impressions", "listeners", "artists", "tracks"):
            mine = [w for w in files if w.table == table]
            for day in sorted({w.day for w in mine if w.file is not None or table not in DATED}):
                when = date.fromisoformat(day)
                current = warehouse.current(table, when)
                extra: dict[str, Any] = dict(late_from(current, late.first.get(day))) if table == "listens" else {}
                if table == "listens" and named(batch.fmt).untimed:
                    extra[UNTIMED] = True
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
