"""Nothing waits by a clock, and no clock's time stands in a table: every look at a clock is listed here, with what it is for."""

from __future__ import annotations

import ast
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pipelines.ingest import ingest
from pipelines.runtime import today
from transforms.common.errors import UserError
from transforms.tables.runs import claim
from transforms.tables.warehouse import Warehouse

ROOT = Path(__file__).parent.parent
DAY = date(2026, 1, 5)
CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep", "now", "today", "utcnow"}
LOOKS = {
    "pipelines/forget.py": "the date that a redaction is noted under",
    "pipelines/runtime/today.py": "the end of a batch that names none; refused where the clock is behind the log",
    "pipelines/runtime/logs.py": "the time of a line of the log",
    "pipelines/runtime/progress.py": "seconds shown",
    "pipelines/publish.py": "when a table that no view reads expires",
    "transforms/common/clock.py": "seconds told",
    "transforms/tables/beam.py": "seconds counted",
    "transforms/tables/records.py": "seconds told, and when a record was written",
    "transforms/tables/store_bucket.py": "whether anybody wrote into a bucket's abandoned run within a day",
    "transforms/tables/usage.py": "seconds told",
}


def looks(path: Path) -> Iterator[str]:
    """Attributes of `time`, `date` and `datetime` that ask a clock, and files' times."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield "from time import"
        if not isinstance(node, ast.Attribute):
            continue
        if isinstance(node.value, ast.Name) and node.value.id in ("time", "date", "datetime") and node.attr in CLOCKS:
            yield f"{node.value.id}.{node.attr}"
        if node.attr in ("st_mtime", "st_ctime", "getmtime", "updated", "time_created"):
            yield node.attr


def test_every_look_at_a_clock_is_known_and_none_is_a_deadline() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): sorted(set(looks(path)))
        for folder in ("pipelines", "transforms", "models", "dataflow_templates", "nightshelf")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    assert {path for path, clocks in found.items() if clocks} == set(LOOKS)
    assert not [path for path, clocks in found.items() if "time.sleep" in clocks], "nothing of ours waits for a time"


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks that say another day at every look."""
    ticks, now, counted = iter(range(1 << 60)), time.time, time.monotonic
    monkeypatch.setattr(time, "time", lambda: now() + 86_400 * (next(ticks) % 3 - 1))
    monkeypatch.setattr(time, "monotonic", lambda: counted() + 86_400 * next(ticks))


def test_a_lock_is_waited_for_however_clocks_jump(tmp_path: Path, jumping: None) -> None:
    warehouse = Warehouse(str(tmp_path))
    warehouse.store.write("t/_current.json", b"one")
    _, token = warehouse.store.read_with_token("t/_current.json")
    holder = os.open(tmp_path / "t" / "._current.json.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    done: list[bool] = []
    waiting = threading.Thread(target=lambda: done.append(warehouse.store.replace("t/_current.json", b"two", token)))
    waiting.start()
    waiting.join(0.2)
    assert not done and warehouse.store.read("t/_current.json") == b"one", "somebody else holds it"
    os.close(holder)
    waiting.join()
    assert done == [True] and warehouse.store.read("t/_current.json") == b"two"


def test_a_claim_outlives_every_clock(tmp_path: Path, jumping: None) -> None:
    warehouse = Warehouse(str(tmp_path))
    assert [claim(warehouse, "listens", DAY, "v") for _ in range(3)] == ["v-1", "v-2", "v-3"]
    for path in tmp_path.rglob("_claim"):
        os.utime(path, (0, 0))  # claimed in 1970, says the file system
    assert claim(warehouse, "listens", DAY, "v") == "v-4", "none of them has run out"


def test_an_ingest_without_an_end_refuses_a_clock_that_is_behind_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Behind(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2026, 1, 2, tzinfo=UTC)

    log = tmp_path / "log.csv"
    log.write_text("listener_id,track_id,started_at\nann,t1,2026-01-05T10:00:00Z\n")
    warehouse = str(tmp_path / "w")
    ingest(warehouse, "csv", [str(log)], end_date=DAY)
    log.write_text("listener_id,track_id,started_at\nann,t2,2026-01-05T11:00:00Z\n")
    monkeypatch.setattr(today, "datetime", Behind)
    with pytest.raises(UserError, match="clock says 2026-01-02, and the warehouse holds listens of 2026-01-05"):
        ingest(warehouse, "csv", [str(log)])
    assert Warehouse(warehouse).read("listens", DAY).height == 1
    assert ingest(warehouse, "csv", [str(log)], end_date=DAY).listens == 1
