"""Job `features`: any range in one job gives what the pure functions give on the whole log."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.features import features
from pipelines.runtime.config import Settings
from tests.transforms.listens import DAY1, MINUTE, at, dates_of, listens, play
from transforms.common.errors import UserError
from transforms.listening import co_listens, track_stats
from transforms.listening.library import LibrarySettings, day_library, first_plays, merge, saved_library
from transforms.listening.sessions import sessionize
from transforms.tables.as_of import as_of
from transforms.tables.chunks import split
from transforms.tables.manifest import canonical
from transforms.tables.runs import Written, finish, plan
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

DAYS = dates_of(1, 5)
SETTINGS = Settings(shards=4, library=LibrarySettings(max_deltas=2))
MADE = ("sessions", "track_stats", "co_listens")


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    rng = random.Random(7)
    plays = {}
    for n in range(25):
        now = at(1, rng.randrange(24))
        while now < at(6, 0):
            ms = rng.choice([None, 4_000, 200_000, 50 * MINUTE])
            filed = DAYS[-1] if rng.random() < 0.03 and now.date() < DAYS[-1] else None
            track = f"t{int(12 * rng.random() ** 2)}"
            one = play(f"listener {n}", track, now, ms, skipped=ms == 4_000, country=rng.choice("ab"), filed=filed)
            plays[one[:3]] = one
            now += timedelta(minutes=rng.choice([4, 4, 4, 4, 30, 200, 900]))
    return listens(*plays.values())


@pytest.fixture(scope="module")
def feedback() -> pl.DataFrame:
    rows = [("listener 1", "save", "t1", at(2, 9)), ("listener 2", "own", "unheard", at(4, 9))]
    return pl.DataFrame(rows, schema=["listener_id", "kind", "target", "at"], orient="row")


@pytest.fixture(scope="module")
def listeners() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "listener_id": [f"listener {n}" for n in range(25)],
            "market": ["SE", "NO", None, "SE", "NO"] * 5,
            "time_zone": ["Asia/Tokyo", None, "Europe/Oslo", "UTC", "Nowhere"] * 5,
        }
    )


def put(warehouse: Warehouse, table: str, day: date, frame: pl.DataFrame, shards: int = 4) -> None:
    """Commit a table as another job would."""
    inputs = {"rows": canonical(frame.hash_rows().sum())}
    run = plan(warehouse, table, day, shards=shards, inputs=inputs, settings={}, step_version="test")
    assert run is not None
    parts = split(frame, shards) if TABLES[table].sharded_by else [(0, frame)]
    finish(run, [Written(table, day.isoformat(), write_frame(run, shard, part)) for shard, part in parts])


def put_listens(warehouse: Warehouse, log: pl.DataFrame) -> None:
    """File each date's listens."""
    for day in DAYS:
        rows = log.filter(pl.col("date") == day).drop("date")
        rows = rows.with_columns(ingested_at=pl.lit(at(9, 0)), listen_id=pl.lit("x"))
        put(warehouse, "listens", day, rows)


@pytest.fixture
def warehouse(tmp_path: Path, log: pl.DataFrame, feedback: pl.DataFrame, listeners: pl.DataFrame) -> Warehouse:
    return filled(tmp_path, log, feedback, listeners)


@pytest.fixture(scope="module")
def ranged(tmp_path_factory, log: pl.DataFrame, feedback: pl.DataFrame, listeners: pl.DataFrame) -> Warehouse:
    """A warehouse whose features were all made in one job; not to be changed."""
    warehouse = filled(tmp_path_factory.mktemp("ranged"), log, feedback, listeners)
    record = features(warehouse.url, DAY1, DAYS[-1], SETTINGS)
    assert record.counters["read.chunks"] == 8  # each shard for the fold, and again for signals
    return warehouse


