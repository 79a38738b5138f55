"""What the benchmark of scale prints last: how the largest size compares with the smallest."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.runtime.config import Settings
from tests.benchmarks.cheap_log import cheap_log
from tests.benchmarks.scale import LIGHT, PER_SHARD, shards_for, spread


def size(listeners: int, score: float, peak: float, again: float) -> dict[str, Any]:
    return {
        "listeners": listeners,
        "ms_a_listener": {"ingest": 1.0, "score": score},
        "cpu_ms_a_listener": {"ingest": 0.5, "score": score},
        "peak_mb": {"ingest": 100.0, "score": peak},
        "again_over_one_day": again,
        "again_over_one_day_cpu": again,
    }


def test_the_last_line_compares_the_ends_and_tells_the_recompute_of_every_size() -> None:
    growth = spread([size(10_000, 4.0, 1000.0, 2.0), size(50_000, 9.0, 1.0, 2.5), size(200_000, 5.0, 1500.0, 3.0)])
    assert (growth["from"], growth["to"]) == (10_000, 200_000)
    assert growth["ms_a_listener"] == growth["cpu_ms_a_listener"] == {"ingest": 1.0, "score": 1.25}
    assert growth["peak_mb"] == {"ingest": 1.0, "score": 1.5}
    assert growth["again_over_one_day"] == {"10000": 2.0, "50000": 2.5, "200000": 3.0}


def test_a_shard_stays_as_large_as_the_audience_grows() -> None:
    for listeners in (1, 6_250, 10_000, 50_000, 200_000, 1_000_000):
        shards = shards_for(listeners)
        assert shards & (shards - 1) == 0 and listeners / shards <= PER_SHARD
        assert shards == 1 or listeners / shards > PER_SHARD / 2


def test_the_cheap_log_has_the_plays_that_were_asked_for_on_its_days_and_is_the_same_every_time(tmp_path: Path) -> None:
    end = date(2026, 1, 31)
    made = [cheap_log(tmp_path / name, 50, 400, 3, 4.0, 7, end) for name in ("one", "other")]
    one, other = (pl.read_parquet(log["inputs"][0]) for log in made)
    assert one.height == 600 and one.equals(other)
    day = pl.from_epoch(one["ts"], "ms").dt.date()
    assert (day.min(), day.max()) == (end - timedelta(2), end)
    listed = pl.read_parquet(made[0]["tracks"])["track_id"], pl.read_parquet(made[0]["listeners_file"])["listener_id"]
    assert set(one["track"]) <= set(listed[0]) and set(one["user"]) <= set(listed[1]) and one["user"].n_unique() > 40


def test_the_light_settings_are_settings() -> None:
    light = Settings.model_validate(LIGHT)
    assert not (light.models.use_two_tower or light.models.use_sequence or light.models.use_next_in_session)
