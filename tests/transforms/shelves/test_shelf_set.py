"""Each shelf of the default set does what its title says, on a world worked by hand."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl

from tests.transforms.shelves.worlds import (
    MONDAY,
    blocks,
    candidate,
    catalog_of,
    days_ago,
    frame,
    popular,
    roster,
    shelf,
    tracks,
)
from transforms.shelves.assemble import Given, assemble
from transforms.shelves.history import Embeddings, TrackSide
from transforms.shelves.output import Assembled
from transforms.shelves.popularity import Popular
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.tracks import Tracks

ROCK, JAZZ, FOLK = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
DAY = dt.timedelta(days=1)
# artist -> how their tracks sound
SOUND = {"rita": ROCK, "ron": ROCK, "jo": JAZZ, "jim": JAZZ, "flo": FOLK, "fay": FOLK}
HEARD = {"rita": 9.0, "ron": 6.0, "jo": 5.0, "jim": 4.0}  # decayed plays of each of ann's two tracks by the artist


def world() -> pl.DataFrame:
    """Four tracks of every artist: two that ann has heard, if she plays the artist, two that she has not."""
    rows = []
    for artist in SOUND:
        for n in range(4):
            heard = artist in HEARD and n < 2
            old = (
                {"heard_before": True, "plays": 5, "decayed_plays": HEARD[artist], "last_heard_at": days_ago(3)}
                if heard
                else {}
            )
            rows.append(
                candidate(
                    f"{artist}-{n}",
                    0.5 - 0.1 * n,
                    artist_ids=[artist],
                    source="library" if heard else "als",
                    released_on=MONDAY - 5 * DAY if n == 3 else MONDAY - 900 * DAY,
                    **old,
                )
            )
    return frame(*rows)


def sessions() -> pl.DataFrame:
    """On weekdays rita in the morning, jo in the evening; on Sunday morning jim."""
    plays = [("rita-0", MONDAY - 3 * DAY, 8), ("jo-0", MONDAY - 3 * DAY, 20), ("jim-0", MONDAY - DAY, 9)]
    rows: list[dict[str, Any]] = []
    for track, day, hour in plays:
        at = dt.datetime.combine(day, dt.time(hour), tzinfo=dt.UTC)
        part = "morning" if hour < 12 else "evening"
        rows.append({"listener_id": "ann", "started_at": at, "daypart": part, "tracks": [{"track_id": track}]})
    age = (NightContext(MONDAY).data_cutoff - pl.col("started_at")).dt.total_seconds() / 86_400
    return pl.DataFrame(rows).with_columns(age_days=age)


def made(
    rows: pl.DataFrame | None = None,
    night: NightContext | None = None,
    listeners: dict[str, float] | None = None,
    **inputs: Any,
) -> Assembled:
    """The default shelves of ann, without draws and of six items each."""
    rows = world() if rows is None else rows
    known = Tracks.build(catalog_of(rows, popular("hit")), rows["track_id"])
    ids = known.ids.to_list()
    vectors = np.array([SOUND.get(i.split("-")[0], [0.0, 0.0, 0.0]) for i in ids], np.float32)
    has = np.where(np.abs(vectors).sum(axis=1) > 0, np.arange(len(ids)), -1).astype(np.int32)
    audience = np.array([(listeners or {}).get(i, 100.0) for i in ids], np.float32)
    small = tuple(s.model_copy(update={"size": 6, "spares": 0, "open_slots": 0}) for s in ShelvesSettings().shelves)
    given = Given(
        known,
        Popular.of(popular("hit"), known),
        TrackSide.of(known, Embeddings(vectors, has), audience),
        plays=rows.filter("heard_before").select("listener_id", "track_id", "decayed_plays"),
        **{"sessions": sessions(), **inputs},
    )
    return assemble(
        rows,
        roster("ann"),
        given,
        night=night or NightContext(MONDAY, "v1"),
        settings=ShelvesSettings(shelves=small, home_swap=0),
    )


def test_release_radar_has_new_tracks_of_followed_artists_then_of_played_ones_and_nothing_old() -> None:
    follows = blocks(("follow_artist", "FLO"))
    stands = tracks(made(blocks=follows), "release-radar")
    assert stands[0] == "flo-3", "followed, and never played"
    assert set(stands) <= {f"{artist}-3" for artist in SOUND}
    assert set(stands[1:]) == {f"{artist}-3" for artist in HEARD} - set(tracks(made(blocks=follows), "discover-weekly"))


def test_a_new_track_of_a_followed_artist_stands_there_though_no_source_found_it() -> None:
    found = world().filter(pl.col("track_id") != "flo-3")
    catalog = world()
    known = Tracks.build(catalog_of(catalog), catalog["track_id"])
    given = Given(known, blocks=blocks(("follow_artist", "flo")), library=found.filter("heard_before"))
    item = shelf(assemble(found, roster("ann"), given, night=NightContext(MONDAY, "v1")), "release-radar")["items"][0]
    assert (item["track_id"], item["reason"]) == ("flo-3", "new_from_followed")


def test_a_track_that_no_source_found_stands_on_no_shelf_that_it_has_no_score_of() -> None:
    """Where a small catalog is used up, a followed artist's new track was last in Discover's pool, and drawn without a score."""
    found = world().filter(pl.col("track_id") != "flo-3")
    few = pl.concat([found.filter("heard_before"), found.filter(~pl.col("heard_before")).head(2)])
    catalog = world()
    known = Tracks.build(catalog_of(catalog), catalog["track_id"])
    given = Given(known, blocks=blocks(("follow_artist", "flo")), library=found.filter("heard_before"))
    made = assemble(few, roster("ann"), given, night=NightContext(MONDAY, "v1"))
    assert "flo-3" in tracks(made, "release-radar")
    for row in made.shelves.iter_rows(named=True):
        assert all(item["score"] is not None for item in row["items"] + row["spares"]), row["shelf_id"]


def test_without_anything_new_release_radar_is_empty_and_says_why() -> None:
    old = world().with_columns(released_on=pl.lit(MONDAY - 900 * DAY))
    row = shelf(made(old), "release-radar")
    assert (row["status"], row["status_reason"]) == (
        "empty",
        "nothing new in 90 days by artists one follows or plays, or near them",
    )


def test_daily_mixes_are_the_clusters_of_ones_taste_named_by_their_artists() -> None:
    night = made()
    mixes = {n: shelf(night, f"daily-mix-{n}") for n in (1, 2, 3)}
    assert mixes[1]["subtitle"] == "rita and ron" and mixes[2]["subtitle"] == "jo and jim"
    assert {i["track_id"].split("-")[0] for i in mixes[1]["items"]} == {"rita", "ron"}
    assert {i["track_id"].split("-")[0] for i in mixes[2]["items"]} == {"jo", "jim"}
    assert (mixes[3]["status"], mixes[3]["subtitle"]) == ("empty", None)


def test_a_mix_keeps_its_number_when_another_taste_grows_above_it() -> None:
    """The day after, jazz is played most. From scratch it would be mix 1; beside yesterday's mixes it stays mix 2."""
    loud = pl.col("track_id").replace_strict({"jo-0": 50.0, "jo-1": 50.0, "jim-0": 40.0, "jim-1": 40.0}, default=None)
    louder = world().with_columns(decayed_plays=pl.coalesce(loud, "decayed_plays"))
    yesterday, today = made().shelves, NightContext(MONDAY + DAY, "v2")
    assert shelf(made(louder, today), "daily-mix-1")["subtitle"] == "jo and jim"
    carried = made(louder, today, previous=yesterday)
    assert [shelf(carried, f"daily-mix-{n}")["subtitle"] for n in (1, 2)] == ["rita and ron", "jo and jim"]


