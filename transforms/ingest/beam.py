"""The Beam shell of ingest: pieces are parsed, split by listener, gathered by shard, cleaned, written, committed.

    pieces | Parse        -> (table/shard, Arrow bytes), rejects by shard, catalog rows, counts
           | GroupByKey
           | CleanShard   -> files of listens, feedback, impressions, blends by date; distinct tracks and listeners; counts
    root   | WriteListeners, WriteCatalog, WriteRejects, CommitBatch      (`transforms.ingest.commit`)

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
from transforms.formats.formats import parse_log, read_table
from transforms.formats.pieces import Piece
from transforms.formats.signal_tables import ROLE, VALUES, signal_rows
from transforms.formats.signal_tables import TRACKS as TRACK_VALUES
from transforms.formats.tables import EVENT_TIME, names_of, one_each, rows_of
from transforms.gates import measure
from transforms.ingest.batch import Batch
from transforms.ingest.cleaning import clean
from transforms.ingest.people import People
from transforms.ingest.rejects import by_shard
from transforms.privacy.forgotten import forgotten
from transforms.tables.chunks import split
from transforms.tables.order import by_date
from transforms.tables.records import used
from transforms.tables.runs import Written
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

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
            parts = split(rows, self._batch.shards, TABLES[table].sharded_by or "listener_id")
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

    def _signals(self, piece: Piece) -> Iterator[tuple[str, Any]]:
        """Rows of a table of signals: a value is what is counted, since a line may hold several."""
        mapping, number = self._batch.options.mapping, piece.numbers[0]
        declared = mapping.signals if mapping else {}
        for frame, first, broken in read_table(piece, declared):
            known, gone = self._people.of_table(frame)
            found = signal_rows(known, first, self._batch.end_date, declared, gone)
            rejects = self._people.of_rejects(pl.concat([broken, found.rejects]))
            reasons = _by_reason(rejects, f"{ROLE} ")
            yield (
                "",
                _counts(
                    **{f"{ROLE} rows": found.given + rejects.height, **reasons, **_unread(found.unread, f"{ROLE} ")}
                ),
            )
            if rejects.height:
                yield from (("", item) for item in self._rejects(rejects, number))
            yield from ((table, rows) for table, rows in found.tables.items() if rows.height)

    def _table(self, piece: Piece, role: str) -> Iterator[tuple[str, Any]]:
        if role == ROLE:
            yield from self._signals(piece)
            return
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
        # an event is filed under its own date or a later one, never before
        first = distinct.select(day.min()).item()
        for known in (at for at in batch.dates(table) if first is not None and at >= first):
            manifest = warehouse.need(table, known)
            for before in batch.of_shard(manifest, shard, declared.key):
                distinct = distinct.join(before, on=declared.key, how="anti", nulls_equal=True)
        role = ROLE if table in (VALUES, TRACK_VALUES) else table
        yield _counts(**{f"{role} listens": distinct.height, f"{role} duplicates": rows.height - distinct.height})
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
