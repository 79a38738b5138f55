"""Home's order through two nights: what was shown and played from after the first orders the second."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.runtime.config import Settings
from transforms.common.typed_names import PLAYS, LooksAt
from transforms.tables.warehouse import Warehouse

FIRST = date(2026, 1, 1)
BEFORE, AFTER = FIRST + timedelta(6), FIRST + timedelta(7)
SETTINGS = Settings.model_validate(
    {
        "shards": 2,
        "models": {"als": {"factors": 8, "iterations": 2}, "use_two_tower": False, "use_sequence": False},
        "candidates": {"per_source": 60},
        "bootstrap": {"nights": 1, "days_apart": 2},
        "outcomes": {"horizons": [1]},
        "ranker": {"kind": "blend"},
        "shelves": {"home": {"least_looks": 1, "shared": 2.0, "epsilon": 0.0}, "home_swap": 0.0},
    }
)
LISTENERS = [f"u{n}" for n in range(16)]
LOVED = "popular-now"


def plays(day: int, shelf: str | None = None) -> list[tuple[str, str, str, int, str | None]]:
    start = datetime(2026, 1, 1, 9, tzinfo=UTC) + timedelta(day)
    return [
        (who, f"t{(7 * n + 5 * day + 3 * k) % 40}", (start + timedelta(minutes=4 * k)).isoformat(), 200_000, shelf)
        for n, who in enumerate(LISTENERS)
        for k in range(8)
    ]


def write(path: Path, rows: list[tuple[str, str, str, int, str | None]]) -> str:
    names = ["listener_id", "track_id", "started_at", "ms_played", "shelf_id"]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(path)
    return str(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A night; a day on which everybody is shown all of Home and plays from `LOVED`; the next night."""
    folder = tmp_path_factory.mktemp("home")
    url = str(folder / "w")
    first = write(folder / "first.csv", [row for day in range(7) for row in plays(day)])
    ingest(url, "csv", [first], end_date=BEFORE, settings=SETTINGS)
    night(url, BEFORE, SETTINGS)
    warehouse = Warehouse(url)
    home = warehouse.read("shelves", BEFORE).filter((pl.col("surface") == "home") & (pl.col("status") != "empty"))
    at = datetime(2026, 1, 8, 8, tzinfo=UTC)
    shown = (
        home.select("listener_id", "surface", "shelf_id", "version", "items")
        .explode("items")
        .with_columns(pl.col("items").struct.field("track_id", "position"), item_or_spare=pl.lit("item"))
        .with_columns(shown_at=pl.lit(at))
        .drop("items")
    )
    shown.write_parquet(folder / "shown.parquet")
    again = write(folder / "again.csv", plays(7, LOVED))
    ingest(url, "csv", [again], end_date=AFTER, settings=SETTINGS, impressions=str(folder / "shown.parquet"))
    night(url, AFTER, SETTINGS)
    return warehouse


def test_looks_are_noted_by_listener_and_counted_in_the_manifest(made: Warehouse) -> None:
    rows = made.read("looks", AFTER)
    assert set(rows["night"]) == {BEFORE} and rows["listener_id"].n_unique() == len(LISTENERS)
    before = made.read("shelves", BEFORE).filter(shelf_id=LOVED).select("listener_id", at="home_position")
    own = rows.join(before, on="listener_id")
    assert (own["position"] <= own["at"]).all(), "nobody looked below what they played from"
    assert own.filter("played")["shelf_id"].unique().to_list() == [LOVED]
    counts = LooksAt.among(made.need("looks", AFTER).extra)
    assert sum(n for of, n in counts.items() if of.what == PLAYS) == rows["played"].sum() == len(LISTENERS)
    assert sum(n for of, n in counts.items() if of.what != PLAYS) == rows.height


def test_the_next_nights_home_begins_with_what_was_played_from(made: Warehouse) -> None:
    def place(day: date) -> float:
        return float(made.read("shelves", day).filter(shelf_id=LOVED)["home_position"].mean())  # type: ignore[arg-type]

    assert place(AFTER) < 1.5 < 5 < place(BEFORE)


def test_every_shown_shelf_of_home_has_its_propensity_and_empty_ones_come_last(made: Warehouse) -> None:
    home = made.read("shelves", AFTER).filter(surface="home")
    full = home.filter(pl.col("status") != "empty")
    assert full["home_propensity"].null_count() == 0 and full["home_propensity"].is_between(0, 1).all()
    for _, rows in home.sort("home_position").group_by("listener_id", maintain_order=True):
        empty = (rows["status"] == "empty").to_list()
        assert empty == sorted(empty) and rows["home_position"].to_list() == list(range(1, rows.height + 1))
