"""What `nightshelf show` prints of a stored night."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from rich.console import Console

from models.rankers.ranker import Inputs, Weights
from models.registry import write_entry
from pipelines.cli.main import cli
from pipelines.cli.show import Explained, found_by, moved_by, of_listener, ranker_contributions, show
from pipelines.recommender.artefacts import store_folder
from tests.transforms.shelves.worlds import MONDAY, TUESDAY, candidate, frame, make, one_shelf, popular, roster
from transforms.common.errors import UserError
from transforms.shelves.settings import NightContext
from transforms.tables.chunks import split
from transforms.tables.manifest import Manifest
from transforms.tables.runs import Written, finish, plan
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

PEOPLE = ("ann", "bob", "cid", "dora")
WEEKLY = one_shelf(size=2, spares=1, refresh="monday")
CANDIDATES = frame(
    *(candidate(track, score, listener_id=who) for who in PEOPLE[:3] for track, score in (("a", 0.9), ("b", 0.5)))
).with_columns(reason_ref=pl.lit("h"))


def store(warehouse: Warehouse, table: str, day: dt.date, rows: pl.DataFrame, shards: int = 2) -> None:
    """Commit a table."""
    run = plan(warehouse, table, day, shards=shards, inputs={}, settings={}, step_version="1")
    assert run is not None
    parts = split(rows, shards) if "listener_id" in rows.columns else [(0, rows)]
    finish(run, [Written(table, day.isoformat(), write_frame(run, shard, part)) for shard, part in parts])


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Monday and Tuesday for four people, the last of them new."""
    warehouse = Warehouse(str(tmp_path_factory.mktemp("warehouse")))
    inputs = {"settings": WEEKLY, "roster": roster(*PEOPLE), "popular": popular("p", "q")}
    monday = make(CANDIDATES, NightContext(MONDAY, "v1"), **inputs)
    tuesday = make(CANDIDATES, NightContext(TUESDAY, "v2"), previous=monday.shelves, **inputs)
    store(warehouse, "shelves", MONDAY, monday.shelves)
    store(warehouse, "shelves", TUESDAY, tuesday.shelves)
    considered = CANDIDATES.select(
        "listener_id",
        "track_id",
        "heard_before",
        "ranker_score",
        stage=pl.lit("placed"),
        inclusion=pl.lit(1.0, pl.Float32),
        rank_als=pl.when(pl.col("track_id") == "a").then(pl.lit(3, pl.Int32)),
        score_als=pl.lit(0.25, pl.Float32),
        f_z_als=pl.lit(1.5, pl.Float32),
        f_z_popular=pl.lit(-0.5, pl.Float32),
        f_other=pl.lit(9.0, pl.Float32),
    )
    store(warehouse, "candidates", MONDAY, considered)
    catalog = pl.DataFrame(
        {"track_id": ["a", "h"], "title": ["Roads [Live]", "Teardrop"], "artist_ids": [["nina"], ["tom"]]}
    ).with_columns(recording_id=pl.lit("r"))
    store(warehouse, "tracks", MONDAY, catalog, shards=1)
    return warehouse.url


def printed(warehouse: str, listener: str, **options: object) -> str:
    out = io.StringIO()
    show(warehouse, listener, console=Console(file=out, width=160), **options)  # type: ignore[arg-type]
    return out.getvalue()


def test_the_newest_night_with_titles_and_reasons(warehouse: str) -> None:
    text = printed(warehouse, "ann")
    assert "Discover (home 1, personal, chosen 2024-05-06, 0 spares)" in text
    assert "Roads [Live] · nina" in text
    assert "because you played Teardrop · tom" in text
    lines = [line.split() for line in text.splitlines()]
    assert [line[:2] for line in lines if line and line[0] in "12"] == [["1", "Roads"], ["2", "b"]]
    assert "found by" not in text


def test_why_tells_sources_and_what_moved_the_score_of_the_night_that_chose_it(warehouse: str) -> None:
    """Tuesday's shelf is carried, so Monday's candidates explain it."""
    text = printed(warehouse, "ann", why=True)
    assert "found by als #3 (0.25); moved by z_als +1.50, z_popular -0.50" in text
    assert "other" not in text


