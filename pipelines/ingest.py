"""Job `ingest`: a listening log into the warehouse, cleaned, counted, split by listener, filed by date.

files -> pieces -> parse -> split by listener -> group by shard -> clean -> files by date
                -> rejects, catalog, listeners -> commit: dates one by one, the ledger last
"""

from __future__ import annotations

from collections.abc import Mapping as Counts
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.inputs import BIGQUERY, gathered
from pipelines.runtime.jobs import described_only, launch, planned_anew
from transforms.common.errors import UserError
from transforms.formats.base import Options
from transforms.formats.files import InputFile
from transforms.formats.formats import LogFormat, check, formats, named, pieces
from transforms.formats.mapping import Mapping, load_mapping
from transforms.ingest.batch import Batch, ledger, plan_batch
from transforms.listening.feedback import KINDS, UNKNOWN
from transforms.privacy.pseudonyms import key_source
from transforms.tables.records import job_at_commit
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    import apache_beam as beam
    from google.cloud import bigquery

    from pipelines.runtime.config import Settings


@dataclass
class Ingested:
    """What came of an ingest. `batch` is None, and all counts 0, where every file was there already.

    `known` and `empty` are files that were left out and files without a line; `late` are listens of dates that a night had
    closed, by the date they are filed under; `unread` are cells that held something that could not be read, by column.
    """

    batch: str | None = None
    known: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    rows: int = 0
    listens: int = 0
    duplicates: int = 0
    rejects: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    peak_mb: float = 0.0

    def __str__(self) -> str:
        lines = [f"already ingested, left out: {name}" for name in self.known]
        lines += [f"warning: no lines in {name}" for name in self.empty]
        if self.batch is None:
            return "\n".join([*lines, "nothing new to ingest"])
        lines.append(
            f"batch {self.batch}: {self.rows:,} rows = {self.listens:,} listens + {self.duplicates:,} duplicates + "
            f"{self.rejects:,} rejects{_listed(self.reasons)}"
        )
        lines += _unread("the log", self.unread)
        lines += [
            f"  {n:,} of them late, filed under {day}: their own dates were closed by a night that is made already"
            for day, n in self.late.items()
        ]
        for name, t in self.tables.items():
            lines.append(
                f"  {name}: {t['rows']:,} rows = {t['listens']:,} kept + {t['duplicates']:,} duplicates + "
                f"{t['rejects']:,} rejects{_listed(t['reasons'])}"
            )
            lines += _unread(name, t.get("unread", {}))
            lines += [f"  known kinds of feedback: {', '.join(KINDS)}"] * (
                name == "feedback" and UNKNOWN in t["reasons"]
            )
        return "\n".join(lines)


def _listed(counts: Counts[str, int]) -> str:
    """Counts in brackets behind their sum; nothing where there are none."""
    return f" ({', '.join(f'{name} {n:,}' for name, n in counts.items())})" if counts else ""


def _unread(name: str, cells: Counts[str, int]) -> list[str]:
    """The line that says which cells could not be read, and what they count as."""
    if not cells:
        return []
    closed = "; an explicit_ok that cannot be read counts as no" if "explicit_ok" in cells else ""
    return [f"  {name}: cells that could not be read count as unknown{_listed(cells)}{closed}"]


