"""Whole shelves: a worked example, and what holds for any block."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transforms.shelves.worlds import (
    MONDAY,
    blocks,
    candidate,
    days_ago,
    frame,
    make,
    one_shelf,
    popular,
    random_block,
    random_catalog,
    random_popular,
    roster,
    shelf,
    spares,
    tracks,
)
from transforms.shelves.output import Assembled
from transforms.shelves.settings import NightContext, ShelfSettings, ShelvesSettings
from transforms.tables.schema import TABLES

SMALL = ShelvesSettings(
    shelves=tuple(
        shelf.model_copy(update={"size": 6, "spares": 3, "open_slots": min(shelf.open_slots, 2)})
        for shelf in ShelvesSettings().shelves
    )
)
SHELF_IDS = sorted(shelf.shelf_id for shelf in SMALL.shelves)
# what is seen at one time of day, or in one context of the next session
PART_OF = {shelf.shelf_id: shelf.daypart or shelf.shelf_id for shelf in SMALL.shelves if shelf.apart}
PEOPLE = ("l0", "l1", "l2", "l3", "l4", "l5", "new")
BLOCKS = pl.concat([blocks(("block_artist", "a3"), ("block_track", "t5"), listener=person) for person in PEOPLE])


def night_of(seed: int, **inputs: Any) -> Assembled:
    """A random block's shelves."""
    inputs = {"roster": roster(*PEOPLE, explicit_ok=False), "popular": random_popular(seed), "blocks": BLOCKS, **inputs}
    return make(random_block(seed), NightContext(MONDAY, "v1", seed=seed), settings=SMALL, **inputs)


def placed(made: Assembled) -> pl.DataFrame:
    """All items and spares, one row each."""
    return pl.concat(
        made.shelves.select("listener_id", "shelf_id", "surface", "status", part=pl.lit(part), item=pl.col(part))
        .explode("item", keep_nulls=False)
        .unnest("item")
        for part in ("items", "spares")
    )


def test_a_night_by_hand() -> None:
    """Ann has a history; Bob is new. Two shelves on home settle their repeats by order."""
    both = ShelvesSettings(
        shelves=(
            ShelfSettings(shelf_id="discover", title="Discover", size=2, spares=1, open_slots=0),
            ShelfSettings(
                shelf_id="popular",
                title="Popular",
                size=2,
                spares=0,
                open_slots=0,
                pool="popular",
                order={"score_popular": 1},
            ),
        ),
        home_swap=0,
    )
    made = make(
        frame(
            candidate("x", 0.9, reason_ref="h"),
            candidate("p1", 0.8),
            candidate("y", 0.7),
            candidate("h", 0.99, heard_before=True, source="library"),
        ),
        settings=both,
        roster=roster("ann", "bob"),
        popular=popular("p1", "p2", "p3", "p4"),
    )
    assert tracks(made, "discover") == ["x", "p1"]
    assert spares(made, "discover") == ["y"]
    assert tracks(made, "popular") == ["p2", "p3"]
    assert tracks(made, "discover", "bob") == ["p1", "p2"] and spares(made, "discover", "bob") == ["p3"]
    assert tracks(made, "popular", "bob") == ["p4"]
    row = shelf(made, "discover")
    assert {k: row[k] for k in ("status", "surface", "title", "home_position", "version", "model_version")} == {
        "status": "personal",
        "surface": "home",
        "title": "Discover",
        "home_position": 1,
        "version": "v1",
        "model_version": "blend",
    }
    assert row["valid_from"] == row["data_cutoff"] == dt.datetime(2024, 5, 7, tzinfo=dt.UTC)
    assert row["items"][0] == {
        "position": 1,
        "track_id": "x",
        "artist_ids": ["by-x"],
        "score": pytest.approx(0.9),
        "source": "als",
        "reason": "because_you_played",
        "reason_ref": "h",
        "propensity": None,
        "title": None,
        "artist_names": None,
        "explored": False,
        "last_heard_at": None,
    }
    assert shelf(made, "discover", "bob")["status"] == "fallback"
    assert made.stages.filter(pl.col("listener_id") == "ann").rows() == [
        ("ann", "p1", "placed"),
        ("ann", "p2", "placed"),
        ("ann", "p3", "placed"),
        ("ann", "x", "placed"),
        ("ann", "y", "spare"),
    ]


