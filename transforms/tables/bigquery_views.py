"""The views that consumers read: pointed at a run's table in one statement, and back again.

A run table loses its expiry before the view reads it, and the one replaced gets its own only afterwards, so that a kill in
between leaves a table too many, never a view without one. What the view read before stays for a while, for `rollback`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from google.cloud import bigquery

from transforms.common.errors import UserError
from transforms.tables import bigquery as bq
from transforms.tables.bigquery_client import Target, label, refusals
from transforms.tables.schema import TABLES


@dataclass(frozen=True)
class Published:
    """What a view reads now. `changed` is False where it read that already."""

    table: str
    run_table: str
    rows: int
    changed: bool

    def __str__(self) -> str:
        word = "reads" if self.changed else "already reads"
        return f"{self.table} {word} {self.run_table}, {self.rows:,} rows"


def show(at: Target, table: str, run: str, expires: datetime, remember: bool) -> Published:
    """Point a view at a run table that is whole, in one statement; then let the others expire."""
    with refusals(f"view {table}"):
        before = _shown(at, table)
        changed = before != run
        label(at, run, keep=True, **({bq.REPLACES: before} if changed and remember else {}))
        if changed:
            at.client.query(bq.view_statement(at.dataset, TABLES[table], run), location=at.location).result()
        _expire(at, table, run, expires)
        found = at.get(run)
    return Published(table, run, int(found.num_rows or 0) if found else 0, changed)


def _expire(at: Target, table: str, shown: str, expires: datetime) -> None:
    """Give an expiry to every other run table of a table that has none."""
    for item in at.client.list_tables(f"{at.dataset.project}.{at.dataset.dataset}"):
        parts = bq.run_parts(item.table_id)
        if parts is None or parts[0] != table or item.table_id == shown or item.table_type != "TABLE":
            continue
        found = at.get(item.table_id)
        if found is not None and found.expires is None:
            found.expires = expires
            at.client.update_table(found, ["expires"])


def _shown(at: Target, table: str) -> str | None:
    """The run table that a view reads; None where there is no view yet.

    Raises:
        UserError: something else stands under the view's name.
    """
    asked = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("name", "STRING", table)])
    rows = list(at.client.query(bq.view_question(at.dataset), job_config=asked, location=at.location).result())
    target = bq.target_of(rows[0][0]) if rows else None
    if target is None and (rows or at.get(table) is not None):
        raise UserError(
            f"{at.dataset.table(table)}: expected the view that publish made, found something else; rename it, or "
            "publish into another dataset"
        )
    return target


def before_this(at: Target, table: str, day: date | None) -> str:
    """What a view goes back to."""
    current = _shown(at, table)
    if current is None:
        raise UserError(f"{at.dataset.table(table)}: expected a published view, found none; publish first")
    parts = bq.run_parts(current)
    if day is not None and parts is not None and parts[1] != day:
        return current
    found = at.get(current)
    earlier = found.labels.get(bq.REPLACES) if found else None
    if not earlier or at.get(earlier) is None:
        raise UserError(
            f"{at.dataset.table(table)} reads {current}, and what it read before is gone or never was; publish an "
            "earlier date instead"
        )
    return earlier
