"""Job `forget`: listeners out of every table, every stored run, every published copy; and never back.

ids -> list of the forgotten -> files of their shards -> each rewritten without them -> manifests swapped, old files gone
                             -> rejects, reports, records, what killed jobs left -> tables in BigQuery

What workers look for stands in the warehouse as keyed hashes, so no id is in the job's graph. Started again, it finds
what is left to do; without a listener it goes over the whole warehouse for everybody on the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from pipelines.runtime.identity import ids_of_file, known_as
from pipelines.runtime.jobs import launch
from pipelines.runtime.progress import stage
from transforms.common.errors import LostRace, UserError
from transforms.privacy import forgotten as the_list
from transforms.privacy.forget import clear_rejects, prints, swap
from transforms.privacy.forget_texts import clear_texts
from transforms.privacy.traces import Traces
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    import apache_beam as beam
    from google.cloud import bigquery

METRICS = "forget"
ATTEMPTS = 5
OVERTAKEN = (
    "other jobs kept replacing files that hold the listeners; what was found is removed, what they wrote is not looked into: "
    "run the same command again when they have ended"
)


@dataclass(frozen=True)
class Done:
    """What a `forget` did; it names nobody. `nowhere` are ids, new to the list, that no table held.

    `beside`: another job was at work meanwhile.
    """

    listeners: int
    files: int
    rows: int
    texts: int
    published: int
    published_rows: int
    nowhere: int = 0
    beside: bool = False

    def __str__(self) -> str:
        who = f"forgot {self.listeners:,} listener{'' if self.listeners == 1 else 's'}" if self.listeners else "done"
        lines = [f"{who}: {self.rows:,} rows taken out of {self.files:,} files, {self.texts:,} other files cleared"]
        if self.published:
            lines.append(f"published: {self.published_rows:,} rows taken out of {self.published:,} tables")
        if self.nowhere:
            what = "1 id was" if self.nowhere == 1 else f"{self.nowhere:,} ids were"
            lines.append(f"{what} found in no table; check {'it' if self.nowhere == 1 else 'them'}")
        if self.beside:
            lines.append(
                "another job is at work in this warehouse, and may have read them before: its commit will be refused; when it "
                "has ended, run `nightshelf forget` once more, with no name"
            )
        return "\n".join(lines)


def forget(
    warehouse: str,
    listeners: Sequence[str] = (),
    *,
    listeners_file: str | None = None,
    published: str | None = None,
    pseudonym_key_file: str | None = None,
    beam_args: Sequence[str] = (),
    client: bigquery.Client | None = None,
    today: date | None = None,
) -> Done:
    """Remove listeners from a warehouse and its published copies, and keep them out.

    Args:
        warehouse: folder or bucket URL.
        listeners: their ids, as they came in the log.
        listeners_file: further ids, one a line. With no id at all, everybody on the list is looked for everywhere.
        published: `bigquery:PROJECT.DATASET` whose tables are cleared too.
        pseudonym_key_file: key of a warehouse that holds pseudonyms; default: the environment's.
        beam_args: Beam options.
        client, today: given by tests.

    Raises:
        UserError: nobody is named and nobody is on the list, a file is damaged, or BigQuery refused; the same command
            again finishes what was begun.
    """
    place = Warehouse(warehouse)
    raw = [*listeners, *(ids_of_file(listeners_file) if listeners_file else [])]
    if any(not i.strip() for i in raw):
        raise UserError("expected listener ids, found an empty one; name each listener as the log does")
    ids = known_as(warehouse, raw, pseudonym_key_file)
    if not ids and not the_list.forgotten(place):
        raise UserError("expected a LISTENER or --listeners-file, found neither, and nobody was forgotten here before")
    before = the_list.forgotten(place)
    new = set(ids) - before.among(ids)  # who was on the list may be gone already
    gone = the_list.add(place, ids) if ids else before
    on = today or datetime.now(UTC).date()
    with stage("forget tables") as at:
        files = rows = held = 0
        for attempt in range(1, ATTEMPTS + 1):
            record = launch("forget", place, lambda root: define(root, warehouse, prints(ids), on), beam_args)
            counted = {n: record.counters.get(f"{METRICS}.{n}", 0) for n in ("files", "rows", "people", "overtaken")}
            files, rows, held = files + counted["files"], rows + counted["rows"], max(held, counted["people"])
            if not counted["overtaken"]:
                break
            if attempt == ATTEMPTS:
                raise LostRace(OVERTAKEN)
        at.rows(rows)
    with stage("forget texts"):
        texts = _texts(place, Traces({*ids, *raw}), prints(ids) or tuple(gone.prints), on)
    tables = counted_rows = 0
    if published:
        from pipelines.runtime.forget_published import forget_published

        with stage("forget published"):
            tables, counted_rows = forget_published(place, published, gone, sorted(set(ids)), client)
    return Done(
        len(set(ids)), files, rows, texts, tables, counted_rows, max(0, len(new) - held), place.store.others_at_work()
    )


def define(root: beam.Pipeline, warehouse: str, of: Sequence[int], today: date) -> None:
    """Add the job's steps to a pipeline: files looked into one by one, then one step that makes the rest visible.

    Args:
        of: the listeners' `prints`; none = everybody on the warehouse's list.
    """
    import apache_beam as beam

    from transforms.privacy.forget_beam import Holders, Redact, Swap

    redacted = (
        root
        | "Folders" >> beam.Create(Warehouse(warehouse).store.folders(""), reshuffle=False).with_output_types(str)
        | "Files" >> beam.ParDo(Holders(warehouse, of)).with_output_types(str)
        | "Spread" >> beam.Reshuffle()
        | "Redact" >> beam.ParDo(Redact(warehouse)).with_output_types(str)
    )
    _ = (
        root
        | "Once" >> beam.Create([0], reshuffle=False)
        | "Swap" >> beam.ParDo(Swap(warehouse, today), beam.pvalue.AsList(redacted)).with_output_types(int)
    )


def _texts(place: Warehouse, traces: Traces, of: Sequence[int], today: date) -> int:
    """Everything that is no listener's row: refused lines, ledgers, records, reports, leftovers of killed jobs."""
    cleared = 0
    for _ in range(ATTEMPTS):
        done = [r for p in _rejects(place) if (r := clear_rejects(place, p, traces, of)) is not None]
        cleared += len(done)
        if not swap(place, done, today)[1]:
            break
    else:
        raise LostRace(OVERTAKEN)
    with place.store.turn("forget"):
        count = clear_texts(place, traces)
    for path in [*place.store.paths("imports"), *place.store.leftovers()]:
        place.store.delete(path)
        count += 1
    return cleared + count


def _rejects(place: Warehouse) -> Iterator[str]:
    return (p for p in place.store.paths("rejects") if p.endswith(".parquet"))


def readmit(warehouse: str, listeners: Sequence[str], pseudonym_key_file: str | None = None) -> int:
    """Let forgotten listeners come back: what is ingested from now on is taken again. Returns how many were on the list."""
    return the_list.readmit(Warehouse(warehouse), known_as(warehouse, listeners, pseudonym_key_file))