def test_no_history_gets_what_is_popular_in_the_market_and_says_so() -> None:
    pops = pl.concat([popular("de", market="DE"), popular("fr", market="FR")])
    made = make(frame(), settings=one_shelf(), popular=pops, roster=roster("bob", market="FR"))
    row = shelf(made, listener="bob")
    assert [item["track_id"] for item in row["items"]] == ["fr"]
    assert (row["status"], row["status_reason"]) == ("fallback", "no listening history yet")
    assert (row["items"][0]["reason"], row["items"][0]["reason_ref"]) == ("popular_in", "FR")


def test_a_newcomer_gets_the_most_popular_best_first_and_shelves_of_own_music_what_is_left() -> None:
    small = tuple(s.model_copy(update={"size": 2, "spares": 1, "open_slots": 0}) for s in ShelvesSettings().shelves)
    made = make(
        frame(),
        settings=ShelvesSettings(shelves=small, home_swap=0),
        roster=roster("bob"),
        popular=popular(*(f"p{n:02}" for n in range(40))),
    )
    order = [
        "discover-weekly",
        "popular-now",
        "release-radar",
        "rediscover",
        "on-repeat",
        "artist-radio",
        "fresh-finds",
    ]
    stand = [track for name in order for track in (*tracks(made, name, "bob"), *spares(made, name, "bob"))]
    assert stand == [f"p{n:02}" for n in range(21)]
    assert tracks(made, "daypart-morning", "bob") == tracks(made, "daypart-evening", "bob") == ["p00", "p01"]
    assert tracks(made, "now-playing", "bob") == ["p00", "p01"], "another surface"
    assert made.draws.is_empty()


@pytest.mark.parametrize("market", ["XX", None])
def test_a_market_without_popular_tracks_gets_those_of_all_markets_together(market: str | None) -> None:
    pops = pl.concat([popular("a", "b", "c", market="DE"), popular("c", "b", market="FR")])  # a 3, b 2 + 1, c 1 + 2
    made = make(frame(), settings=one_shelf(), popular=pops, roster=roster("bob", market=market))
    assert set(tracks(made, listener="bob")) == {"a", "b", "c"}
    scores = {item["track_id"]: item["score"] for item in shelf(made, listener="bob")["items"]}
    assert scores == {"a": 3.0, "b": 3.0, "c": 3.0}


def test_an_empty_shelf_says_why() -> None:
    history = frame(candidate("a", 0.9, heard_before=True, plays=9, last_heard_at=days_ago(1)))
    made = make(history)
    reasons = dict(made.shelves.select("shelf_id", "status_reason").iter_rows())
    status = dict(made.shelves.select("shelf_id", "status").iter_rows())
    assert {shelf_id for shelf_id, s in status.items() if s != "empty"} == {"on-repeat"}
    assert reasons["rediscover"].startswith("nothing played often was left alone long enough: 60 days")
    assert reasons["now-playing"].startswith("no last session that could be continued")
    assert reasons["on-repeat"] is None
    assert all(shelf(made, shelf_id)["items"] == [] for shelf_id, s in status.items() if s == "empty")


def test_a_shelf_of_own_music_stays_empty_rather_than_popular() -> None:
    """Ann has a history but nothing old: Rediscover must not pretend."""
    history = frame(candidate("a", 0.9, heard_before=True, plays=9, last_heard_at=days_ago(1)))
    made = make(history, popular=random_popular(0))
    assert shelf(made, "rediscover")["status"] == "empty"
    assert shelf(made, "discover-weekly")["status"] == "fallback"


def test_a_rediscovered_track_says_it_was_not_heard_lately() -> None:
    old = candidate("a", 0.9, heard_before=True, plays=9, last_heard_at=days_ago(99), source="library")
    both = frame(old)
    rest = one_shelf(pool="heard", rules={"rest": {"days": 60}})
    assert shelf(make(both, settings=rest))["items"][0]["reason"] == "not_heard_lately"
    item = shelf(make(both, settings=one_shelf(pool="heard")))["items"][0]
    assert (item["reason"], item["last_heard_at"]) == ("you_keep_playing", days_ago(99))


