"""The gallery of a stored night: written beside its report, of those who have shelves, and gone when somebody is forgotten."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.cli.report import report
from tests.pipelines.tiny import LISTENERS, NIGHT, TRACKS, build, frame, put, shelves_of
from transforms.privacy.forget_texts import clear_texts
from transforms.privacy.traces import Traces
from transforms.tables.warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return build(tmp_path)


def of(folder: Path, name: str) -> list | dict:
    text = (folder / name).read_text()
    body = text[text.index("(") + 1 : text.rindex(")")]
    return json.loads(body.partition(",")[2] if name.startswith("part") else body)


def test_everybody_who_has_shelves_is_in_it_beside_the_night_before(warehouse: Warehouse) -> None:
    put(warehouse, "shelves", NIGHT - timedelta(2), shelves_of())
    people = [{"listener_id": who, "market": "SE"} for who in LISTENERS[:6]]
    put(warehouse, "listeners", NIGHT - timedelta(9), frame("listeners", people))
    row = {
        "listener_id": LISTENERS[0],
        "shelf_id": "discover-weekly",
        "rule": "market",
        "removed": 3,
        "tracks": [TRACKS[1]],
    }
    put(warehouse, "removed", NIGHT, frame("removed", [row]))
    page = Path(report(warehouse.url, NIGHT))
    assert 'href="gallery/index.html"' in page.read_text()
    folder = page.parent / "gallery"
    listeners, tracks = of(folder, "listeners.js"), of(folder, "tracks.js")
    assert sorted(row[0] for row in listeners["rows"]) == sorted(LISTENERS)  # type: ignore[call-overload]
    number = next(n for n, row in enumerate(listeners["rows"]) if row[0] == LISTENERS[0])  # type: ignore[call-overload]
    _, _, market, played, personal, part = listeners["rows"][number]  # type: ignore[call-overload]
    assert (market, personal, part) == ("SE", 1, 0) and played > 0
    (shelf,) = of(folder, "part-0000.js")[str(number)]  # type: ignore[call-overload]
    ((track, *_),) = shelf[6]
    assert tracks[track][0] == TRACKS[(NIGHT.day + 3) % len(TRACKS)] and shelf[7] == [track]
    assert [count for _, count, _ in shelf[8]] == [3]
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    report(warehouse.url, NIGHT)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert not any(who in name for who in LISTENERS for name in before)


def test_of_a_large_night_it_shows_a_sample_and_none_where_it_is_not_asked_for(warehouse: Warehouse) -> None:
    folder = Path(report(warehouse.url, NIGHT, gallery=5)).parent / "gallery"
    assert len(of(folder, "listeners.js")["rows"]) == 5  # type: ignore[call-overload]
    assert "5 of 12 listeners" in (folder / "index.html").read_text()
    page = Path(report(warehouse.url, NIGHT, gallery=0))
    assert "gallery/index.html" not in page.read_text()


def test_forgetting_anybody_takes_the_galleries_along_also_of_those_with_short_ids(warehouse: Warehouse) -> None:
    names = {who: f"{n}" for n, who in enumerate(LISTENERS)}
    short = shelves_of().with_columns(pl.col("listener_id").replace(names))
    put(warehouse, "shelves", NIGHT + timedelta(1), short)
    pages = [Path(report(warehouse.url, day)) for day in (NIGHT, NIGHT + timedelta(1))]
    assert all((page.parent / "gallery" / "listeners.js").exists() for page in pages)
    assert clear_texts(warehouse, Traces(["7"])) > 2
    assert not any(page.parent.exists() for page in pages)
