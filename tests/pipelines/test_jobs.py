"""What a job's file looks like: short, and with one reader of the warehouse that cannot see past the job's date."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest

from tests.pipelines.tiny import NIGHT, build
from transforms.tables.as_of import LookAhead, as_of

PIPELINES = Path(__file__).parent.parent.parent / "pipelines"
JOBS = sorted(p for p in PIPELINES.glob("*.py") if p.name != "__init__.py")
READING = {"current", "current_with_token", "need", "dates", "begun", "newest", "read", "read_newest", "store"}
# what has no date to be bounded by, or starts jobs and reads nothing for a table
UNBOUNDED = {
    "ingest": "a log is filed under its own dates",
    "forget": "whoever is forgotten is looked for on every date",
    "nightly": "says which nights are missing; the jobs it starts read the tables",
    "backfill": "goes over nights that are made; the jobs it starts read the tables",
    "live": "starts ingests and nights; the jobs it starts read the tables",
    "simulate": "reads no warehouse",
}


@pytest.mark.parametrize("path", JOBS, ids=lambda p: p.stem)
def test_a_job_reads_like_a_table_of_contents(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 100


def names(expression: ast.expr) -> list[str]:
    """`a.b.c` as its words, outermost last."""
    out: list[str] = []
    while isinstance(expression, ast.Attribute):
        out.append(expression.attr)
        expression = expression.value
    return [*([expression.id] if isinstance(expression, ast.Name) else []), *reversed(out)]


def unbounded(source: str) -> list[str]:
    """Where a module could read the warehouse around its view: the class itself, or a reading through `view.warehouse`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "transforms.tables.warehouse":
            found += [alias.name for alias in node.names if alias.name in ("Warehouse", "standing")]
        if isinstance(node, ast.ImportFrom) and node.module == "transforms.tables.store":
            found.append("store")
        if isinstance(node, ast.Attribute) and node.attr in READING and "warehouse" in names(node)[:-1]:
            found.append(".".join(names(node)))
    return found


@pytest.mark.parametrize("path", [p for p in JOBS if p.stem not in UNBOUNDED], ids=lambda p: p.stem)
def test_a_job_reads_the_warehouse_through_its_view_alone(path: Path) -> None:
    assert unbounded(path.read_text()) == []
    assert "as_of(" in path.read_text()


def test_a_reading_around_the_view_is_seen() -> None:
    """The check above is able to fail."""
    assert unbounded("from transforms.tables.warehouse import Warehouse") == ["Warehouse"]
    assert unbounded("past.warehouse.newest('tracks', day)") == ["past.warehouse.newest"]
    assert unbounded("plan(past.warehouse, 'models', past.need('library'))") == []


def test_a_view_ends_at_its_date_and_says_so(tmp_path: Path) -> None:
    warehouse = build(tmp_path)
    past, later = as_of(warehouse.url, NIGHT), NIGHT + timedelta(1)
    assert warehouse.current("listens", later) is not None
    assert past.dates("listens")[-1] == past.newest("listens").date == past.every("listens")[-1].date == NIGHT  # type: ignore[union-attr]
    assert [m.date for m in past.window("listens", 2)] == [NIGHT - timedelta(1), NIGHT]
    assert past.newest("listens", before=NIGHT).date == NIGHT - timedelta(1)  # type: ignore[union-attr]
    for ask in (past.current, past.need):
        with pytest.raises(LookAhead, match=f"{later} is later than {NIGHT}"):
            ask("listens", later)
    with pytest.raises(LookAhead):
        past.between("listens", NIGHT, later)
    with pytest.raises(LookAhead):
        past.window("listens", 3, until=later)


def test_what_measures_a_night_reads_the_days_after_it_up_to_its_second_bound(tmp_path: Path) -> None:
    warehouse = build(tmp_path)
    after = as_of(warehouse.url, NIGHT).following(NIGHT + timedelta(3))
    assert [m.date for m in after.every("listens")] == [NIGHT + timedelta(n) for n in (1, 2, 3)]
    assert after.days == 3
    assert as_of(warehouse.url, NIGHT).following(NIGHT).every("listens") == []


def test_a_catalog_of_a_later_batch_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    warehouse = build(tmp_path)
    (made,) = warehouse.dates("tracks")
    assert as_of(warehouse.url, made).catalog() == as_of(warehouse.url, made - timedelta(30)).catalog()
