"""Estimates of open slots and an experiment's readout, from shelves to table `evaluation` and the report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.cli.report import report
from pipelines.evaluate import evaluate
from tests.pipelines.tiny import LISTENERS, NIGHT, SETTINGS, TRACKS, build, frame, put, shelves_of
from transforms.tables.warehouse import Warehouse

FIRST = NIGHT + timedelta(1)


def item(n: int) -> str:
    """What Discover's one slot drew for listener n; they hear it on the first day after the night."""
    return TRACKS[(n + NIGHT.day + 3) % len(TRACKS)]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Each listener was shown one drawn track of two; the last three listeners never saw it."""
    made = build(tmp_path)
    draws, shown = [], []
    for n, who in enumerate(LISTENERS):
        other = TRACKS[(n + NIGHT.day + 15) % len(TRACKS)]
        pool = [{"track_id": t, "score": s, "probability": 0.5} for t, s in ((item(n), 2.0), (other, 1.0))]
        key = {"listener_id": who, "shelf_id": "discover-weekly", "track_id": item(n)}
        draws.append({**key, "slot": 1, "propensity": 0.5, "pool": pool, "policy": "p", "seed": 1})
        at = datetime(FIRST.year, FIRST.month, FIRST.day, 8, tzinfo=UTC)
        if n < 9:
            shown.append(
                {**key, "surface": "home", "version": "v", "position": 1, "item_or_spare": "item", "shown_at": at}
            )
    put(made, "draws", NIGHT, frame("draws", draws))
    put(made, "impressions", FIRST, frame("impressions", shown))
    arms = pl.Series("arm", ["control" if n % 2 else "bold" for n in range(len(LISTENERS))])
    dealt = shelves_of().with_columns(arm=arms, experiment=pl.lit("e1"))
    made.store.delete(f"shelves/date={NIGHT}")
    put(made, "shelves", NIGHT, dealt)
    return made


def test_open_slots_and_arms_stand_in_the_evaluation_and_the_report(warehouse: Warehouse) -> None:
    evaluate(warehouse.url, NIGHT, 3, settings=SETTINGS)  # type: ignore[arg-type]
    got = warehouse.read("evaluation", NIGHT)

    def row(**named: object) -> dict:
        return got.filter(pl.col("versus").is_null(), **named).row(0, named=True)  # type: ignore[arg-type]

    mean = row(model="policy:logged", segment="shelf discover-weekly", metric="mean listened")
    assert (mean["value"], mean["n"], mean["target"]) == (1.0, 9, "shown"), "nine of twelve slots were shown, all heard"
    assert row(model="policy:best", segment="all", metric="snips listened")["value"] == 1.0
    assert row(model="policy:best", segment="all", metric="ips listened")["value"] == 2.0, "weights are 1 / 0.5"
    assert row(model="policy:uniform", segment="all", metric="ips listened")["value"] == 1.0
    assert row(model="policy:logged", segment="all", metric="mean attributed")["value"] == 0.0
    # three tracks a day, moving on by one: five recordings over three days, each day counts its three
    assert row(model="arm:bold", metric="plays") | {"low": 0, "high": 0} == {
        **row(model="arm:bold", metric="plays"),
        **{"value": 9.0, "low": 0, "high": 0, "n": 6},
    }
    assert row(model="arm:control", metric="placed_heard")["value"] == 1.0
    difference = got.filter(model="arm:bold", metric="active_days", versus="arm:control")
    assert difference["value"].to_list() == [0.0] and difference["segment"].to_list() == ["e1"]
    assert not got.filter(target="experiment", metric="saved").height, "no feedback: saves cannot be known"
    page = Path(report(warehouse.url, NIGHT)).read_text()
    assert "What open slots earned" in page and "policy:" not in page and "The experiment e1" in page


def test_without_impressions_one_line_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bare = build(tmp_path)
    evaluate(bare.url, NIGHT, 3, settings=SETTINGS)  # type: ignore[arg-type]
    assert set(bare.read("evaluation", NIGHT)["target"]) == {"unheard", "repeat", "all"}
    assert "no impressions of the days looked at" in capsys.readouterr().err
    assert "no impressions of the days looked at" in Path(report(bare.url, NIGHT)).read_text()


def test_impressions_of_other_shelves_are_no_evidence(warehouse: Warehouse) -> None:
    put(warehouse, "impressions", FIRST + timedelta(1), frame("impressions", []))
    other = warehouse.read("impressions", FIRST).with_columns(version=pl.lit("another night's"))
    warehouse.store.delete(f"impressions/date={FIRST}")
    put(warehouse, "impressions", FIRST, other)
    evaluate(warehouse.url, NIGHT, 3, settings=SETTINGS)  # type: ignore[arg-type]
    assert not warehouse.read("evaluation", NIGHT).filter(target="shown").height
    assert "none of them shows a slot" in Path(report(warehouse.url, NIGHT)).read_text()
