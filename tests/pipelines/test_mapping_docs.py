"""docs/mapping.md: made from the code, and every example in it can be ingested as it stands."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.ingest import ingest
from transforms.formats import docs
from transforms.formats.mapping import KNOWN, Mapping
from transforms.tables import docs as tables_docs
from transforms.tables.warehouse import Warehouse

DOCS = Path(__file__).parents[2] / "docs"


def test_the_pages_are_those_that_make_docs_writes() -> None:
    assert (DOCS / "mapping.md").read_text() == docs.page(), "run make docs"
    assert (DOCS / "tables.md").read_text() == tables_docs.page(), "run make docs"


def test_the_page_tells_of_every_key_and_every_column() -> None:
    page = docs.page()
    assert not [name for name in (*Mapping.model_fields, *KNOWN) if f"| `{name}` |" not in page]


@pytest.mark.parametrize("example", docs.EXAMPLES, ids=lambda e: e.title)
def test_an_example_is_ingested_as_it_stands(tmp_path: Path, example: docs.Example) -> None:
    assert docs.indented(example.log) in docs.page() and example.mapping in docs.page()
    (tmp_path / "log").write_text(example.log)
    (tmp_path / "m.yaml").write_text(example.mapping)
    end = date.fromisoformat(example.end_date)
    mapping = str(tmp_path / "m.yaml")
    done = ingest(str(tmp_path / "w"), "csv", [str(tmp_path / "log")], mapping=mapping, end_date=end)
    lines = len(example.log.splitlines()) - ("header: false" not in example.mapping)
    assert (done.rows, done.listens) == (lines, lines)
    started = Warehouse(str(tmp_path / "w")).read("listens", end)["started_at"]
    assert f"{started.min():%F %H:%M}" == "2026-01-05 10:00"


def test_the_example_of_a_catalog_is_read(tmp_path: Path) -> None:
    (tmp_path / "plays.csv").write_text("listener_id,track_id,started_at\nann,t1,2026-01-05T10:00:00Z\n")
    (tmp_path / "catalog.csv").write_text(docs.CATALOG)
    log, catalog = str(tmp_path / "plays.csv"), str(tmp_path / "catalog.csv")
    done = ingest(str(tmp_path / "w"), "csv", [log], tracks=catalog, end_date=date(2026, 1, 5))
    assert done.tables["tracks"]["listens"] == 2 and not done.tables["tracks"]["rejects"]
    tracks = Warehouse(str(tmp_path / "w")).read("tracks", date(2026, 1, 5)).filter(pl.col("track_id") == "t2")
    assert tracks["artist_ids"].to_list() == [["queen", "david-bowie"]] and tracks["tags"].to_list() == [
        ["rock", "pop"]
    ]
    assert tracks["released_on"].to_list() == [date(1982, 5, 21)]