def test_the_nights_ranker_tells_what_moved_the_score(tmp_path: Path) -> None:
    """A weight of 2 on z_als 1.5 moved it by 3, a source that was not there by nothing; one trained again explains nothing."""
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    inputs = Inputs(("f_z_als", "f_r_sequence"), np.float32([0.0, 0.4]), np.float32([1.0, 1.0]))
    ranker = Weights("linear", inputs, {}, np.float32([2.0, 5.0]))
    ranker.save(tmp_path / "ranker")
    run = plan(warehouse, "rankers", MONDAY, shards=1, inputs={}, settings={}, step_version="1")
    assert run is not None
    about = {"version": run.version, "fit_date": MONDAY, "inputs": {}, "settings": {}, "seed": 0, "metrics": {}}
    write_entry(tmp_path / "ranker", name="ranker", **about)
    entries = store_folder(run, tmp_path / "ranker")
    finish(run, [Written("rankers", MONDAY.isoformat(), entry) for entry in entries])
    rows = pl.DataFrame({"f_z_als": [1.5], "f_other": [9.0]})
    made = Manifest(
        table="candidates", date=TUESDAY, version="c", run_id="c-1", schema_version=1, shards=1, rows=1, files=(),
        inputs={f"rankers@{MONDAY}": run.version},
    )  # fmt: skip
    assert ranker_contributions(warehouse, made)(rows).to_dicts() == [{"f_z_als": 3.0, "f_r_sequence": 0.0}]
    moved = made.model_copy(update={"inputs": {f"rankers@{MONDAY}": "another"}})
    assert ranker_contributions(warehouse, moved)(rows).to_dicts() == [{"f_z_als": 1.5}]


def test_contributions_may_be_handed_in(warehouse: str) -> None:
    text = printed(
        warehouse,
        "ann",
        why=True,
        contributions=lambda rows: (
            rows.select(f_x=pl.lit(2.0)).head(1).join(rows.select("track_id"), how="cross").select("f_x")
        ),
    )
    assert "moved by x +2.00" in text


def test_a_fallback_says_so(warehouse: str) -> None:
    text = printed(warehouse, "dora", why=True)
    assert "fallback" in text and "no listening history yet" in text and "popular in DE" in text


def test_an_earlier_night(warehouse: str) -> None:
    assert "chosen 2024-05-06" in printed(warehouse, "dora", day=MONDAY)
    assert "chosen 2024-05-07" in printed(warehouse, "dora", day=TUESDAY)


def test_only_the_listeners_rows_are_read(warehouse: str) -> None:
    opened = Warehouse(warehouse)
    for person in PEOPLE:
        assert of_listener(opened, opened.need("shelves", MONDAY), person)["listener_id"].to_list() == [person]


@pytest.mark.parametrize(
    ("listener", "options", "message"),
    [
        ("nobody", {}, "check the id"),
        ("ann", {"shelf": "release-radar"}, "expected one of the shelves discover, found 'release-radar'"),
        ("ann", {"day": dt.date(2020, 1, 1)}, "no data for 2020-01-01"),
    ],
)
def test_what_is_not_there_is_a_user_error(warehouse: str, listener: str, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        printed(warehouse, listener, **options)
    assert "nobody" not in str(raised.value)


def test_a_warehouse_without_shelves_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nightshelf run"):
        printed(str(tmp_path), "ann")


def test_sources_and_features() -> None:
    assert found_by({"rank_als": 3, "rank_x": None, "rank_co": 1, "score_co": 2.0}) == {
        "co": (1, 2.0),
        "als": (3, None),
    }
    assert found_by({"score_als": 0.1}) == {}
    assert moved_by({"f_a": 0.001, "f_b": -1.0, "f_c": 0.5}) == {"b": -1.0, "c": 0.5}
    assert moved_by({f"f_{i}": float(i) for i in range(1, 9)}, most=2) == {"8": 8.0, "7": 7.0}
    assert (
        Explained({"co": (1, 2.0), "als": (3, None)}, {"b": -1.0}).words
        == "found by co #1 (2), als #3; moved by b -1.00"
    )


def test_why_ends_with_what_its_columns_and_features_mean(warehouse: str) -> None:
    text = printed(warehouse, "ann", why=True)
    explained = text[text.rindex("score: ") :]
    for word in ("score: ", "why: ", "found by: ", "moved by: ", "z_X: "):
        assert word in explained
    assert "t_X: " not in explained, "only what occurs"
    assert "found by: " not in printed(warehouse, "ann")


def test_json_is_a_shelf_a_line_with_sources_and_features_where_asked_for(warehouse: str) -> None:
    def lines(*options: str) -> list[dict]:
        done = CliRunner().invoke(cli, ["show", "ann", "--json", *options, "--warehouse", warehouse])
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.output.splitlines()]

    (shelf,) = lines("--why", "--shelf", "discover")
    assert shelf["run_date"] == "2024-05-07" and shelf["items"][0]["track_id"] == "a"
    assert shelf["items"][0]["found_by"] == {"als": [3, 0.25]}
    assert shelf["items"][0]["moved_by"] == {"z_als": 1.5, "z_popular": -0.5}
    assert "found_by" not in lines()[0]["items"][0]
