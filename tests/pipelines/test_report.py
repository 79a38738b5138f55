"""The report of a small warehouse: written where it says, whole, and without anyone's log in it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.cli.report import behind, gather, report
from pipelines.evaluate import evaluate
from tests.pipelines.tiny import LISTENERS, NIGHT, SETTINGS, build
from tests.transforms.reporting.test_page import parsed
from transforms.common.errors import UserError
from transforms.tables.runs import finish, plan
from transforms.tables.warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return build(tmp_path)


def test_the_report_of_an_evaluated_night(warehouse: Warehouse) -> None:
    account = {
        "files": {"hash": "ann-smith.csv"},
        "format": "csv",
        "rows": 10,
        "listens": 7,
        "duplicates": 2,
        "rejects": 1,
    }
    batches = {"batches": {"b1": {**account, "reasons": {"future": 1}}}}
    run = plan(warehouse, "rejects", NIGHT, shards=1, inputs={}, settings={}, step_version="test", extra=batches)
    assert run is not None
    finish(run, [])
    evaluate(warehouse.url, NIGHT, 7, settings=SETTINGS)  # type: ignore[arg-type]
    path = report(warehouse.url, NIGHT)
    page = Path(path).read_text()
    parsed(page)
    for text in ("NDCG@50", "item-knn", "future", "evaluate", "candidates", "Discover", "listener-"):
        assert text in page, text
    shown = [who for who in LISTENERS if f"<code>{who}</code>" in page]
    assert len(shown) == 3 and not any(who in page.replace(f"<code>{who}</code>", "") for who in LISTENERS)
    assert "ann-smith" not in page, "the name of a file may name a person"
    assert report(warehouse.url, NIGHT) == path and Path(path).read_text() == page


def test_rows_in_are_those_of_the_inputs_a_manifest_names(warehouse: Warehouse) -> None:
    evaluate(warehouse.url, NIGHT, 2, settings=SETTINGS)  # type: ignore[arg-type]
    night = gather(warehouse, NIGHT)
    assert [j.name for j in night.jobs] == ["evaluate"]
    measured = next(t for t in night.tables if t.table == "evaluation")
    manifest = warehouse.need("evaluation", NIGHT)
    assert measured.rows == manifest.rows
    assert measured.rows_in == sum(m.rows for m in behind(warehouse, NIGHT) if m.table != "evaluation")
    assert night.statuses == {"discover-weekly": {"personal": len(LISTENERS)}}


def test_jobs_are_told_once_and_only_those_behind_the_night(warehouse: Warehouse) -> None:
    evaluate(warehouse.url, NIGHT, 2, settings=SETTINGS)  # type: ignore[arg-type]
    other = {"job": "old", "seconds": 1.0, "date": "2025-01-01", "at": 1.0, "counters": {}, "peak_mb": 1.0}
    warehouse.store.write("runs/nobody-1.json", json.dumps(other).encode())
    assert [j.name for j in gather(warehouse, NIGHT).jobs] == ["evaluate"]


def test_a_date_without_a_night_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(UserError, match="no data for"):
        report(warehouse.url, NIGHT + timedelta(1))


def test_a_night_that_was_not_evaluated_has_a_report(warehouse: Warehouse) -> None:
    page = Path(report(warehouse.url, NIGHT)).read_text()
    parsed(page)
    assert "Rows in and out" in page and "NDCG@50" not in page
    assert page.count('<h2 id="quality">') == 1 and f"nightshelf evaluate --date {NIGHT}" in page
    evaluate(warehouse.url, NIGHT, 2, settings=SETTINGS)  # type: ignore[arg-type]
    page = Path(report(warehouse.url, NIGHT)).read_text()
    assert page.count('<h2 id="quality">') == 1 and "Not measured" not in page
