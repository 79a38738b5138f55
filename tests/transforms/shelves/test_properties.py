"""What holds for any block with everything switched on: all default shelves, their evidence, variety and new tracks.

No rule is ever broken, every listener has every row, the same seed gives the same bytes, and a listener's shelves do not
depend on which others share the chunk.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transforms.shelves.worlds import (
    MONDAY,
    TUESDAY,
    blocks,
    random_block,
    random_catalog,
    random_popular,
)
from transforms.shelves.assemble import Given, assemble
from transforms.shelves.history import Embeddings, TrackSide
from transforms.shelves.output import Assembled
from transforms.shelves.popularity import Popular
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.tracks import Tracks

PEOPLE = ("l0", "l1", "l2", "l3", "new")
ZONES = ("Asia/Tokyo", "America/New_York", None, "Europe/Berlin", "UTC")
ALL_ON = ShelvesSettings(
    shelves=tuple(
        shelf.model_validate(
            {
                **shelf.model_dump(exclude_unset=True),
                "size": 6,
                "spares": 3,
                "open_slots": min(shelf.open_slots, 1),
                "new_tracks": {"slots": 0 if shelf.pool == "popular" else 1},
                "variety": {"mmr": 0.3, "artist_decay": 0.8, "calibration": 0.2, "popularity": 0.1, "window": 15},
            }
        )
        for shelf in ShelvesSettings().shelves
    )
)


@cache
def world(seed: int) -> dict[str, Any]:
    """A random catalog with tags and embeddings; candidates, sessions, plays, follows and blocks of five listeners."""
    rng = np.random.default_rng(seed + 9)
    catalog = random_catalog(seed).with_columns(
        tags=pl.Series([[f"g{t}"] for t in rng.integers(0, 4, 150)]),
        album_id=pl.Series([f"b{t}" for t in rng.integers(0, 50, 150)]),
    )
    tracks = Tracks.build(catalog)
    vectors = rng.normal(size=(len(tracks), 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    side = TrackSide.of(
        tracks, Embeddings(vectors, np.arange(len(tracks), dtype=np.int32)), rng.integers(0, 20, len(tracks))
    )
    rows = random_block(seed, listeners=4, each=70)
    rank = {
        name: pl.Series(rng.integers(0, 50, rows.height)).replace(0, None) for name in ("content", "adjacent_artists")
    }
    rows = rows.with_columns(*(value.alias(f"rank_{name}") for name, value in rank.items()))
    plays = rows.filter("heard_before").select("listener_id", "track_id", "decayed_plays")
    times = [dt.datetime(2024, 5, 6, 23, tzinfo=dt.UTC) - dt.timedelta(hours=int(h)) for h in rng.integers(0, 400, 40)]
    sessions = pl.DataFrame(
        {
            "listener_id": rng.choice(PEOPLE[:4], 40).tolist(),
            "started_at": times,
            "daypart": [("night", "morning", "afternoon", "evening")[t.hour // 6] for t in times],
            "tracks": [[{"track_id": f"t{t}"} for t in rng.integers(0, 150, 5)] for _ in times],
            "age_days": [(dt.datetime(2024, 5, 7, tzinfo=dt.UTC) - t).total_seconds() / 86400 for t in times],
            "device_id": [("phone", "speaker", None)[n] for n in rng.integers(0, 3, 40)],
            "context": [("album", None)[n] for n in rng.integers(0, 2, 40)],
        }
    )
    acts = [blocks(("block_artist", "a3"), ("block_track", "t5"), ("follow_artist", "a7"), listener=p) for p in PEOPLE]
    return {
        "rows": rows,
        "catalog": catalog,
        "given": Given(
            tracks, Popular.of(random_popular(seed), tracks), side, pl.concat(acts), None, None, plays, sessions
        ),
    }


def night(seed: int, people: tuple[str, ...] = PEOPLE, previous: pl.DataFrame | None = None) -> Assembled:
    """Monday's shelves, or Tuesday's where Monday's are given."""
    of = world(seed)
    zone = dict(zip(PEOPLE, ZONES, strict=True))
    roster = pl.DataFrame(
        {"listener_id": people, "market": "DE", "explicit_ok": False, "time_zone": [zone[p] for p in people]},
        schema_overrides={"time_zone": pl.String},
    )
    given_ = Given(**{**of["given"].__dict__, "previous": previous})
    when = NightContext(MONDAY if previous is None else TUESDAY, "v", seed)
    return assemble(of["rows"], roster, given_, night=when, settings=ALL_ON)


