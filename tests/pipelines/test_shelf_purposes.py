"""Each default shelf keeps what its title says, on a night of a simulated log and, where there is one, of a real log.

The real one are 150 listeners of 30Music: `NIGHTSHELF_DATA` names the folder that holds `30music/events.tsv`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import polars as pl
import pytest

from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.runtime.config import Settings
from tests.pipelines.world import NIGHT, World
from transforms.listening.library import merge
from transforms.listening.sessions import last_known
from transforms.shelves.defaults import DEFAULT
from transforms.tables.as_of import as_of
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

DATA = os.environ.get("NIGHTSHELF_DATA")
EVENTS = Path(DATA or ".") / "30music/events.tsv"
MAPPING = """columns: {listener_id: UserId, track_id: ItemId, started_at: Time}
time: unix_s
delimiter: "\\t"
"""
KEY = ["listener_id", "track_id"]
NO_ACTS = TABLES["feedback"].empty()
LIGHT = {
    "shards": 2,
    "models": {"als": {"factors": 16, "iterations": 3}, "use_two_tower": False, "use_sequence": False},
    "candidates": {"per_source": 100},
    "bootstrap": {"nights": 1},
    "ranker": {"kind": "blend"},
}


@dataclass(frozen=True)
class Made:
    """A night and what its shelves are judged by."""

    warehouse: Warehouse
    day: date

    @cached_property
    def rows(self) -> pl.DataFrame:
        return self.warehouse.read("shelves", self.day)

    def items(self, *shelf_ids: str) -> pl.DataFrame:
        """Items of personal rows."""
        mine = pl.col("shelf_id").is_in(shelf_ids) & (pl.col("status") == "personal")
        chosen = self.rows.filter(mine).select("listener_id", "shelf_id", "subtitle", "refresh_date", "items")
        return chosen.explode("items", keep_nulls=False).unnest("items")

    @cached_property
    def library(self) -> pl.DataFrame:
        parts = as_of(self.warehouse.url, self.day).library()
        return merge([self.warehouse.read_manifest(part) for part in parts]).filter(pl.col("heard") > 0)

    @cached_property
    def sessions(self) -> pl.DataFrame:
        found = as_of(self.warehouse.url, self.day).window("sessions", 30)
        plays = last_known(pl.concat([self.warehouse.read_manifest(part) for part in found])).explode("tracks")
        return plays.with_columns(pl.col("tracks").struct.field("track_id"))

    @cached_property
    def tracks(self) -> pl.DataFrame:
        return self.warehouse.read_newest("tracks", self.day)


@pytest.fixture(scope="module", params=["simulated", "real"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    if request.param == "simulated":
        world: World = request.getfixturevalue("world")
        return Made(world.warehouse, NIGHT)
    if not DATA or not EVENTS.exists():
        pytest.skip("no real log: NIGHTSHELF_DATA names no folder with 30music/events.tsv")
    folder, settings = tmp_path_factory.mktemp("real"), Settings.model_validate(LIGHT)
    events = pl.read_csv(EVENTS, separator="\t")
    last = datetime.fromtimestamp(events["Time"].max(), UTC).date()  # type: ignore[arg-type]
    whole = datetime.combine(last, datetime.min.time(), UTC).timestamp()  # the last date is cut off
    events = events.filter(pl.col("Time") < whole)
    plays = events.group_by("UserId").len().sort("len", "UserId", descending=True)
    events = events.join(plays.head(150), on="UserId", how="semi")
    events.write_csv(folder / "log.tsv", separator="\t")
    (folder / "mapping.yaml").write_text(MAPPING)
    catalog = events.group_by("ItemId").agg(pl.col("ArtistId").min()).sort("ItemId")
    catalog.select(track_id="ItemId", artist_ids="ArtistId").write_csv(folder / "tracks.csv")
    url = str(folder / "w")
    log = {"mapping": str(folder / "mapping.yaml"), "tracks": str(folder / "tracks.csv")}
    day = last - timedelta(1)
    ingest(url, "csv", [str(folder / "log.tsv")], end_date=day, settings=settings, **log)
    night(url, day, settings)
    return Made(Warehouse(url), day)


def test_every_listener_has_every_shelf_and_what_is_empty_says_why(made: Made) -> None:
    who = made.rows["listener_id"].unique()
    assert made.rows.height == who.len() * len(DEFAULT)
    empty = made.rows.filter(status="empty")
    assert empty["status_reason"].null_count() == 0 and (empty["items"].list.len() == 0).all()


def test_discover_radar_and_fresh_finds_are_of_what_was_never_heard(made: Made) -> None:
    items = made.items("discover-weekly", "release-radar", "fresh-finds")
    assert items.filter(shelf_id="discover-weekly").height > 0
    fresh = items.filter(pl.col("refresh_date") == made.day)
    assert fresh.join(made.library, on=KEY, how="semi").is_empty()


def test_release_radar_is_of_the_last_ninety_days(made: Made) -> None:
    items = made.items("release-radar").join(made.tracks.select("track_id", "released_on"), on="track_id")
    if made.tracks["released_on"].null_count() == made.tracks.height:  # a log without release dates
        assert items.is_empty()
        return
    age = (pl.lit(made.day) - pl.col("released_on")).dt.total_days()
    assert items.height > 0 and items.filter(~age.is_between(0, 96)).is_empty()


def test_on_repeat_and_rediscover_are_of_what_was_heard_and_the_second_of_what_was_left_alone(made: Made) -> None:
    both = made.items("on-repeat", "rediscover")
    own = made.library.select(*KEY, "plays", "last_played_at")
    recordings = made.tracks.select("track_id", "recording_id")
    heard = own.join(recordings, on="track_id")  # any version of it
    versions = both.join(recordings, on="track_id")
    never = versions.join(heard, on=["listener_id", "recording_id"], how="anti")
    acts = pl.concat([made.warehouse.read("feedback", d) for d in made.warehouse.dates("feedback")] or [NO_ACTS])
    kept = acts.filter(pl.col("kind").is_in(["own", "save"])).select("listener_id", track_id="target")
    kept = kept.join(recordings, on="track_id")  # what is owned or saved counts as heard
    assert both.height > 0 and never.join(kept, on=["listener_id", "recording_id"], how="anti").is_empty()
    back = both.filter(shelf_id="rediscover").join(own, on=KEY)
    end = datetime.combine(made.day + timedelta(1), datetime.min.time(), tzinfo=UTC)
    ago = back.select((pl.lit(end) - pl.col("last_played_at")).dt.total_days()).to_series()
    assert ago.len() > 0 and ago.min() >= 7  # type: ignore[operator]
    repeat = both.filter(shelf_id="on-repeat").join(own, on=KEY)
    assert repeat["plays"].mean() > own["plays"].mean()  # type: ignore[operator]


def test_fresh_finds_few_have_heard(made: Made) -> None:
    heard = made.library.group_by("track_id").len()
    known = made.items("fresh-finds").join(heard, on="track_id", how="left")
    hearers = known["len"].fill_null(0)  # suspects among them, whom no model knows
    assert hearers.len() > 0 and (hearers <= 13).all() and (hearers <= 10).mean() > 0.95  # type: ignore[operator]


def test_daily_mixes_are_named_share_nothing_and_are_of_their_artists(made: Made) -> None:
    ids = [f"daily-mix-{k}" for k in range(1, 7)]
    items = made.items(*ids)
    assert items.height > 0 and items["subtitle"].null_count() == 0
    assert not items.select(KEY).is_duplicated().any()
    named = items.filter(
        pl.struct("artist_ids", "artist_names", "subtitle").map_elements(
            lambda row: any(
                name in row["subtitle"] for name in [*row["artist_ids"], *(row["artist_names"] or ())] if name
            ),
            return_dtype=pl.Boolean,
        )
    )
    assert named.height > 0.3 * items.height


def test_a_daypart_begins_with_what_was_played_at_such_hours(made: Made) -> None:
    ids = ["daypart-night", "daypart-morning", "daypart-afternoon", "daypart-evening"]
    first = made.items(*ids).filter(position=1).with_columns(daypart=pl.col("shelf_id").str.strip_prefix("daypart-"))
    recordings = made.tracks.select("track_id", "recording_id")
    then = made.sessions.join(recordings, on="track_id").select("listener_id", "daypart", "recording_id").unique()
    first = first.join(recordings, on="track_id")
    assert first.height > 0
    assert first.join(then, on=["listener_id", "daypart", "recording_id"], how="anti").is_empty()


def test_artist_radio_is_of_an_artist_whom_one_hears(made: Made) -> None:
    items = made.items("artist-radio")
    names = made.library.join(made.tracks.select("track_id", "artist_ids"), on="track_id").explode("artist_ids")
    artists = made.warehouse.read_newest("artists", made.day).select("artist_id", "name")
    named = names.join(artists, left_on="artist_ids", right_on="artist_id", how="left")
    own = pl.concat(named.select("listener_id", subtitle=column) for column in ("name", "artist_ids")).unique()
    assert items.height > 0 and items.join(own, on=["listener_id", "subtitle"], how="anti").is_empty()
    credited = pl.concat_list(pl.col("artist_ids"), pl.col("artist_names").fill_null([]))
    theirs = items.filter(credited.list.contains(pl.col("subtitle")))
    assert theirs["listener_id"].n_unique() > 0.8 * items["listener_id"].n_unique()


def test_popular_now_is_what_more_have_heard_than_others(made: Made) -> None:
    heard = made.library.group_by("track_id").len()
    known = made.items("popular-now").join(heard, on="track_id", how="left")["len"].fill_null(0)
    assert known.mean() > 1.2 * heard["len"].mean()  # type: ignore[operator]


def test_now_playing_stands_for_whoever_has_a_session_and_next_sessions_for_their_contexts(made: Made) -> None:
    lately = made.sessions["listener_id"].unique()
    for shelf_id in ("now-playing", "next-session-1"):
        stands = made.items(shelf_id)["listener_id"].unique()
        assert lately.is_in(stands.implode()).mean() > 0.5, shelf_id  # type: ignore[operator]
    told = made.rows.filter((pl.col("shelf_id") == "next-session-1") & (pl.col("status") == "personal"))
    parts = made.sessions.select("listener_id", next_daypart="daypart").unique()
    assert told.join(parts, on=["listener_id", "next_daypart"], how="anti").is_empty()
