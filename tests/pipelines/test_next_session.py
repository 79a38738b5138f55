"""Now Playing of the next session through a whole night: of a simulated log with devices, and of one that names none."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.runtime.config import Settings
from tests.pipelines.world import NIGHT, SETTINGS, World
from transforms.listening.sessions import last_known
from transforms.shelves.contexts import OTHER_DAY
from transforms.shelves.history import HALF_LIFE_DAYS
from transforms.tables.warehouse import Warehouse

ROWS = [f"next-session-{k}" for k in (1, 2, 3)]
CELL = ["daypart", "device_id", "context"]
SMALL = Settings.model_validate(
    {
        "shards": 1,
        "models": {
            "als": {"factors": 8, "iterations": 2},
            "use_two_tower": False,
            "use_sequence": False,
            "use_next_in_session": False,
        },
        "candidates": {"per_source": 20},
        "bootstrap": {"nights": 1, "days_apart": 2},
        "ranker": {"kind": "blend"},
    }
)


def rows_of(warehouse: Warehouse, day: date) -> pl.DataFrame:
    return warehouse.read("shelves", day).filter(pl.col("shelf_id").is_in(ROWS))


def test_sessions_of_a_simulated_log_keep_where_they_were_had(world: World) -> None:
    days = [d for d in world.warehouse.dates("sessions") if d <= NIGHT]
    sessions = pl.concat([world.warehouse.read("sessions", d) for d in days]).filter(~pl.col("open"))
    assert sessions["device_id"].null_count() == 0 and sessions["context"].null_count() == 0
    listens = pl.concat([world.warehouse.read("listens", d) for d in world.warehouse.dates("listens") if d <= NIGHT])
    first = sessions.with_columns(first=pl.col("tracks").list.first()).unnest("first", separator="_")
    said = first.join(
        listens.select("listener_id", "track_id", "started_at", asked="device_id"),
        left_on=["listener_id", "first_track_id", "first_started_at"],
        right_on=["listener_id", "track_id", "started_at"],
    )
    assert said.height > 500 and (said["device_id"] == said["asked"]).all()
    assert sessions["device_id"].n_unique() > sessions["listener_id"].n_unique(), "who has two devices"


def test_each_listener_has_three_rows_for_their_own_likeliest_contexts(world: World) -> None:
    """Told again from the sessions: shares by age and kind of day, most likely first, none below a tenth."""
    rows = rows_of(world.warehouse, NIGHT)
    everybody = world.warehouse.read("shelves", NIGHT)["listener_id"].n_unique()
    assert rows.group_by("listener_id").len()["len"].to_list() == [3] * everybody
    personal = rows.filter(status="personal")
    assert personal["next_device"].null_count() == 0 and personal["next_share"].min() >= 0.1  # type: ignore[operator]
    since = NIGHT - timedelta(SETTINGS.candidates.session_days - 1)
    days = [d for d in world.warehouse.dates("sessions") if since <= d <= NIGHT]
    sessions = last_known(pl.concat([world.warehouse.read("sessions", d) for d in days]))
    zones = world.warehouse.read_newest("listeners", NIGHT).select("listener_id", "time_zone")
    plain = zones.filter(pl.col("time_zone").fill_null("UTC").is_in(["UTC", "Europe/London"]))["listener_id"]
    end = datetime.combine(NIGHT + timedelta(1), datetime.min.time(), tzinfo=UTC)
    age = (pl.lit(end) - pl.col("started_at")).dt.total_seconds() / 86_400
    weekend, begins = pl.col("started_at").dt.weekday() >= 6, end.weekday() >= 5
    weight = 0.5 ** (age / HALF_LIFE_DAYS) * pl.when(weekend == begins).then(1.0).otherwise(OTHER_DAY)
    shares = (
        sessions.group_by("listener_id", *CELL)
        .agg(weight.sum().alias("weight"))
        .with_columns(share=pl.col("weight") / pl.col("weight").sum().over("listener_id"))
    )
    keys = ["listener_id", "next_daypart", "next_device", "next_context"]
    both = personal.join(shares, left_on=keys, right_on=["listener_id", *CELL], how="left")
    own = both.filter(pl.col("listener_id").is_in(plain.implode()))
    assert own.height > 0 and own["share"].null_count() == 0
    # exclusions from taste and machines apart, which drop sessions, shares are the same
    near = (own["share"] - own["next_share"]).abs() < 1e-4
    assert near.mean() > 0.7  # type: ignore[operator]
    ordered = personal.sort("listener_id", "shelf_id")
    falls = ordered.select((pl.col("next_share").diff().over("listener_id") <= 1e-6).fill_null(True))
    assert falls.to_series().all()


@pytest.mark.parametrize("named", [True, False])
def test_a_log_of_a_persons_own_with_and_without_devices(tmp_path: Path, named: bool) -> None:
    """Shaped as an export of a listening history: three weeks of mornings on a phone and evenings on a speaker."""
    plays = []
    for day in range(21):
        for n in range(6):
            for who in ("ann", "bob"):
                for hour, device, kind in ((8, "ios", 0), (20, "cast", 1)):
                    at = datetime(2026, 1, 5 + day, hour, 4 * n, tzinfo=UTC)
                    plays.append((who, f"t{kind}-{(day + n) % 9}", at.isoformat(), 200_000, device))
    frame = pl.DataFrame(plays, ["listener_id", "track_id", "started_at", "ms_played", "platform"], orient="row")
    path = tmp_path / "log.csv"
    (frame if named else frame.drop("platform")).write_csv(path)
    url, day = str(tmp_path / "w"), date(2026, 1, 25)
    ingest(url, "csv", [str(path)], end_date=day, settings=SMALL)
    night(url, day, SMALL, greedy=True)
    rows = rows_of(Warehouse(url), day).filter(listener_id="ann").sort("shelf_id")
    told = rows.select("next_daypart", "next_device").rows()
    where = {"morning": "ios", "evening": "cast"} if named else {"morning": None, "evening": None}
    assert sorted(told[:2]) == sorted(where.items()) and told[2] == (None, None)  # type: ignore[type-var]
    for row in rows.head(2).iter_rows(named=True):
        kind = "t0" if row["next_daypart"] == "morning" else "t1"
        first = [item["track_id"] for item in row["items"]][:3]
        assert all(track.startswith(kind) for track in first), (row["next_daypart"], first)
