"""The rules of the shelves, one by one."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from tests.transforms.shelves.worlds import (
    MONDAY,
    blocks,
    candidate,
    days_ago,
    frame,
    make,
    one_shelf,
    popular,
    roster,
    tracks,
)
from transforms.common.hashing import stable_hash


def discover(*candidates: dict, **inputs: object) -> list[str]:
    """What stands on a Discover of these candidates."""
    return tracks(make(frame(*candidates), settings=one_shelf(), **inputs))


def test_the_rankers_order_is_the_shelfs_order() -> None:
    assert discover(candidate("low", 0.1), candidate("high", 0.9), candidate("mid", 0.5)) == ["high", "mid", "low"]


def test_equal_scores_stand_in_the_order_of_the_hash_of_their_track() -> None:
    names = [f"t{i}" for i in range(8)]
    by_hash = [name for _, name in sorted(zip(stable_hash(names).tolist(), names, strict=True))]
    assert discover(*(candidate(name, 0.5) for name in names)) == by_hash
    assert discover(*(candidate(name, 0.5) for name in reversed(names))) == by_hash


def test_a_heard_track_takes_all_tracks_of_its_recording_with_it() -> None:
    song = candidate("song", 0.9, recording_id="r", heard_before=True)
    remaster = candidate("song-remaster", 0.8, recording_id="r")
    assert discover(song, remaster, candidate("other", 0.1)) == ["other"]


def test_a_recording_heard_according_to_the_library_is_heard_though_no_candidate_says_so() -> None:
    library = pl.DataFrame({"listener_id": ["ann", "bob"], "track_id": ["a", "b"]})
    assert discover(candidate("a", 0.9), candidate("b", 0.8), library=library) == ["b"]


@pytest.mark.parametrize(("days", "stands"), [(89, False), (91, True)])
def test_a_sampled_track_stays_out_for_90_days(days: int, stands: bool) -> None:
    sampled = candidate("a", 0.9, sampled_at=days_ago(days))
    assert ("a" in discover(sampled, candidate("b", 0.1))) == stands


def test_sampling_one_version_keeps_the_other_out() -> None:
    assert (
        discover(candidate("a", 0.9, recording_id="r", sampled_at=days_ago(1)), candidate("a2", 0.8, recording_id="r"))
        == []
    )


def test_the_latest_sampling_of_any_version_counts() -> None:
    versions = ((200, "old"), (10, "new"))
    assert discover(*(candidate(n, 0.9, recording_id="r", sampled_at=days_ago(days)) for days, n in versions)) == []


@pytest.mark.parametrize("kind", ["block_track", "dislike", "own"])
def test_a_blocked_disliked_or_owned_track_goes_with_its_recording(kind: str) -> None:
    versions = [candidate("a", 0.9, recording_id="r"), candidate("a2", 0.8, recording_id="r")]
    assert discover(*versions, candidate("b", 0.1), blocks=blocks((kind, "a"))) == ["b"]


def test_the_catalog_tells_the_recording_of_a_blocked_track_that_is_no_candidate() -> None:
    catalog = pl.DataFrame({"track_id": ["a", "old-a"], "recording_id": ["r-a", "r-a"]})
    stands = discover(candidate("a", 0.9), candidate("b", 0.1), blocks=blocks(("dislike", "old-a")), catalog=catalog)
    assert stands == ["b"]


def test_a_blocked_artist_is_blocked_as_a_guest_too() -> None:
    duet = candidate("duet", 0.9, artist_ids=["nina", "tom"])
    assert discover(duet, candidate("solo", 0.1, artist_ids=["nina"]), blocks=blocks(("block_artist", "tom"))) == [
        "solo"
    ]


def test_feedback_that_blocks_nothing_blocks_nothing() -> None:
    assert discover(candidate("a", 0.9), blocks=blocks(("like", "a"), ("follow_artist", "by-a"))) == ["a"]


def test_blocks_of_another_listener_do_not_count() -> None:
    assert discover(candidate("a", 0.9), blocks=blocks(("block_track", "a"), listener="bob")) == ["a"]


def test_only_what_plays_in_the_listeners_market() -> None:
    here, there = candidate("here", 0.1, markets=["FR", "DE"]), candidate("there", 0.9, markets=["FR"])
    everywhere = candidate("everywhere", 0.2, markets=None)
    assert discover(here, there, everywhere) == ["everywhere", "here"]
    assert discover(here, there, everywhere, roster=roster("ann", market=None)) == ["there", "everywhere", "here"]


def test_the_playable_version_of_a_recording_is_chosen() -> None:
    versions = [candidate("us", 0.9, recording_id="r", markets=["US"]), candidate("de", 0.5, recording_id="r")]
    assert discover(*versions) == ["de"]


def test_one_track_a_recording_the_best() -> None:
    assert discover(candidate("a", 0.5, recording_id="r"), candidate("a2", 0.9, recording_id="r")) == ["a2"]


@pytest.mark.parametrize(("setting", "stands"), [(True, True), (None, True), (False, False)])
def test_explicit_only_where_the_listener_allows_it(setting: bool | None, stands: bool) -> None:
    songs = candidate("a", 0.9, explicit=True), candidate("b", 0.1, explicit=False), candidate("who-knows", 0.05)
    made = discover(*songs, roster=roster("ann", explicit_ok=setting))
    assert made == (["a", "b", "who-knows"] if stands else ["b"]), (
        "what nobody calls clean is not shown to who wants that"
    )


def test_a_blocked_artist_is_known_by_any_spelling_of_the_name() -> None:
    song = candidate("song", 0.9, artist_ids=["Simon &  Garfunkel"])
    other = candidate("other", 0.1, artist_ids=["Simon"])
    assert discover(song, other, blocks=blocks(("block_artist", "SIMON AND GARFUNKEL "))) == ["other"]


def test_what_is_released_after_the_night_waits() -> None:
    today = candidate("today", 0.1, released_on=MONDAY)
    tomorrow = candidate("tomorrow", 0.9, released_on=MONDAY + dt.timedelta(days=1))
    assert discover(today, tomorrow) == ["today"]


def test_the_rules_hold_for_fallbacks_too() -> None:
    library = pl.DataFrame({"listener_id": ["ann"], "track_id": ["p2"]})
    made = make(
        frame(),
        settings=one_shelf(),
        popular=popular("p1", "p2", "p3"),
        library=library,
        blocks=blocks(("block_track", "p1")),
    )
    assert tracks(made) == ["p3"]


def test_heard_shelves_take_only_what_was_heard() -> None:
    heard = candidate("heard", 0.1, heard_before=True, plays=3)
    made = make(frame(heard, candidate("new", 0.9)), settings=one_shelf(pool="heard"))
    assert tracks(made) == ["heard"]


def test_rediscover_wants_plays_long_ago_of_any_version() -> None:
    loved = {"heard_before": True, "plays": 9}
    made = make(
        frame(
            candidate("long-ago", 0.1, last_heard_at=days_ago(61), **loved),
            candidate("last-month", 0.9, last_heard_at=days_ago(30), **loved),
            candidate("once", 0.8, last_heard_at=days_ago(61), heard_before=True, plays=1),
            candidate("old-version", 0.7, recording_id="r", last_heard_at=days_ago(99), **loved),
            candidate("new-version", 0.6, recording_id="r", last_heard_at=days_ago(2), **loved),
        ),
        settings=one_shelf(pool="heard", rules={"rest": {"days": 60}, "min_plays": {"plays": 3}}),
    )
    assert tracks(made) == ["long-ago"]


def test_now_playing_needs_evidence_from_the_last_session() -> None:
    follows = candidate("follows", 0.1, score_next_tracks=0.3)
    silent = candidate("silent", 0.9, score_next_tracks=0.0)
    settings = one_shelf(pool="any", requires=("score_next_tracks",))
    assert tracks(make(frame(follows, silent), settings=settings)) == ["follows"]
