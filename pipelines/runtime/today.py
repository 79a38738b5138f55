"""The date of the clock, for an ingest that names no end."""

from __future__ import annotations

from datetime import UTC, date, datetime

from transforms.common.errors import UserError
from transforms.tables.warehouse import Warehouse


def today_in(warehouse: Warehouse) -> date:
    """The date of the clock, where that can be: behind it, today's plays would be refused as the future's, for good."""
    today, known = datetime.now(UTC).date(), warehouse.dates("listens")
    if known and known[-1] > today:
        raise UserError(
            f"this machine's clock says {today}, and the warehouse holds listens of {known[-1]} already; set the clock, or "
            "say with --end-date which date is the last of the batch"
        )
    return today