def ingest(
    warehouse: str,
    format: str,
    inputs: Sequence[str],
    *,
    mapping: str | None = None,
    tracks: str | None = None,
    end_date: date | None = None,
    anonymous: bool = False,
    listeners_file: str | None = None,
    feedback: str | None = None,
    impressions: str | None = None,
    listener: str | None = None,
    settings: Settings | None = None,
    beam_args: Sequence[str] = (),
    client: bigquery.Client | None = None,
    pseudonym_key_file: str | None = None,
    accept_gates: bool = False,
) -> Ingested:
    """Bring a log's files into a warehouse; a file that was ingested before is left out.

    Args:
        warehouse: folder or bucket URL.
        format: name of one of FORMATS, or bigquery: then inputs are tables, project.dataset.table, and so may be the other
            files, as bigquery:project.dataset.table.
        inputs: files or globs.
        mapping: mapping file, for csv, parquet and bigquery.
        tracks, listeners_file, feedback, impressions: files in the columns of those tables.
        end_date: the last date of the batch; later events are refused. Default: today, UTC.
        anonymous: sessions: each line is a listener of its own.
        listener: whose log it is, where its lines do not say: an export of spotify-history or listenbrainz, or columns of
            one listener.
        settings: the program's settings; None = defaults.
        beam_args: Beam options.
        client: to BigQuery; None = one with the machine's credentials.
        pseudonym_key_file: file with the key that listeners' ids are replaced under; default: the environment's key,
            where there is one, else ids stay as they came.

        accept_gates: commit the batch even if a check fails; the ledger then says so.

    Raises:
        GateFailed: the batch failed a check; nothing was committed.
        UserError: a wrong file, format, mapping or option; nothing was committed.
    """
    if settings is None:
        from pipelines.runtime.config import Settings as Defaults

        settings = Defaults()
    fmt = named("parquet" if format == BIGQUERY else format)
    if anonymous and not fmt.untimed:
        raise UserError(f"--anonymous: expected a format without times, found {format!r}, whose listeners have names.")
    if listener is not None and not fmt.of_one:
        raise UserError(
            f"--listener: expected a log that may not say whose it is, found {format!r}, whose lines always do; leave it out."
        )
    if fmt.untimed and end_date is None:
        raise UserError(
            "--end-date: expected the date of each listener's last session, since sessions have no times; found none."
        )
    place = Warehouse(warehouse)
    end = end_date or _today(place)
    options = Options(end, _mapping(fmt, mapping), anonymous, listener)
    others = {"tracks": tracks, "listeners": listeners_file, "feedback": feedback, "impressions": impressions}
    later = described_only(beam_args)
    with gathered(place, format, inputs, others, options.mapping, client, keep=later) as (files, tables_known):

        def once() -> Ingested:
            fresh, left = _new(files, ledger(place))
            known = (*tables_known, *(f.name for f in left if not f.empty))
            empty = tuple(f.name for f in left if f.empty)  # all are equal, so one may be known
            if not fresh:
                return Ingested(known=known, empty=empty)
            logs = [f for f in fresh if f.role == "log"]
            if fmt.check_all is not None:
                fmt.check_all([f.path for f in logs], options)
            looked = {file: check(fmt.name, file, options, alone=len(logs) == 1) for file in logs}
            empty = (*(f.name for f in fresh if f.empty or looked.get(f) == 0), *empty)
            batch = plan_batch(
                place,
                fmt.name,
                fresh,
                options,
                settings=settings.ingest,
                shards=settings.shards,
                end_date=end,
                key=key_source(pseudonym_key_file),
                gates=settings.gates,
                accept_gates=accept_gates,
            )
            ledger_run = batch.run("rejects", end, append=True)
            runs = [ledger_run] if ledger_run else []
            record = launch("ingest", place, lambda root: define(root, batch), beam_args, runs)
            if later:
                return Ingested(batch.id, known, empty)
            done = place.need("rejects", end).extra["batches"][batch.id]
            counted = {k: done[k] for k in ("rows", "listens", "duplicates", "rejects", "reasons", "tables")}
            counted |= {"late": done.get("late", {}), "unread": done.get("unread", {})}
            return Ingested(batch.id, known, empty, **counted, seconds=record.seconds, peak_mb=record.peak_mb)

        result = planned_anew(once)
    if not (later and result.batch):
        print(result)
    return result


