"""Job `forget`: listeners out of every table, every stored run, every published copy; and never back.

ids -> list of the forgotten -> files of their shards -> each rewritten without them -> manifests swapped, old files gone
                             -> rejects, reports, records, what killed jobs left -> tables in BigQuery

What workers look for stands in the warehouse as keyed hashes, so no id is in the job's graph. Started again, it finds
what is left to do; without a listener it goes over the whole warehouse for everybody on the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from pipelines.runtime.identity import ids_of_file, known_as
from pipelines.runtime.jobs import launch
from pipelines.runtime.progress import stage
from transforms.common.errors import LostRace, UserError
from transforms.privacy import forgotten as the_list
from transforms.privacy.done import Done
from transforms.privacy.forget import prints
from transforms.privacy.forget_texts import ATTEMPTS, OVERTAKEN, clear_others
from transforms.privacy.traces import Traces
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    import apache_beam as beam
    from google.cloud import bigquery

METRICS = "forget"


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

    What each option means is declared in `pipelines.cli.jobs`; with no id at all, everybody on the list is looked for everywhere.

    Raises:
        UserError: nobody is named and nobody is on the list, a file is damaged, or BigQuery refused; the same command
            again finishes what was begun.
    """
    opened = Warehouse(warehouse)
    raw = [*listeners, *(ids_of_file(listeners_file) if listeners_file else [])]
    ids = known_as(warehouse, raw, pseudonym_key_file)
    if not ids and not the_list.forgotten(opened):
        raise UserError("expected a LISTENER or --listeners-file, found neither, and nobody was forgotten here before")
    before = the_list.forgotten(opened)
    new = set(ids) - before.among(ids)  # who was on the list may be gone already
    gone = the_list.add(opened, ids) if ids else before
    on = today or datetime.now(UTC).date()
    with stage("forget tables") as at:
        files, rows, held = _tables(opened, prints(ids), on, beam_args)
        at.rows(rows)
    with stage("forget texts"):
        texts = clear_others(opened, Traces({*ids, *raw}), prints(ids) or tuple(gone.prints), on)
    tables = counted_rows = 0
    if published:
        from pipelines.runtime.forget_published import forget_copies

        with stage("forget published"):
            tables, counted_rows = forget_copies(opened, published, gone, sorted(set(ids)), client)
    return Done(
        len(set(ids)), files, rows, texts, tables, counted_rows, max(0, len(new) - held), opened.store.others_at_work()
    )


def _tables(warehouse: Warehouse, of: Sequence[int], on: date, beam_args: Sequence[str]) -> tuple[int, int, int]:
    """Redact every table, again where another job replaced files meanwhile: files, rows, and listeners that were found."""
    files = rows = held = 0
    for _ in range(ATTEMPTS):
        record = launch("forget", warehouse, lambda root: define(root, warehouse.url, of, on), beam_args)
        counted = {n: record.counters.get(f"{METRICS}.{n}", 0) for n in ("files", "rows", "people", "overtaken")}
        files, rows, held = files + counted["files"], rows + counted["rows"], max(held, counted["people"])
        if not counted["overtaken"]:
            return files, rows, held
    raise LostRace(OVERTAKEN)


def define(root: beam.Pipeline, warehouse: str, of: Sequence[int], today: date) -> None:
    """Add the job's one step to a pipeline; `of` are the listeners' prints, none = everybody on the warehouse's list."""
    from transforms.privacy.forget_beam import Forget

    _ = root | "Forget" >> Forget(warehouse, of, today)


def readmit(warehouse: str, listeners: Sequence[str], pseudonym_key_file: str | None = None) -> int:
    """Let forgotten listeners come back: what is ingested from now on is taken again. Returns how many were on the list."""
    return the_list.readmit(Warehouse(warehouse), known_as(warehouse, listeners, pseudonym_key_file))
