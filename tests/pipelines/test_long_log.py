"""A log of twenty years with a play every two months: work follows the dates that have something, not the days between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.status import status_lines
from pipelines.features import features
from pipelines.forget import forget
from pipelines.ingest import ingest
from pipelines.runtime.config import Settings
from tests.pipelines.byte_search import found
from transforms.tables.store import LocalStore
from transforms.tables.warehouse import Warehouse

PLAYS, FIRST, LAST = 123, date(2006, 1, 2), date(2025, 12, 31)
DAYS = (LAST - FIRST).days
LOOKS = ("read", "read_with_token", "open", "folders", "folders_with", "paths")
SETTINGS = Settings(shards=4)


def long_log(path: Path) -> list[date]:
    """Five listeners, a play every two months or so; the dates played on."""
    days = [FIRST + timedelta(n * DAYS // (PLAYS - 1)) for n in range(PLAYS)]
    rows = [
        f"listener-{n % 5},t{n % 40},{datetime(d.year, d.month, d.day, 9, n % 60, tzinfo=UTC).isoformat()},200000"
        for n, d in enumerate(days)
    ]
    path.write_text("\n".join(["listener_id,track_id,started_at,ms_played", *rows]) + "\n")
    return sorted(set(days))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Looks into the warehouse, by path's first two parts (a folder and a date, or a folder alone)."""
    looks: Counter[str] = Counter()

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def look(store: LocalStore, path: str, *args: Any) -> Any:
            looks["/".join(path.split("/")[:2])] += 1
            return real(store, path, *args)

        return look

    with monkeypatch.context() as patched:
        for name in LOOKS:
            patched.setattr(LocalStore, name, watched(getattr(LocalStore, name)))
        yield looks


def test_twenty_years_with_a_play_every_two_months(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 7,303 dates without a play at most the month before the end is looked at (gates); one small record a job."""
    played = long_log(tmp_path / "log.csv")
    warehouse = Warehouse(str(tmp_path / "w"))
    standing = 0
    for name, job in (
        ("ingest", lambda: ingest(warehouse.url, "csv", [str(tmp_path / "log.csv")], end_date=LAST, settings=SETTINGS)),
        ("features", lambda: features(warehouse.url, FIRST, LAST, SETTINGS)),
        ("status", lambda: list(status_lines(warehouse))),
        ("forget", lambda: forget(warehouse.url, ["listener-3"], today=date(2026, 2, 1))),
    ):
        with counted(monkeypatch) as looks:
            job()
        standing = sum(len(warehouse.dates(table)) for table in warehouse.store.folders(""))
        dates = {path.partition("/")[2].removeprefix("date=") for path in looks if "/date=" in path}
        empty = dates - {d.isoformat() for day in played for d in (day, day + timedelta(1))} - {LAST.isoformat()}
        assert len(empty) <= 31, f"{name} looked at {len(empty)} dates on which nothing was played"
        assert sum(looks.values()) <= 60 * standing, f"{name}: {sum(looks.values()):,} looks for {standing:,} manifests"
    assert sum(warehouse.need("listens", d).rows for d in warehouse.dates("listens")) == PLAYS - PLAYS // 5
    assert found(tmp_path / "w", ["listener-3"]) == []
    records = [warehouse.store.read(path) for path in warehouse.store.paths("runs")]
    assert len(records) <= 3 and sum(map(len, records)) < 1_000_000
