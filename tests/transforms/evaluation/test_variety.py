"""Relevance against variety of a stored night, worked by hand: two listeners, six unheard tracks of two sounds and two tags."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.pipelines.test_show import store
from transforms.evaluation.variety import HORIZON, ReassembledNight, curve, measured_night, reassembled_shelves
from transforms.shelves.defaults import DEFAULT
from transforms.shelves.shelf import ShelfSettings, VarietySettings
from transforms.tables.runs import Written, finish, plan, with_extra
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

NIGHT = date(2026, 1, 10)
ROCK, JAZZ = [1.0, 0.0], [0.0, 1.0]
SOUND = {"r1": ROCK, "r2": ROCK, "r3": ROCK, "j1": JAZZ, "j2": JAZZ, "j3": JAZZ, "old": JAZZ}
BLEND = {"r1": 6.0, "r2": 5.0, "r3": 4.0, "j1": 3.0, "j2": 2.0, "j3": 1.0}
SHELF = ShelfSettings(shelf_id="new", title="New", size=2, spares=0, open_slots=0, pool="unheard")


def complete(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    schema = TABLES[table].polars
    rest = [pl.lit(None, dtype=t).alias(c) for c, t in schema.items() if c not in frame.columns]
    return frame.with_columns(rest).select(
        *(pl.col(c).cast(t) for c, t in schema.items()), *(c for c in frame.columns if c not in schema)
    )


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """ann and bob were given the same; ann listened to r1 and j1 in the week after, bob to nothing."""
    made = Warehouse(str(tmp_path_factory.mktemp("variety")))
    rows = [(who, t, s) for who in ("ann", "bob") for t, s in BLEND.items()]
    candidates = pl.DataFrame(rows, schema=["listener_id", "track_id", "f_blend"], orient="row")
    candidates = candidates.with_columns(heard_before=pl.lit(False), stage=pl.lit("candidate"), inclusion=pl.lit(1.0))
    store(
        made, "candidates", NIGHT, complete("candidates", candidates.with_columns(pl.col("f_blend").cast(pl.Float32)))
    )
    tracks = pl.DataFrame(
        {
            "track_id": list(SOUND),
            "recording_id": list(SOUND),
            "artist_ids": [[f"a-{t}"] for t in SOUND],
            "tags": [["rock"] if v is ROCK else ["jazz"] for v in SOUND.values()],
        }
    )
    store(made, "tracks", NIGHT, complete("tracks", tracks), shards=1)
    vectors = pl.DataFrame({"track_id": list(SOUND), "vector": list(SOUND.values())})
    vectors = vectors.with_columns(model=pl.lit("als"), model_version=pl.lit("m"))
    commit(made, "track_embeddings", NIGHT, complete("track_embeddings", vectors))
    heard = pl.DataFrame({"listener_id": ["ann", "bob"], "track_id": "old", "plays": 5, "heard": 5})
    at = [datetime(2026, 1, 9)] * 2
    heard = heard.with_columns(
        completions=pl.lit(5),
        skips=pl.lit(0),
        saved=pl.lit(False),
        latest=pl.concat_list(pl.lit(at[0])),
        first_played_at=pl.Series(at),
        last_played_at=pl.Series(at),
    )
    commit(made, "library", NIGHT, complete("library", heard))
    outcomes = pl.DataFrame(
        {
            "night": NIGHT,
            "listener_id": ["ann", "ann", "bob"],
            "track_id": ["r1", "j1", "r1"],
            "horizon": HORIZON,
            "stage": "candidate",
            "inclusion": 1.0,
            "listened": [True, True, False],
            "heard_before": False,
        }
    )
    day = NIGHT + timedelta(HORIZON)
    commit(made, "outcomes", day, complete("outcomes", outcomes), {"horizons": [HORIZON]})
    return made


def commit(made: Warehouse, table: str, day: date, rows: pl.DataFrame, settings: dict[str, Any] | None = None) -> None:
    run = plan(made, table, day, shards=1, inputs={}, settings=settings or {}, step_version="1")
    assert run is not None
    run = with_extra(run, chain=[{"date": day.isoformat(), "run_id": run.run_id}])  # a library is its base alone
    finish(run, [Written(table, day.isoformat(), write_frame(run, 0, rows))])


def test_the_newest_night_whose_week_is_known_is_measured(warehouse: Warehouse) -> None:
    assert measured_night(warehouse, NIGHT + timedelta(HORIZON)) == NIGHT
    assert measured_night(warehouse, NIGHT + timedelta(HORIZON - 1)) is None, "its week is not over"


def test_a_curve_by_hand(warehouse: Warehouse) -> None:
    """Without variety both see r1, r2: alike, rock alone. With much of it r1, j1: at right angles, one of each."""
    shelf = SHELF.model_copy(update={"variety": VarietySettings(mmr=1.0)})
    plain, much = curve(ReassembledNight(warehouse, NIGHT, 10), shelf, (0.0, 2.0))
    one_hit = 1.0 / (1.0 + 1.0 / np.log2(3))  # ann listened to two tracks; r1 stands first, r2 is no hit
    assert plain.ndcg == pytest.approx(one_hit) and plain.paid == 0
    assert plain.distance == pytest.approx(0.0) and much.distance == pytest.approx(1.0)
    assert much.ndcg == pytest.approx(1.0) and much.paid == pytest.approx(1 - 1 / one_hit), "here variety earns"
    assert plain.coverage == much.coverage == pytest.approx(2 / 6)
    counts = np.array([0, 0, 0, 0, 2, 2])
    by_hand = np.abs(counts[:, None] - counts[None, :]).sum() / (2 * len(counts) ** 2 * counts.mean())
    assert plain.gini == pytest.approx(by_hand)
    assert plain.divergence > much.divergence, "what they play is jazz"


def test_where_a_shelf_asks_for_no_variety_likeness_is_tried(warehouse: Warehouse) -> None:
    points = curve(ReassembledNight(warehouse, NIGHT, 1), SHELF)
    assert [p.setting for p in points] == [{"mmr": 0.0}, {"mmr": 0.1}, {"mmr": 0.2}, {"mmr": 0.4}]


def test_every_shelf_of_ones_own_is_told() -> None:
    assert [shelf.shelf_id for shelf in DEFAULT if shelf not in reassembled_shelves(DEFAULT)] == ["popular-now"]


def test_a_shelf_of_heard_tracks_is_told_by_what_was_heard_again(warehouse: Warehouse, tmp_path: Path) -> None:
    """ann heard a thrice and b twice, and heard b again after the night: in the order of plays it stands second."""
    made = Warehouse(shutil.copytree(warehouse.url, tmp_path / "w").as_posix())
    rows = pl.DataFrame(
        {
            "listener_id": "ann",
            "track_id": ["r1", "r2", "j1"],
            "f_blend": [1.0, 1.0, 9.0],
            "heard_before": [True, True, False],
            "f_o_plays": np.log1p([3.0, 2.0, 0.0]),
            "stage": "candidate",
            "inclusion": 1.0,
        },
        schema_overrides={"f_blend": pl.Float32, "f_o_plays": pl.Float32},
    )
    commit(made, "candidates", NIGHT - timedelta(1), complete("candidates", rows))
    for table in ("tracks", "track_embeddings", "library"):
        commit(made, table, NIGHT - timedelta(1), made.read(table, NIGHT))
    label = {
        "night": NIGHT - timedelta(1),
        "horizon": HORIZON,
        "stage": "candidate",
        "inclusion": 1.0,
        "listened": True,
    }
    labels = pl.DataFrame({"listener_id": ["ann", "ann"], "track_id": ["r2", "j1"], "heard_before": [True, False]})
    labels = labels.with_columns(pl.lit(value).alias(name) for name, value in label.items())
    day = NIGHT - timedelta(1) + timedelta(HORIZON)
    commit(made, "outcomes", day, complete("outcomes", labels), {"horizons": [HORIZON]})
    shelf = SHELF.model_copy(update={"pool": "heard", "order": {"plays": 1.0}, "rules": {}})
    night = ReassembledNight(made, NIGHT - timedelta(1), 10, [shelf])
    known = dict(night.candidates.select("track_id", "plays").iter_rows())
    assert known == pytest.approx({"r1": 3.0, "r2": 2.0, "j1": None})
    found, _ = night.measure(shelf, {})
    assert found["ndcg"] == pytest.approx(1 / np.log2(3)) and found["coverage"] == 1.0
