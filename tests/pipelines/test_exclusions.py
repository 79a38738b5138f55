"""The job `exclusions`: acts reach back and ahead, and nights made one by one know what one night would."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.exclusions import exclusions
from pipelines.features import features
from pipelines.runtime.config import Settings
from tests.pipelines.tiny import LISTENERS, NIGHT, frame, listens_of, put
from tests.pipelines.world import NIGHT as WORLD_NIGHT
from tests.pipelines.world import World
from transforms.listening.exclusions import still_out, union
from transforms.tables.as_of import as_of
from transforms.tables.warehouse import Warehouse

FIRST = NIGHT - timedelta(5)
SETTINGS = Settings(shards=4)
ANN, BOB = LISTENERS[:2]


def act(who: str, day: date, target: str) -> dict:
    return {
        "listener_id": who,
        "kind": "exclude_from_taste",
        "target": target,
        "at": datetime(*day.timetuple()[:3], 20),
    }


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return six_days(tmp_path)


def six_days(folder: Path) -> Warehouse:
    """Six days of three plays each: the first at 9:00 on the phone, the others on the speaker."""
    made = Warehouse(str(folder / "warehouse"))
    for n in range(6):
        rows = listens_of(FIRST + timedelta(n))
        device = pl.when(pl.col("started_at").dt.minute() == 0).then(pl.lit("phone")).otherwise(pl.lit("speaker"))
        put(made, "listens", FIRST + timedelta(n), rows.with_columns(device_id=device))
    features(made.url, FIRST, NIGHT, SETTINGS)
    return made


def say(warehouse: Warehouse, day: date, *acts: dict) -> None:
    put(
        warehouse, "feedback", day, frame("feedback", list(acts)).with_columns(pl.col("at").dt.replace_time_zone("UTC"))
    )


def out(warehouse: Warehouse, day: date) -> pl.DataFrame:
    return union([warehouse.read_manifest(m) for m in as_of(warehouse.url, day).every("exclusions")])


def test_nothing_is_made_where_nobody_excludes_anything(warehouse: Warehouse) -> None:
    say(warehouse, FIRST, {**act(ANN, FIRST, "t1"), "kind": "save"})
    exclusions(warehouse.url, NIGHT, settings=SETTINGS)
    assert warehouse.dates("exclusions") == []


def test_a_device_is_out_before_the_act_and_after_it_from_the_night_of_the_act_on(warehouse: Warehouse) -> None:
    middle = FIRST + timedelta(3)
    say(warehouse, middle, act(ANN, middle, "speaker"))
    exclusions(warehouse.url, middle - timedelta(1), settings=SETTINGS)
    assert out(warehouse, middle - timedelta(1)).is_empty()  # no night knows an act that comes later
    exclusions(warehouse.url, middle, settings=SETTINGS)
    before = out(warehouse, middle)
    assert set(before["listener_id"]) == {ANN}
    assert before.height == 4 * 2 and before["started_at"].dt.minute().min() == 4
    exclusions(warehouse.url, NIGHT, settings=SETTINGS)
    assert out(warehouse, NIGHT).height == 6 * 2
    assert_frame_equal(out(warehouse, middle), before)
    runs = warehouse.store.folders(f"exclusions/date={NIGHT}")
    exclusions(warehouse.url, NIGHT, settings=SETTINGS)
    assert warehouse.store.folders(f"exclusions/date={NIGHT}") == runs


def test_a_session_and_a_time_range_named_days_later(warehouse: Warehouse) -> None:
    session = warehouse.read("sessions", FIRST + timedelta(1)).filter(pl.col("listener_id") == ANN)
    say(warehouse, FIRST + timedelta(2), act(BOB, FIRST, f"{FIRST}T09:04:00Z/{FIRST + timedelta(1)}T09:04:00Z"))
    say(warehouse, FIRST + timedelta(4), act(ANN, FIRST, session["session_id"][0]))
    exclusions(warehouse.url, NIGHT, settings=SETTINGS)
    found = out(warehouse, NIGHT)
    assert found.filter(pl.col("listener_id") == ANN)["started_at"].to_list() == [
        datetime(FIRST.year, FIRST.month, FIRST.day + 1, 9, 4 * k, tzinfo=UTC) for k in range(3)
    ]
    assert found.filter(pl.col("listener_id") == BOB).height == 3
    assert found.height == 6


def test_nights_one_by_one_know_what_one_night_knows_whatever_the_shards(warehouse: Warehouse, tmp_path: Path) -> None:
    other = World.copy(Path(warehouse.url), tmp_path / "other")
    for each in (warehouse, other):
        say(each, FIRST + timedelta(1), act(ANN, FIRST, "speaker"))
        say(each, FIRST + timedelta(3), act(BOB, FIRST, "phone"), act(ANN, FIRST, "phone"))
    exclusions(warehouse.url, NIGHT, settings=SETTINGS)
    for n in range(6):
        exclusions(other.url, FIRST + timedelta(n), settings=SETTINGS.model_copy(update={"shards": 8 if n % 2 else 2}))
    assert len(other.dates("exclusions")) == 5
    assert_frame_equal(out(warehouse, NIGHT), out(other, NIGHT))
    assert out(warehouse, NIGHT).height == 6 * 3 + 6


def test_what_is_taken_back_is_in_again_and_out_again_when_it_is_named_again(warehouse: Warehouse) -> None:
    undo = {**act(ANN, FIRST, "speaker"), "kind": "include_in_taste"}
    say(warehouse, FIRST + timedelta(1), act(ANN, FIRST + timedelta(1), "speaker"))
    say(warehouse, FIRST + timedelta(3), {**undo, "at": act(ANN, FIRST + timedelta(3), "")["at"]})
    exclusions(warehouse.url, FIRST + timedelta(2), settings=SETTINGS)
    acts = pl.concat([warehouse.read("feedback", FIRST + timedelta(n)) for n in (1, 3)])
    assert still_out(out(warehouse, FIRST + timedelta(2)), acts.head(1)).height == 3 * 2
    exclusions(warehouse.url, FIRST + timedelta(4), settings=SETTINGS)
    assert still_out(out(warehouse, FIRST + timedelta(4)), acts).is_empty()
    say(warehouse, NIGHT, act(ANN, NIGHT, "speaker"))
    exclusions(warehouse.url, NIGHT, settings=SETTINGS)
    acts = pl.concat([acts, warehouse.read("feedback", NIGHT)])
    assert still_out(out(warehouse, NIGHT), acts).height == 6 * 2, "the days between are made up for"


def test_an_act_reaches_back_as_far_as_the_setting_says(warehouse: Warehouse) -> None:
    library = SETTINGS.library.model_copy(update={"exclusion_days": 2})
    say(warehouse, NIGHT, act(ANN, NIGHT, "speaker"))
    exclusions(warehouse.url, NIGHT, settings=SETTINGS.model_copy(update={"library": library}))
    assert sorted(set(out(warehouse, NIGHT)["started_at"].dt.date())) == [NIGHT - timedelta(n) for n in (2, 1, 0)]


def test_a_night_repeats_nothing_and_recommends_nothing_because_of_what_is_out(world: World) -> None:
    warehouse = world.warehouse
    gone = out(warehouse, WORLD_NIGHT)
    assert gone.height > 20
    filed = [warehouse.read("listens", d) for d in warehouse.dates("listens") if d <= WORLD_NIGHT]
    pair = ["listener_id", "track_id"]
    left = pl.concat(filed).join(gone, on=[*pair, "started_at"], how="anti")
    saved = pl.concat([warehouse.read("feedback", d) for d in warehouse.dates("feedback") if d <= WORLD_NIGHT])
    saved = saved.filter(pl.col("kind").is_in(["save", "like", "own"])).select("listener_id", track_id="target")
    only = gone.join(left, on=pair, how="anti").join(saved, on=pair, how="anti")
    assert only.height > 5
    shown = (
        warehouse.read("shelves", WORLD_NIGHT)
        .filter(pl.col("status") == "personal")
        .drop("title")
        .explode("items")
        .unnest("items")
    )
    repeats = shown.filter(pl.col("shelf_id").is_in(["on-repeat", "rediscover"]))
    assert repeats.height and repeats.join(only, on=pair, how="semi").is_empty()
    assert shown.join(only, left_on=["listener_id", "reason_ref"], right_on=pair, how="semi").is_empty()
