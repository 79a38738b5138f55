"""Job `publish`: a committed run into BigQuery, whole or not at all, and back again.

    run's files -> one load job, truncating -> <table>__<date>__<run_id> -> rows counted -> view <table> replaced

It does not go through Beam: the service reads the files. Every table is loaded and counted before the first view is
replaced. What the view read before stays, with an expiry, for `rollback`. A publish that was killed is started again and
finds what is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from google.cloud import bigquery

from pipelines.runtime.check import require
from transforms.gates.settings import GateSettings
from transforms.tables.as_of import as_of
from transforms.tables.bigquery import run_table
from transforms.tables.bigquery_client import declared, refusals, target
from transforms.tables.bigquery_load import load, publishable
from transforms.tables.bigquery_views import Published, before_this, show

KEEP_DAYS = 7


def publish(
    warehouse: str,
    day: date,
    to: str,
    tables: Sequence[str] = ("shelves",),
    *,
    keep_days: int = KEEP_DAYS,
    gates: GateSettings | None = None,
    accept_gates: bool = False,
    client: bigquery.Client | None = None,
    now: datetime | None = None,
) -> list[Published]:
    """Load the current runs of a date, count their rows, then point the views at them.

    Args:
        warehouse: folder or bucket URL.
        day: the night; `tracks` and `listeners` are their newest up to it.
        to: `bigquery:PROJECT.DATASET`; the dataset exists.
        tables: published in this order, so name last what consumers enter by.
        keep_days: days until a run table that no view reads expires.
        gates: thresholds of the checks before anything is loaded; None = defaults.
        accept_gates: publish even if one fails.
        client, now: given by tests.

    Raises:
        GateFailed: the night fails a check that nobody accepted; nothing was loaded.
        UserError: a table that is not there or is empty, a row count that does not match, or a refusal by the
            service; no view was replaced, or (a refusal between two) the earlier ones of `tables` were.
    """
    past = as_of(warehouse, day)
    expires = (now or datetime.now(UTC)) + timedelta(days=keep_days)
    manifests = [publishable(past, table) for table in tables]
    require(past.warehouse, manifests, gates or GateSettings(), accept_gates)
    at = target(to, client)
    for manifest in manifests:
        load(past.warehouse, at, manifest, expires)
    return [show(at, m.table, run_table(m.table, m.date, m.run_id), expires, remember=True) for m in manifests]


def rollback(
    to: str,
    tables: Sequence[str] = ("shelves",),
    *,
    day: date | None = None,
    keep_days: int = KEEP_DAYS,
    client: bigquery.Client | None = None,
    now: datetime | None = None,
) -> list[Published]:
    """Point the views back at what they read before.

    Args:
        day: the date to withdraw: a view that reads another date is left alone, so that the command may be repeated.

    Raises:
        UserError: a view that does not exist, or nothing to go back to.
    """
    at = target(to, client)
    expires = (now or datetime.now(UTC)) + timedelta(days=keep_days)
    steps: list[tuple[str, str]] = []
    for table in tables:
        declared(table)
        with refusals(f"rollback of {table}"):
            steps.append((table, before_this(at, table, day)))
    return [show(at, table, run, expires, remember=False) for table, run in steps]
