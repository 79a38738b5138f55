"""A log with gaps of years: no step walks through dates on which nothing happened."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from pipelines.features import features
from pipelines.runtime.config import Settings
from tests.pipelines.tiny import frame, put
from transforms.tables.warehouse import Warehouse

SETTINGS = Settings(shards=4)


def test_years_without_a_listen_are_passed_over(tmp_path: Path) -> None:
    """Two plays a year over twenty years: dates with something to make are made, and one record tells of the job."""
    warehouse = Warehouse(str(tmp_path / "long"))
    played = [date(2006 + n // 2, 1 + 6 * (n % 2), 7) for n in range(40)]
    for day in played:
        at = datetime(day.year, day.month, day.day, 23, 50, tzinfo=UTC)  # still open at midnight
        row = {"listener_id": "ann", "track_id": f"t{day.year}", "started_at": at, "ingested_at": at, "late": False}
        put(warehouse, "listens", day, frame("listens", [{**row, "listen_id": str(day), "ms_played": 1_200_000}]))
    last = date(2026, 6, 1)
    features(warehouse.url, played[0], last, SETTINGS)
    assert set(warehouse.dates("sessions")) == {*played, *(d + timedelta(1) for d in played), last}
    rows = pl.concat([warehouse.read("sessions", d) for d in warehouse.dates("sessions")])
    assert rows.filter(~pl.col("open")).height == len(played), "each is closed on the day after"
    assert warehouse.need("library", last).rows == 20
    assert len(warehouse.store.paths("runs")) == 1


def test_a_night_on_an_empty_date_changes_no_later_version(tmp_path: Path) -> None:
    """Folded night by night, an empty date has its tables; folded at once it is passed over. What follows is the same."""
    at = datetime(2026, 1, 5, 12, tzinfo=UTC)
    versions = []
    for name, ends in (
        ("nights", (date(2026, 1, 5), date(2026, 1, 7), date(2026, 1, 8))),
        ("once", (date(2026, 1, 8),)),
    ):
        warehouse = Warehouse(str(tmp_path / name))
        for day in (0, 3):
            when = at + timedelta(day)
            row = {"listener_id": "ann", "track_id": "t", "started_at": when, "ingested_at": at, "late": False}
            put(
                warehouse,
                "listens",
                when.date(),
                frame("listens", [{**row, "listen_id": str(day), "ms_played": 60_000}]),
            )
        for end in ends:
            features(warehouse.url, end, end, SETTINGS)
        versions.append(
            [warehouse.need(t, date(2026, 1, 8)).version for t in ("sessions", "co_listens", "track_stats")]
        )
    assert versions[0] == versions[1]
