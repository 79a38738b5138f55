"""Stored propensities are true with everything switched on: variety, quotas, caps, open slots and slots for new tracks.

Many listeners with the same candidates are one experiment repeated: a track must be drawn into a slot as often as the
probabilities that were stored for it say, whatever was placed before.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from tests.transforms.shelves.worlds import MONDAY, candidate, catalog_of, frame
from transforms.common.hashing import stable_hash
from transforms.shelves.assemble import Given, assemble
from transforms.shelves.history import Embeddings, TrackSide
from transforms.shelves.output import Assembled
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.tracks import Tracks

N = 4000
FIELDS = {"title": "x", "size": 8, "spares": 2}
EVERYTHING = {"mmr": 0.4, "artist_decay": 0.7, "calibration": 0.3, "popularity": 0.2, "window": 10}
SHELVES = ShelvesSettings.model_validate(
    {
        "shelves": [
            {
                "shelf_id": "everything",
                **FIELDS,
                "open_slots": 2,
                "new_tracks": {"slots": 2, "most_listeners": 3},
                "sources": {"als": None, "content": 3},
                "variety": EVERYTHING,
                "exploration": {"epsilon": 0.2, "tau": 0.5, "pool": 6},
            },
            {"shelf_id": "second", **FIELDS, "open_slots": 3, "variety": {"mmr": 0.5}},
            {
                "shelf_id": "believed",
                "surface": "elsewhere",
                **FIELDS,
                "exploration": {"policy": "thompson", "epsilon": 0.1, "pool": 8},
            },
        ],
        "home_swap": 0,
    }
)


@pytest.fixture(scope="module")
def made() -> Assembled:
    """Forty candidates, the same for everybody: some new, some of one artist, from two sources, of two tags."""
    rng = np.random.default_rng(1)
    one = frame(
        *(candidate(f"t{n:02}", float(s), artist_ids=[f"a{n % 15}"]) for n, s in enumerate(rng.normal(size=40)))
    ).with_columns(
        rank_als=pl.int_range(1, pl.len() + 1).cast(pl.Float32),
        rank_content=pl.when(pl.int_range(pl.len()) % 3 == 0).then(1.0),
        tags=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(["pop"])).otherwise(pl.lit(["rock"])),
    )
    one = one.with_columns(reward_spread=pl.Series(rng.choice([0.01, 0.3, 1.5], size=40).astype(np.float32)))
    one = one.with_columns(rank_als=pl.when(pl.int_range(pl.len()) % 4 > 0).then("rank_als"))
    people = pl.DataFrame({"listener_id": [f"l{n}" for n in range(N)]})
    tracks = Tracks.build(catalog_of(one))
    vectors = rng.normal(size=(len(tracks), 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    audience = np.where(np.arange(len(tracks)) % 5 == 0, 2.0, 50.0)
    side = TrackSide.of(tracks, Embeddings(vectors, np.arange(len(tracks), dtype=np.int32)), audience)
    plays = people.with_columns(track_id=pl.lit("t03"), decayed_plays=pl.lit(2.0))
    block = one.drop("listener_id").join(people, how="cross")
    roster = people.with_columns(market=pl.lit("DE"), explicit_ok=pl.lit(True))
    return assemble(
        block, roster, Given(tracks, side=side, plays=plays), night=NightContext(MONDAY, "v1", 7), settings=SHELVES
    )


@pytest.mark.parametrize(("shelf_id", "slots"), [("everything", 4), ("second", 3), ("believed", 3)])
def test_a_track_is_drawn_as_often_as_its_stored_probabilities_say(made: Assembled, shelf_id: str, slots: int) -> None:
    draws = made.draws.filter(shelf_id=shelf_id)
    assert draws["slot"].n_unique() == slots and draws.height == N * slots
    pools = draws.select("slot", drawn="track_id", pool="pool").explode("pool").unnest("pool")
    seen = pools.group_by("slot", "track_id").agg(
        expected=pl.col("probability").sum(),
        spread=(pl.col("probability") * (1 - pl.col("probability"))).sum().sqrt(),
        drawn=(pl.col("drawn") == pl.col("track_id")).sum(),
    )
    assert seen.height > 4 * slots
    off = seen.select((pl.col("drawn") - pl.col("expected")).abs() / (pl.col("spread") + 1)).to_series()
    assert off.max() < 4.5, "deviations of a sum of independent draws"


def test_what_is_stored_with_an_item_is_what_its_slot_drew(made: Assembled) -> None:
    items = made.shelves.select("listener_id", "shelf_id", "items").explode("items", keep_nulls=False).unnest("items")
    drawn = items.filter("explored").select(
        "listener_id", "shelf_id", slot="position", track_id="track_id", p="propensity"
    )
    stored = made.draws.select("listener_id", "shelf_id", "slot", "track_id", p="propensity")
    assert drawn.sort(pl.all()).equals(stored.sort(pl.all()))


def test_slots_for_new_tracks_draw_among_new_tracks_and_say_so(made: Assembled) -> None:
    draws = made.draws.filter(shelf_id="everything")
    policies = draws.select("slot", pl.col("policy").str.extract(r"^(\w+)\(")).unique().sort("slot")["policy"].to_list()
    assert sorted(policies) == ["epsilon_softmax", "epsilon_softmax", "new_tracks", "new_tracks"]
    pools = draws.select("policy", pool="pool").explode("pool").unnest("pool")
    for_new = pl.col("policy").str.starts_with("new_tracks")
    names = [f"t{n:02}" for n in range(40)]
    new = set(np.array(names)[np.argsort(stable_hash(names))][::5].tolist())  # as `made` gives them an audience
    assert set(pools.filter(for_new)["track_id"]) <= new
    assert set(pools.filter(~for_new)["track_id"]) - new


def test_rules_of_choice_hold_with_everything_switched_on(made: Assembled) -> None:
    """No more than two of an artist and three of the second source, items and spares together."""
    parts = [
        made.shelves.filter(shelf_id="everything").select("listener_id", item=pl.col(c)) for c in ("items", "spares")
    ]
    items = pl.concat(parts).explode("item", keep_nulls=False).unnest("item")
    assert items.explode("artist_ids").group_by("listener_id", "artist_ids").len()["len"].max() == 2
    number = items["track_id"].str.slice(1).cast(pl.Int32)
    content = (number % 4 == 0) & (number % 3 == 0)  # found by content alone
    assert items.filter(content).group_by("listener_id").len()["len"].max() <= 3
    assert items.filter((number % 4 == 0) & (number % 3 > 0)).is_empty(), "found by neither source"


def test_probabilities_follow_the_shelfs_own_exploration(made: Assembled) -> None:
    for shelf_id, epsilon, most in (("everything", 0.2, 6), ("second", 0.1, 30), ("believed", 0.1, 8)):
        pools = made.draws.filter(shelf_id=shelf_id).head(50)["pool"]
        for pool in pools.to_list():
            p = [one["probability"] for one in pool]
            assert len(pool) <= most and math.isclose(sum(p), 1.0, abs_tol=1e-5)
            assert min(p) >= epsilon / len(pool) - 1e-6


def test_a_thompson_slot_draws_by_the_chance_to_be_the_best(made: Assembled) -> None:
    """The stored probabilities against the deviates themselves, drawn 200,000 times."""
    one = made.draws.filter(shelf_id="believed").row(0, named=True)
    assert one["policy"] == "epsilon_thompson(epsilon=0.1, pool=8)"
    rng = np.random.default_rng(1)
    scores = rng.normal(size=40)
    spreads = rng.choice([0.01, 0.3, 1.5], size=40)  # as `made` deals them
    at = [int(item["track_id"][1:]) for item in one["pool"]]
    best = (scores[at] + spreads[at] * rng.normal(size=(200_000, len(at)))).argmax(axis=1)
    wanted = 0.9 * np.bincount(best, minlength=len(at)) / len(best) + 0.1 / len(at)
    assert np.abs(np.array([item["probability"] for item in one["pool"]]) - wanted).max() < 0.02


def test_a_track_without_a_belief_is_as_its_score_and_nothing_believed_leaves_softmax() -> None:
    from transforms.shelves.exploration import thompson

    scores = np.array([2.0, 1.0, np.nan], np.float32)
    assert thompson(scores, np.full(3, np.nan, np.float32), 0.3).tolist() == pytest.approx([0.8, 0.1, 0.1])
    wide = thompson(scores, np.array([1e-3, np.nan, 50.0], np.float32), 0.0)
    assert wide[0] == pytest.approx(0.5, abs=0.03) and wide[1] < 1e-3, "what is least known is tried"