def test_reasons_may_be_asked_for_only_what_is_shown() -> None:
    block = frame(*(candidate(name, score, source=None) for name, score in (("a", 3.0), ("b", 2.0), ("c", 1.0))))
    asked = []

    def explain(pairs: pl.DataFrame) -> pl.DataFrame:
        asked.extend(pairs.rows())
        return pairs.with_columns(source=pl.lit("next_tracks"), reason=pl.lit("follows"), reason_ref=pl.lit("h"))

    items = shelf(make(block, settings=one_shelf(size=2), explain=explain))["items"]
    assert asked == [("ann", "a", False, 0), ("ann", "b", False, 0)]
    assert [(i["source"], i["reason"], i["reason_ref"]) for i in items] == [("next_tracks", "follows", "h")] * 2


def test_who_is_asked_for_reasons_is_told_what_stands_where_tracks_rest() -> None:
    old = {"heard_before": True, "plays": 9, "last_heard_at": days_ago(99), "source": None}
    asked = {}

    def explain(pairs: pl.DataFrame) -> pl.DataFrame:
        asked.update({track: rests for _, track, rests, _ in pairs.rows()})
        return pairs.with_columns(source=pl.lit("library"), reason=pl.lit("you_keep_playing"), reason_ref=pl.lit("h"))

    repeat, rest = (one_shelf(pool="heard", size=1, spares=0, rules=n).shelves[0] for n in ({}, {"rest": {"days": 60}}))
    rest = rest.model_copy(update={"shelf_id": "rest"})
    settings = ShelvesSettings(shelves=(repeat, rest))
    make(frame(candidate("a", 0.9, **old), candidate("b", 0.8, **old)), settings=settings, explain=explain)
    assert asked == {"a": False, "b": True}


def test_several_columns_are_standardised_and_summed() -> None:
    """Plays 0, 0, 7 (logged) stand at -.71, -.71, 1.41 deviations, scores .3, .9, .6 at -1.22, 1.22, 0."""
    heard = {"heard_before": True}
    block = frame(
        candidate("a", 0.3, plays=0, **heard),
        candidate("b", 0.9, plays=0, **heard),
        candidate("c", 0.6, plays=7, **heard),
    )
    items = shelf(make(block, settings=one_shelf(pool="heard", order={"plays": 1, "ranker_score": 1})))["items"]
    assert {i["track_id"]: i["score"] for i in items} == pytest.approx(
        {"c": 1.4142, "b": 0.5176, "a": -1.9319}, abs=1e-3
    )
    assert [i["track_id"] for i in items] == ["c", "b", "a"]


def test_greedy_is_the_rankers_order_without_caps() -> None:
    same = {"artist_ids": ["nina"]}
    block = frame(candidate("a", 0.9, **same), candidate("b", 0.8, **same), candidate("c", 0.7))
    assert tracks(make(block, settings=one_shelf(artist_cap=1))) == ["a", "c"]
    assert tracks(make(block, NightContext(MONDAY, greedy=True), settings=one_shelf(artist_cap=1))) == ["a", "b", "c"]


def test_candidates_may_come_without_optional_columns() -> None:
    bare = pl.DataFrame({"listener_id": ["ann"] * 2, "track_id": ["a", "b"], "ranker_score": [0.1, 0.05]})
    assert tracks(make(bare, settings=one_shelf())) == ["a", "b"]


def test_what_a_shelfs_order_knows_nothing_of_does_not_stand_on_it() -> None:
    block = frame(
        candidate("a", 0.1, plays=None), candidate("b", float("nan"), plays=None), candidate("c", float("nan"), plays=2)
    )
    assert tracks(make(block, settings=one_shelf())) == ["a"]
    assert set(tracks(make(block, settings=one_shelf(order={"plays": 1, "ranker_score": 1})))) == {"a", "c"}


def test_candidates_of_people_off_the_roster_are_left_out() -> None:
    made = make(frame(candidate("a", 0.9, listener_id="gone")), settings=one_shelf())
    assert made.shelves["listener_id"].to_list() == ["ann"]


