"""Job `ingest`: a listening log into the warehouse, cleaned, counted, split by listener, filed by date.

files -> pieces -> parse -> split by listener -> group by shard -> clean -> files by date
                -> rejects, catalog, listeners -> commit: dates one by one, the ledger last
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from pipelines.runtime.config import Settings
from pipelines.runtime.inputs import gathered
from pipelines.runtime.jobs import described_only, launch, planned_anew
from pipelines.runtime.today import today_in
from transforms.formats.base import Options
from transforms.formats.files import ROLES
from transforms.ingest.batch import Batch, ledger
from transforms.ingest.request import batch_of, format_of, looked_over, mapping_of
from transforms.ingest.result import Ingested
from transforms.privacy.pseudonyms import key_source
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    import apache_beam as beam
    from google.cloud import bigquery


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
    blends: str | None = None,
    signals: str | None = None,
    listener: str | None = None,
    settings: Settings | None = None,
    beam_args: Sequence[str] = (),
    client: bigquery.Client | None = None,
    pseudonym_key_file: str | None = None,
    accept_gates: bool = False,
) -> Ingested:
    """Bring a log's files into a warehouse; a file that was ingested before is left out.

    What each option means is declared in `pipelines.cli.jobs`. Besides:

    Args:
        settings: the program's settings; None = defaults.
        client: to BigQuery; None = one with the machine's credentials.

    Raises:
        GateFailed: the batch failed a check; nothing was committed.
        UserError: a wrong file, format, mapping or option; nothing was committed.
    """
    fmt, opened = format_of(format, end_date, anonymous, listener), Warehouse(warehouse)
    end = end_date or today_in(opened)
    options = Options(end, mapping_of(fmt, mapping, signals is not None), anonymous, listener)
    others = dict(zip(ROLES[1:], (tracks, listeners_file, feedback, impressions, blends, signals), strict=True))
    key, later = key_source(pseudonym_key_file), described_only(beam_args)
    with gathered(opened, format, inputs, others, options.mapping, client, keep=later) as (files, tables_known):

        def once() -> Ingested:
            fresh, found = looked_over(files, ledger(opened), tables_known, fmt, options)
            if not fresh:
                return found
            batch = batch_of(opened, fmt, fresh, options, end, settings or Settings(), key, accept_gates)
            run = batch.run("rejects", end, append=True)
            record = launch("ingest", opened, lambda root: define(root, batch), beam_args, [run] if run else [])
            made = replace(found, batch=batch.id)
            if later:
                return made
            return made.counted(opened.need("rejects", end).extra["batches"][batch.id], record.seconds, record.peak_mb)

        result = planned_anew(once)
    if not (later and result.batch):
        print(result)
    return result


def define(root: beam.Pipeline, batch: Batch) -> None:
    """Add the job's steps to a pipeline."""
    from transforms.ingest import graph

    parsed = graph.parse(root, batch)
    cleaned = graph.clean(parsed, batch)
    rejects = graph.write_rejects(parsed, cleaned, batch)
    listeners = graph.write_listeners(root, cleaned, batch)
    catalog = graph.write_catalog(root, parsed, cleaned, batch)
    graph.commit(root, parsed, cleaned, (listeners, catalog, rejects), batch)