def define(root: beam.Pipeline, batch: Batch) -> None:
    """Add the job's steps to a pipeline."""
    import apache_beam as beam

    from transforms.ingest import beam as steps

    def listed(collection: beam.PCollection) -> Any:
        return beam.pvalue.AsList(collection)

    parsed = (
        root
        | "Pieces" >> beam.Create([p.dumps() for p in pieces(batch.fmt, batch.files)], reshuffle=False)
        | "Spread" >> beam.Reshuffle()
        | "Parse"
        >> beam.ParDo(steps.Parse(batch)).with_outputs(
            steps.COUNTS, steps.REJECTS, steps.TRACKS, steps.GIVEN, main="rows"
        )
    )
    cleaned = (
        parsed.rows
        | "Keyed" >> beam.Map(lambda kv: kv).with_output_types(tuple[str, bytes])
        | "By shard" >> beam.GroupByKey()
        | "Clean"
        >> beam.ParDo(steps.CleanShard(batch)).with_outputs(
            steps.COUNTS, steps.REJECTS, steps.TRACKS, steps.LISTENERS, main="written"
        )
    )
    listens = cleaned.written
    counts = (parsed[steps.COUNTS], cleaned[steps.COUNTS]) | "All counts" >> beam.Flatten()
    rejects = (
        (parsed[steps.REJECTS], cleaned[steps.REJECTS])
        | "All rejects" >> beam.Flatten()
        | "Keyed rejects" >> beam.Map(lambda kv: kv).with_output_types(tuple[str, bytes])
        | "Rejects by shard" >> beam.GroupByKey()
        | "Write rejects" >> beam.ParDo(steps.WriteRejects(batch))
    )
    found = (parsed[steps.TRACKS], cleaned[steps.TRACKS]) | "All tracks" >> beam.Flatten()
    # the table is written whole, so that shards the batch says nothing of are there too
    everywhere = root | "Every shard" >> beam.Create(steps.no_listeners(batch), reshuffle=False)
    listeners = (
        (cleaned[steps.LISTENERS], everywhere)
        | "All listeners" >> beam.Flatten()
        | "Keyed listeners" >> beam.Map(lambda kv: kv).with_output_types(tuple[str, bytes])
        | "Listeners by shard" >> beam.GroupByKey()
        | "Write listeners" >> beam.ParDo(steps.WriteListeners(batch), listed(listens))
    )
    catalog = (
        root
        | "Catalog" >> beam.Create([0], reshuffle=False)
        | "Write catalog"
        >> beam.ParDo(steps.WriteCatalog(batch), listed(listens), listed(found), listed(parsed[steps.GIVEN]))
    )
    written = (listens, listeners, catalog, rejects) | "All written" >> beam.Flatten()
    (
        root
        | "Batch" >> beam.Create([0], reshuffle=False)
        | "Commit" >> beam.ParDo(steps.CommitBatch(batch, job_at_commit()), listed(written), listed(counts))
    )


def _today(place: Warehouse) -> date:
    """The date of the clock, where that can be: behind it, today's plays would be refused as the future's, for good."""
    today, known = datetime.now(UTC).date(), place.dates("listens")
    if known and known[-1] > today:
        raise UserError(
            f"this machine's clock says {today}, and the warehouse holds listens of {known[-1]} already; set the clock, or "
            "say with --end-date which date is the last of the batch"
        )
    return today


def _new(files: Sequence[InputFile], known: Set[tuple[str, str]]) -> tuple[list[InputFile], list[InputFile]]:
    """Files that are new in content or role, and the others; of equal files the first is new."""
    fresh: dict[tuple[str, str], InputFile] = {}
    left = []
    for file in files:
        if file.identity in known or file.identity in fresh:
            left.append(file)
        else:
            fresh[file.identity] = file
    return list(fresh.values()), left


def _mapping(fmt: LogFormat, path: str | None) -> Mapping | None:
    if path is None:
        return None
    if not fmt.mapped:
        taking = ", ".join((*(row.name for row in formats() if row.mapped), BIGQUERY))
        raise UserError(
            f"--mapping: expected one of the formats {taking}, found {fmt.name!r}, whose columns are known."
        )
    try:
        return load_mapping(Path(path).read_text(), path)
    except (OSError, UnicodeDecodeError):
        raise UserError(f"--mapping {path}: expected a readable YAML file, found none.") from None