def shown(made: Assembled) -> pl.DataFrame:
    parts = [
        made.shelves.select("listener_id", "shelf_id", "surface", "status", item=pl.col(c)) for c in ("items", "spares")
    ]
    return pl.concat(parts).explode("item", keep_nulls=False).unnest("item")


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 50))
def test_every_listener_has_every_row_and_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    made, again = night(seed), night(seed)
    ids = sorted(shelf.shelf_id for shelf in ALL_ON.shelves)
    assert made.shelves.select("listener_id", "shelf_id").rows() == [(p, s) for p in sorted(PEOPLE) for s in ids]
    assert all(one.equals(other) for one, other in zip(made, again, strict=True))
    assert made.shelves.filter((pl.col("status") == "personal") != pl.col("status_reason").is_null()).is_empty()


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 50))
def test_no_rule_is_ever_broken_on_a_first_or_a_carried_night(seed: int) -> None:
    monday = night(seed)
    for made in (monday, night(seed, previous=monday.shelves)):
        items = shown(made).join(world(seed)["catalog"].drop("artist_ids"), on="track_id")
        assert items.height == shown(made).height > 50
        assert items.filter(pl.col("markets").list.contains("DE") == False).is_empty()  # noqa: E712 (null is everywhere)
        assert items.filter("explicit").is_empty() and items.filter(pl.col("released_on") > TUESDAY).is_empty()
        assert items.filter(pl.col("artist_ids").list.contains("a3")).is_empty()
        heard = world(seed)["rows"].filter("heard_before").select("listener_id", "recording_id").unique()
        new = [s.shelf_id for s in ALL_ON.shelves if s.pool == "unheard"]
        of_new = items.filter(pl.col("shelf_id").is_in(new))
        assert of_new.join(heard, on=["listener_id", "recording_id"], how="semi").is_empty()
        for shelf in ALL_ON.shelves:
            mine = items.filter(shelf_id=shelf.shelf_id)
            counts = mine.explode("artist_ids").group_by("listener_id", "artist_ids").len()["len"]
            assert (counts.max() or 0) <= (shelf.cap("artist_cap") or 99), shelf.shelf_id
            assert not mine.select("listener_id", "recording_id").is_duplicated().any()


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 50))
def test_a_listeners_shelves_do_not_depend_on_who_shares_the_chunk(seed: int) -> None:
    monday = night(seed)
    tuesday = night(seed, previous=monday.shelves)
    for who in ("l1", "new"):
        for whole, alone in ((monday, night(seed, (who,))), (tuesday, night(seed, (who,), monday.shelves))):
            for frame, own in zip(whole, alone, strict=True):
                assert frame.filter(pl.col("listener_id") == who).equals(own)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 50))
def test_a_row_has_one_fate_on_a_shelf(seed: int) -> None:
    """What was removed, placed or is spare adds up to no more than there was, and nothing shown is among what was removed."""
    made = night(seed)
    named = made.removed.explode("tracks", keep_nulls=False).select("listener_id", "shelf_id", track_id="tracks")
    assert not named.is_duplicated().any()
    personal = shown(made).filter(pl.col("status") == "personal")
    assert named.join(personal, on=["listener_id", "shelf_id", "track_id"], how="semi").is_empty()