def test_an_empty_roster_makes_empty_tables() -> None:
    made = make(frame(), roster=roster(), popular=popular("p"))
    assert made.shelves.is_empty() and made.draws.is_empty() and made.stages.is_empty()
    assert TABLES["shelves"].conform(made.shelves).num_rows == 0


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_every_listener_has_every_shelf_in_the_tables_form(seed: int) -> None:
    made = night_of(seed)
    keys = made.shelves.select("listener_id", "shelf_id").rows()
    assert keys == [(person, shelf_id) for person in sorted(PEOPLE) for shelf_id in SHELF_IDS]
    assert made.shelves.filter((pl.col("status") == "personal") != pl.col("status_reason").is_null()).is_empty()
    assert made.shelves.filter((pl.col("status") == "empty") != (pl.col("items").list.len() == 0)).is_empty()
    TABLES["shelves"].conform(made.shelves)
    TABLES["draws"].conform(made.draws)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_no_rule_is_ever_broken(seed: int) -> None:
    made, block = night_of(seed), random_block(seed)
    facts = random_catalog(seed).drop("artist_ids")
    items = placed(made).join(facts, on="track_id")
    assert items["status"].unique().sort().to_list() == ["fallback", "personal"]
    assert items.filter(pl.col("markets").list.contains("DE") == False).is_empty()  # noqa: E712 (null is everywhere)
    assert items.filter(pl.col("explicit")).is_empty()
    assert items.filter(pl.col("released_on") > MONDAY).is_empty()
    blocked = facts.filter(pl.col("track_id") == "t5")["recording_id"]
    assert items.filter(pl.col("recording_id").is_in(blocked.implode())).is_empty()
    assert items.filter(pl.col("artist_ids").list.contains("a3")).is_empty()
    heard = block.filter("heard_before").select("listener_id", "recording_id").unique()
    sampled = block.filter(pl.col("sampled_at") >= days_ago(89)).select("listener_id", "recording_id").unique()
    discover = items.filter(pl.col("shelf_id") == "discover-weekly")
    assert discover.join(pl.concat([heard, sampled]), on=["listener_id", "recording_id"], how="semi").is_empty()
    own = items.filter(pl.col("shelf_id").is_in(["on-repeat", "rediscover"]) & (pl.col("status") == "personal"))
    assert own.join(heard, on=["listener_id", "recording_id"], how="anti").is_empty()


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_caps_hold_for_every_credited_artist_and_no_recording_repeats_on_a_surface(seed: int) -> None:
    made = night_of(seed)
    caps = {shelf.shelf_id: shelf.cap("artist_cap") for shelf in SMALL.shelves}
    items = placed(made)
    for (_, shelf_id), group in items.group_by("listener_id", "shelf_id"):
        counts = Counter(artist for artists in group["artist_ids"] for artist in artists)
        assert max(counts.values()) <= (caps[str(shelf_id)] or 0)
    recordings = random_catalog(seed).select("track_id", "recording_id")
    named = items.join(recordings, on="track_id").with_columns(
        part=pl.col("shelf_id").replace_strict(PART_OF, default=None)
    )
    for part in PART_OF.values():
        seen = named.filter(pl.col("part").is_null() | (pl.col("part") == part))
        assert seen.select("listener_id", "surface", "recording_id").is_duplicated().sum() == 0


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_order_of_rows_and_make_up_of_blocks_do_not_matter(seed: int) -> None:
    """One block of everyone, shuffled, gives each listener what they get alone."""
    block, night = random_block(seed), NightContext(MONDAY, "v1", seed=seed)
    whole = night_of(seed)
    shuffled = make(
        block.sample(fraction=1, shuffle=True, seed=seed),
        night,
        settings=SMALL,
        roster=roster(*reversed(PEOPLE), explicit_ok=False),
        popular=random_popular(seed).sample(fraction=1, shuffle=True, seed=seed),
        blocks=BLOCKS.sample(fraction=1, shuffle=True, seed=seed),
    )
    assert shuffled.shelves.equals(whole.shelves)
    assert shuffled.draws.equals(whole.draws)
    for person in ("l2", "new"):
        alone = night_of(seed, roster=roster(person, explicit_ok=False))
        assert alone.shelves.equals(whole.shelves.filter(pl.col("listener_id") == person))
        assert alone.draws.equals(whole.draws.filter(pl.col("listener_id") == person))
        assert alone.stages.equals(whole.stages.filter(pl.col("listener_id") == person))


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_ids_carry_no_meaning(seed: int) -> None:
    """Renaming tracks, recordings, artists and listeners renames the shelves (draws apart: they are hashes of ids)."""
    block = random_block(seed)
    names = {f"t{i}": f"x{(i * 37) % 151}" for i in range(150)}
    renamed = block.with_columns(
        pl.col("track_id").replace_strict(names),
        "z" + pl.col("recording_id"),
        pl.col("artist_ids").list.eval("q" + pl.element()),
    )
    still = SMALL.model_copy(
        update={"shelves": tuple(s.model_copy(update={"open_slots": 0}) for s in SMALL.shelves), "home_swap": 0.0}
    )
    plain = make(block, settings=still, roster=roster(*PEOPLE))
    other = make(renamed, settings=still, roster=roster(*PEOPLE))
    for person in PEOPLE[:3]:
        for shelf_id in SHELF_IDS:
            expected = [names[track] for track in tracks(plain, shelf_id, person)]
            assert tracks(other, shelf_id, person) == expected


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_draws_and_items_tell_the_same_story(seed: int) -> None:
    made = night_of(seed)
    items = made.shelves.select("listener_id", "shelf_id", "items").explode("items", keep_nulls=False).unnest("items")
    explored = items.filter("explored").select("listener_id", "shelf_id", "position", "track_id", "propensity")
    draws = made.draws.select("listener_id", "shelf_id", position="slot", track_id="track_id", propensity="propensity")
    assert explored.sort(pl.all()).equals(draws.sort(pl.all()))
    assert items.filter(pl.col("explored") == pl.col("propensity").is_null()).is_empty()
    sums = made.draws.select(total=pl.col("pool").list.eval(pl.element().struct.field("probability")).list.sum())
    assert sums["total"].to_list() == pytest.approx([1.0] * sums.height, abs=1e-5)