def filled(path: Path, log: pl.DataFrame, feedback: pl.DataFrame, listeners: pl.DataFrame) -> Warehouse:
    warehouse = Warehouse(str(path))
    put_listens(warehouse, log)
    for day in (DAYS[1], DAYS[3]):
        put(warehouse, "feedback", day, feedback.filter(pl.col("at").dt.date() == day))
    put(warehouse, "listeners", DAYS[0], listeners)
    tracks = pl.DataFrame({"track_id": ["t0", "t1"], "recording_id": ["t0", "t1"], "duration_ms": [40 * MINUTE, 1000]})
    put(warehouse, "tracks", DAYS[0], tracks)
    return warehouse


def stored(warehouse: Warehouse, table: str) -> pl.DataFrame:
    """All dates of a table, in order of its key."""
    frames = [warehouse.read(table, d).with_columns(date=pl.lit(d)) for d in warehouse.dates(table)]
    return pl.concat(frames).sort("date", *TABLES[table].key)


def library(warehouse: Warehouse, day: date) -> pl.DataFrame:
    return merge([warehouse.read_manifest(m) for m in as_of(warehouse.url, day).library()])


def test_one_job_gives_what_the_pure_functions_give(ranged, log, feedback, listeners):
    warehouse = ranged
    durations = pl.DataFrame({"track_id": ["t0", "t1"], "duration_ms": [40 * MINUTE, 1000]})
    sessions = sessionize(
        log.with_columns(new=first_plays(log)), through=DAYS[-1], durations=durations, time_zones=listeners
    )
    assert_frame_equal(stored(warehouse, "sessions"), sessions)
    assert sessions["open"].any()
    pairs = co_listens.day_partials(sessions).select("date", *TABLES["co_listens"].polars)
    assert_frame_equal(stored(warehouse, "co_listens"), pairs, check_column_order=False)
    stats = track_stats.day_partials(log, listeners)
    assert_frame_equal(stored(warehouse, "track_stats"), stats, check_column_order=False)
    whole = merge([day_library(log), saved_library(feedback)])
    assert_frame_equal(library(warehouse, DAYS[-1]), whole)
    assert whole.filter("saved").height == 2


def test_day_by_day_equals_the_range_and_compacts(ranged, warehouse, log, feedback):
    for first, last in (DAYS[:1] * 2, DAYS[1:2] * 2, DAYS[2:3] * 2, DAYS[3:]):
        features(warehouse.url, first, last, SETTINGS)
    for table in MADE:
        assert_frame_equal(stored(warehouse, table), stored(ranged, table))
        assert [warehouse.need(table, d).version for d in DAYS] == [ranged.need(table, d).version for d in DAYS]
    assert_frame_equal(library(warehouse, DAYS[-1]), library(ranged, DAYS[-1]))
    # a base and at most two deltas, then a new base
    assert [len(as_of(warehouse.url, d).library()) for d in warehouse.dates("library")] == [1, 2, 3, 1]
    before = log.filter(pl.col("date") <= DAYS[2])
    acts = feedback.filter(pl.col("at") < at(4, 0))
    assert_frame_equal(library(warehouse, DAYS[2]), merge([day_library(before), saved_library(acts)]))


def test_a_base_keeps_a_listeners_newest_pairs_in_full_and_counts_all(warehouse, log, feedback):
    few = SETTINGS.model_copy(update={"library": LibrarySettings(max_deltas=2, max_pairs=3)})
    features(warehouse.url, DAY1, DAYS[-1], few)
    (base,) = as_of(warehouse.url, DAYS[-1]).library()
    assert base.settings["max_pairs"] == 3
    kept, whole = library(warehouse, DAYS[-1]), merge([day_library(log), saved_library(feedback)])
    counts = ["listener_id", "track_id", "plays", "heard", "saved"]
    assert_frame_equal(kept.select(counts), whole.select(counts))
    assert whole.group_by("listener_id").len()["len"].max() > 3
    full = kept.filter(pl.col("latest").list.len() > 0)
    assert full.group_by("listener_id").len()["len"].max() == 3
    assert_frame_equal(full, whole.join(full, on=["listener_id", "track_id"], how="semi"))