def test_a_daypart_has_what_is_played_at_such_hours_and_on_such_days_first() -> None:
    """Tuesday is a weekday, so jim's Sunday morning counts half: .84 / 1.84 for rita, .47 / 1.47 for jim."""
    night = made()
    assert tracks(night, "daypart-morning") == ["rita-0", "jim-0"]
    assert tracks(night, "daypart-evening") == ["jo-0"]
    assert shelf(night, "daypart-night")["status_reason"] == "no session lately began at night"
    sunday = made(night=NightContext(MONDAY + 5 * DAY, "v1"))  # ends when a Sunday begins
    assert tracks(sunday, "daypart-morning") == ["jim-0", "rita-0"]


def test_the_hours_of_a_daypart_are_the_listeners() -> None:
    row = shelf(made(), "daypart-morning")
    assert (row["valid_from"].hour, row["valid_until"].hour) == (6, 12)


def test_artist_radio_is_of_a_top_artist_and_what_is_like_them_and_turns_with_the_days() -> None:
    named = {shelf(made(night=NightContext(MONDAY + n * DAY, "v1")), "artist-radio")["subtitle"] for n in range(4)}
    assert named == set(HEARD)
    row = shelf(made(), "artist-radio")
    sound = SOUND[row["subtitle"]]
    assert row["items"] and all(SOUND[i["track_id"].split("-")[0]] == sound for i in row["items"])


def test_fresh_finds_has_only_what_few_have_heard() -> None:
    rows = world().with_columns(rank_content=pl.lit(1.0))
    few = {"flo-2": 0.0, "fay-2": 3.0, "rita-2": 11.0}
    assert set(tracks(made(rows, listeners=few), "fresh-finds")) == {"flo-2", "fay-2"}
    nobody = shelf(made(rows), "fresh-finds")
    assert (nobody["status"], nobody["status_reason"]) == ("empty", "nothing that few have heard passes the rules")


def test_what_each_rule_removed_is_counted_and_named() -> None:
    removed = made(blocks=blocks(("dislike", "fay-0"))).removed
    mine = {(s, r): (n, t) for _, s, r, n, t in removed.iter_rows()}
    assert mine["discover-weekly", "disliked"] == (1, ["fay-0"])
    number, named = mine["discover-weekly", "unheard"]
    assert number == 8 and set(named) == {f"{artist}-{n}" for artist in HEARD for n in (0, 1)}


def test_what_rests_is_rediscovers_and_not_on_repeats() -> None:
    """Of who has heard little, On Repeat would take everything; what was left alone is not what is played now."""
    plays = {"now": 1, "lately": 4, "loved": 30, "missed": 40}
    rows = frame(
        *(
            candidate(
                track,
                0.5,
                artist_ids=[track],
                source="library",
                heard_before=True,
                plays=6,
                decayed_plays=6.0 / age,
                last_heard_at=days_ago(age),
            )
            for track, age in plays.items()
        )
    )
    heard = pl.DataFrame(
        {
            "listener_id": "ann",
            "track_id": list(plays),
            "heard": True,
            "again": True,
            "last_heard_at": [days_ago(age) for age in plays.values()],
            "first_heard_at": days_ago(54),
        }
    )
    known = Tracks.build(catalog_of(rows), rows["track_id"])
    made = assemble(rows, roster("ann"), Given(known, library=heard), night=NightContext(MONDAY))
    assert set(tracks(made, "rediscover")) == {"loved", "missed"}, "a quarter of 54 days, and the median is 17"
    assert set(tracks(made, "on-repeat")) == {"now", "lately"}