def test_a_track_rests_for_a_quarter_of_the_listeners_history_within_bounds() -> None:
    old = {"heard_before": True, "plays": 9, "source": "library"}
    block = frame(
        candidate("a", 2.0, **old, last_heard_at=days_ago(20)), candidate("b", 1.0, **old, last_heard_at=days_ago(99))
    )
    settings = one_shelf(pool="heard", size=2, spares=0, rules={"rest": {"days": 60}})

    def placed(first: int | None) -> list[str]:
        since = None if first is None else days_ago(first)
        rows = {"listener_id": ["ann"] * 2, "track_id": ["a", "b"], "heard": [True] * 2, "first_heard_at": [since] * 2}
        library = pl.DataFrame(rows, schema_overrides={"first_heard_at": pl.Datetime("us", "UTC")})
        return [item["track_id"] for item in shelf(make(block, settings=settings, library=library))["items"]]

    assert placed(80) == ["a", "b"]  # 20 days are a quarter of 80
    assert placed(120) == ["b"]
    assert placed(None) == ["b"]  # nothing known of the history: 60 days


def test_who_comes_back_to_their_tracks_often_has_left_one_alone_sooner() -> None:
    old = {"heard_before": True, "plays": 9, "source": "library"}
    ages = {"a": 6, "b": 12, "c": 30}
    block = frame(*(candidate(t, 1.0, **old, last_heard_at=days_ago(age)) for t, age in ages.items()))
    settings = one_shelf(pool="heard", size=3, spares=0, rules={"rest": {"days": 60}})

    def placed(*again: int) -> set[str]:
        """Shown to a listener of 400 days who heard other tracks more than once, last so many days ago."""
        of = [*ages.values(), *again]
        library = pl.DataFrame(
            {
                "listener_id": "ann",
                "track_id": [*ages, *(f"o{n}" for n in range(len(again)))],
                "heard": True,
                "again": [False] * len(ages) + [True] * len(again),
                "last_heard_at": [days_ago(age) for age in of],
                "first_heard_at": days_ago(400),
            }
        )
        return {item["track_id"] for item in shelf(make(block, settings=settings, library=library))["items"]}

    assert placed() == set(), "nothing is heard twice: 60 days, as of any long history"
    assert placed(1, 10, 90) == {"b", "c"}, "the median is 10 days"
    assert placed(1, 1, 1) == {"b", "c"}, "no less than 7 days"
    assert placed(200, 20, 25) == {"c"}, "the median is 25 days"