def test_the_number_of_shards_does_not_matter_and_may_double(ranged, warehouse):
    features(warehouse.url, DAY1, DAYS[2], SETTINGS)
    features(warehouse.url, DAYS[3], DAYS[-1], SETTINGS.model_copy(update={"shards": 8}))
    for table in MADE:
        assert_frame_equal(stored(warehouse, table), stored(ranged, table))
    assert_frame_equal(library(warehouse, DAYS[-1]), library(ranged, DAYS[-1]))


def test_a_share_of_listeners_makes_the_co_listens_and_changes_nothing_else(ranged, warehouse):
    share = SETTINGS.model_copy(update={"co_listens": co_listens.CoListenSettings(share=0.5)})
    features(warehouse.url, DAY1, DAYS[-1], share)
    chosen = co_listens.sampled(stored(ranged, "sessions"), 0.5)
    assert 0 < chosen["listener_id"].n_unique() < 25
    pairs = co_listens.day_partials(chosen).select("date", *TABLES["co_listens"].polars)
    assert_frame_equal(stored(warehouse, "co_listens"), pairs, check_column_order=False)
    same = {t: warehouse.need(t, DAYS[-1]).version == ranged.need(t, DAYS[-1]).version for t in (*MADE, "library")}
    assert same == {"sessions": True, "track_stats": True, "co_listens": False, "library": True}


def test_what_is_current_is_not_made_again(ranged):
    assert features(ranged.url, DAY1, DAYS[-1], SETTINGS) is None
    # the library of the last date sums up all five, so folding that date alone is folding them all
    assert features(ranged.url, DAYS[-1], DAYS[-1], SETTINGS) is None


def test_no_date_can_be_missing_from_the_library(warehouse, log):
    features(warehouse.url, DAY1, DAY1, SETTINGS)
    features(warehouse.url, DAYS[3], DAYS[3], SETTINGS)
    assert warehouse.dates("sessions") == DAYS[:4]
    assert library(warehouse, DAYS[3])["plays"].sum() == log.filter(pl.col("date") <= DAYS[3]).height


def test_listens_that_change_are_folded_into_every_later_library_of_the_range(warehouse, log):
    features(warehouse.url, DAY1, DAYS[1], SETTINGS)
    for day in DAYS[2:4]:
        features(warehouse.url, day, day, SETTINGS)
    fewer = log.filter((pl.col("date") != DAYS[2]) | (pl.col("track_id") != "t0"))
    put_listens_of(warehouse, DAYS[2], fewer)
    features(warehouse.url, DAYS[2], DAYS[-1], SETTINGS)
    for day in warehouse.dates("library")[1:]:
        assert library(warehouse, day)["plays"].sum() == fewer.filter(pl.col("date") <= day).height
    assert [len(as_of(warehouse.url, d).library()) for d in DAYS[1:]] == [1, 2, 3, 1]


def put_listens_of(warehouse: Warehouse, day: date, log: pl.DataFrame) -> None:
    rows = log.filter(pl.col("date") == day).drop("date")
    put(warehouse, "listens", day, rows.with_columns(ingested_at=pl.lit(at(9, 0)), listen_id=pl.lit("y")))


def test_a_date_without_listens_gets_empty_tables(tmp_path):
    warehouse = Warehouse(str(tmp_path))
    one = listens(play("ann", "a", at(1, 9), MINUTE)).drop("date")
    put(warehouse, "listens", DAY1, one.with_columns(ingested_at=pl.lit(at(9, 0)), listen_id=pl.lit("x")))
    features(str(tmp_path), DAY1, DAYS[1], SETTINGS)
    for table in MADE:
        assert [warehouse.need(table, d).rows for d in DAYS[:2]] == [1, 0]


def test_some_outputs_can_be_left_out(warehouse):
    features(warehouse.url, DAY1, DAYS[1], SETTINGS, outputs={"sessions", "library"})
    assert warehouse.dates("co_listens") == warehouse.dates("track_stats") == []
    assert warehouse.dates("sessions") == DAYS[:2]


def test_a_warehouse_without_listens_says_so(tmp_path):
    with pytest.raises(UserError, match="no listens up to 2026-01-01"):
        features(str(tmp_path), DAY1, DAY1, SETTINGS)
