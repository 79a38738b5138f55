"""Poor input has a defined answer in every night: one listen, unknown tracks, a grown vocabulary, no listens, NaN."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.recommender.ranked import ranker_features
from pipelines.runtime.config import Settings
from transforms.common.errors import GateFailed, UserError
from transforms.tables.warehouse import Warehouse

FIRST = date(2026, 1, 1)
FIT = FIRST + timedelta(6)
SILENT = FIT + timedelta(1)  # nobody plays anything on this date
LATER = FIT + timedelta(2)
LONG_AFTER = FIT + timedelta(130)  # beyond every window of popularity, co-listens and sessions
SETTINGS = Settings.model_validate(
    {
        "shards": 1,
        "models": {"als": {"factors": 8, "iterations": 2}, "use_two_tower": False},
        "candidates": {"per_source": 30},
        "bootstrap": {"nights": 1, "days_apart": 2},
        "outcomes": {"horizons": [2]},
        "ranker": {"kind": "linear"},
    }
)
SHELVES = {s.shelf_id for s in SETTINGS.shelves.shelves}


def play(who: str, track: str, day: date, minute: int) -> tuple[str, str, str]:
    at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC) + timedelta(minutes=4 * minute)
    return who, track, at.isoformat()


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Ten listeners for a week; then a silent date; then tracks nobody had played, by a newcomer and one of the ten."""
    folder = tmp_path_factory.mktemp("poor")
    rows = [
        play(f"u{n}", f"t{(3 * n + day * 2 + k) % 40}", FIRST + timedelta(day), k)
        for day in range(7)
        for n in range(10)
        for k in range(6)
    ]
    rows.append(play("once", "t5", FIRST + timedelta(1), 0))
    rows += [play(who, f"new{k}", LATER, k) for who in ("newcomer", "u0") for k in range(5)]
    log = folder / "log.csv"
    pl.DataFrame(rows, schema=["user", "track", "ts"], orient="row").write_csv(log)
    (folder / "mapping.yaml").write_text("columns: {listener_id: user, track_id: track, started_at: ts}\ntime: iso\n")
    url = str(folder / "warehouse")
    ingest(url, "csv", [str(log)], mapping=str(folder / "mapping.yaml"), end_date=LONG_AFTER, settings=SETTINGS)
    night(url, FIT, SETTINGS)
    with pytest.raises(GateFailed, match="newest listens"):
        night(url, SILENT, SETTINGS, fit_date=FIT)  # a date without listens is more often a lost delivery
    night(url, SILENT, SETTINGS, fit_date=FIT, accept_gates=True)
    night(url, LATER, SETTINGS, fit_date=FIT, accept_gates=True)
    night(url, LONG_AFTER, SETTINGS, accept_gates=True)
    return Warehouse(url)


def items(shelves: pl.DataFrame, who: str, shelf: str) -> list[str]:
    rows = shelves.filter(listener_id=who, shelf_id=shelf).explode("items").drop_nulls("items")
    return rows["items"].struct.field("track_id").to_list()


def whole(shelves: pl.DataFrame, listeners: int) -> None:
    """Everyone has every shelf, and one that is not personal says why."""
    assert shelves.height == listeners * len(SHELVES) and set(shelves["shelf_id"]) == SHELVES
    assert shelves["listener_id"].n_unique() == listeners
    assert shelves.filter((pl.col("status") != "personal") & pl.col("status_reason").is_null()).is_empty()


def test_a_listener_with_one_listen_has_every_shelf_and_something_new(warehouse: Warehouse) -> None:
    shelves = warehouse.read("shelves", FIT)
    whole(shelves, 11)
    found = items(shelves, "once", "discover-weekly")
    assert found and "t5" not in found
    scores = warehouse.read("candidates", FIT).filter(listener_id="once")["ranker_score"]
    assert scores.len() and scores.is_finite().all()


def test_a_date_without_listens_has_its_night_once_somebody_says_so(warehouse: Warehouse) -> None:
    assert warehouse.current("listens", SILENT) is None or not warehouse.need("listens", SILENT).rows
    shelves = warehouse.read("shelves", SILENT)
    whole(shelves, 11)
    assert shelves.filter(pl.col("status") == "personal")["listener_id"].n_unique() == 11


def test_a_vocabulary_that_grew_since_the_fit_is_history_and_no_candidate(warehouse: Warehouse) -> None:
    shelves, candidates = warehouse.read("shelves", LATER), warehouse.read("candidates", LATER)
    whole(shelves, 12)
    assert not candidates["track_id"].str.starts_with("new").any(), "the models of the fit date know no such track"
    assert candidates["ranker_score"].is_finite().all()
    # who has played nothing but unknown tracks gets what is popular, and not an error
    newcomer = shelves.filter(listener_id="newcomer", shelf_id="popular-now")
    assert newcomer["items"].list.len().item() > 0
    assert items(shelves, "newcomer", "discover-weekly")
    assert items(shelves, "u0", "discover-weekly"), "the rest of a history still speaks"


def test_a_night_long_after_the_last_listen_still_has_its_shelves(warehouse: Warehouse) -> None:
    """Every window is empty: no popularity, no sessions, no co-listens. Histories and iALS are all there is."""
    shelves = warehouse.read("shelves", LONG_AFTER)
    whole(shelves, 12)
    assert set(shelves.filter(shelf_id="popular-now")["status"]) == {"empty"}
    assert shelves.filter(shelf_id="discover-weekly")["items"].list.len().max() > 0
    assert warehouse.read("candidates", LONG_AFTER)["ranker_score"].is_finite().all()


def test_a_night_before_the_first_listen_is_refused_before_anything_runs(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no listens up to"):
        night(warehouse.url, FIRST - timedelta(1), SETTINGS)
    with pytest.raises(UserError, match="nightshelf ingest"):
        night(str(tmp_path / "nothing"), FIT, SETTINGS)


def test_a_feature_of_a_source_that_could_not_be_fitted_counts_as_usual() -> None:
    """The long silence above leaves no sequence model, while the ranker learned with one."""
    frame = pl.DataFrame({"f_a": [1.0, 2.0], "f_b": [3.0, 4.0]})
    matrix = ranker_features(frame, ["f_b", "f_r_sequence", "f_a"])
    assert matrix[:, [0, 2]].tolist() == [[3.0, 1.0], [4.0, 2.0]] and np.isnan(matrix[:, 1]).all()
    with pytest.raises(UserError, match="found 1 of them"):
        ranker_features(frame, ["f_a", "f_x", "f_y"])
