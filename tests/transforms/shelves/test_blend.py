"""Blend: who is in a group, what a track is worth to each member, which tracks stand on the list, and what a row says."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transforms.shelves.worlds import MONDAY
from transforms.listening.feedback import standing
from transforms.shelves.blend.choosing import alone, choose, satisfaction, weights
from transforms.shelves.blend.groups import members
from transforms.shelves.blend.making import Parts, blend_rows, in_order
from transforms.shelves.blend.offers import best, offered
from transforms.shelves.blend.relevance import relevance
from transforms.shelves.blend.settings import BlendSettings
from transforms.shelves.history import Embeddings
from transforms.shelves.settings import NightContext
from transforms.shelves.tracks import Tracks
from transforms.tables.chunks import Chunk
from transforms.tables.schema import TABLES

NIGHT = NightContext(MONDAY)
AT = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)


def listed(worth: list[list[float]], size: int, fairness: float = 1.0, cap: int = 9) -> list[int]:
    """Tracks chosen of a matrix [members, tracks], each by an artist of its own."""
    matrix = np.array(worth)
    n = matrix.shape[1]
    each = (np.arange(n), np.arange(n + 1), np.arange(n))
    return choose(matrix, *each, size, 0, fairness, cap)[0].tolist()


def test_nobody_is_left_out() -> None:
    pair, alone_in_taste = [1.0, 0.9, 0.8, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.9, 0.8]
    worth = [pair, alone_in_taste, pair]
    assert listed(worth, 3, fairness=0.0) == [0, 1, 2], "to the mean it does not matter who gains"
    assert listed(worth, 3) == [0, 3, 1], "whoever had nothing gains most by the second place"


def test_what_everybody_likes_comes_first() -> None:
    assert listed([[1.0, 0.0, 0.9], [0.0, 1.0, 0.9]], 3)[0] == 2


def test_a_list_of_ones_own_best_satisfies_wholly() -> None:
    worth = np.array([[0.2, 1.0, 0.5], [0.1, 0.1, 0.2]])
    assert satisfaction(worth, np.array([1, 2, 0])).tolist() == pytest.approx(
        [1.0, float(_of([0.1, 0.2, 0.1], worth[1]))]
    )
    assert alone(worth, 2)[0] == pytest.approx(1.0 + 0.5 * weights(2)[1])


def _of(items: list[float], worth: np.ndarray) -> float:
    w = weights(3)
    return float(w @ np.array(items) / (w @ np.sort(worth)[::-1]))


def test_an_artist_and_a_recording_are_capped() -> None:
    worth = np.array([[0.9, 0.8, 0.7, 0.6]])
    recording = np.array([0, 0, 1, 2])
    bounds, artists = np.array([0, 1, 2, 3, 4]), np.array([0, 0, 0, 1])
    assert choose(worth, recording, bounds, artists, 3, 0, 1.0, 1)[0].tolist() == [0, 3, -1]
    assert choose(worth, recording, bounds, artists, 3, 0, 1.0, 2)[0].tolist() == [0, 2, 3]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 40), st.floats(0, 5))
def test_a_list_is_whole_without_repeats_and_says_how_satisfied_each_is(
    seed: int, n: int, k: int, fairness: float
) -> None:
    rng = np.random.default_rng(seed)
    worth = rng.random((n, k)) * (rng.random((n, k)) < 0.6)
    recording, artists = rng.integers(0, k, k), rng.integers(0, 4, k)
    out, satisfied = choose(worth, recording, np.arange(k + 1), artists, 8, 3, fairness, 2)
    chosen = out[out >= 0]
    assert (out[len(chosen) :] == -1).all()
    assert len(set(recording[chosen])) == len(chosen)
    assert np.bincount(artists[chosen], minlength=4).max(initial=0) <= 2
    assert ((satisfied >= 0) & (satisfied <= 1)).all()
    if len(chosen) < 11:  # nothing that would fit was left out
        left = [
            t for t in range(k) if recording[t] not in recording[chosen] and (artists[chosen] == artists[t]).sum() < 2
        ]
        assert left == []


def test_own_candidates_count_by_their_place_and_strangers_by_the_vector_alone() -> None:
    nan = float("nan")
    score = np.array([3.0, 2.0, 1.0, nan, nan, nan], np.float32)
    cosine = np.array([0.1, 0.5, 0.3, 0.4, 0.0, nan], np.float32)
    worth = relevance(np.array([0, 6]), score, cosine, 0.5)
    assert worth.tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0.5 * 2 / 3, 0.0, 0.0])


def test_the_last_word_on_a_membership_counts() -> None:
    later = AT + dt.timedelta(1)
    said = [("ann", "b", AT, None), ("bob", "b", AT, False), ("bob", "b", later, True), ("cyd", "b", later, False)]
    said += [("cyd", "b", AT, True), ("dan", "b", AT, False), ("dan", "b", AT, True)]
    rows = pl.DataFrame(said, schema=["listener_id", "blend_id", "at", "left"], orient="row")
    assert members(rows)["listener_id"].to_list() == ["ann", "cyd"]


def parts(groups: dict[str, list[str]], offers: dict[str, dict[str, float]], **more: Any) -> Parts:
    """Groups by id, and what each listener offers with its score."""
    ok, acts = more.get("explicit_ok", {}), more.get("acts", [])
    people = [(b, who, more.get("market", {}).get(who), ok.get(who)) for b, every in groups.items() for who in every]
    offered = [(who, track, score) for who, own in offers.items() for track, score in own.items()]
    text = pl.String
    return Parts(
        pl.DataFrame(
            people,
            schema={"blend_id": text, "listener_id": text, "market": text, "explicit_ok": pl.Boolean},
            orient="row",
        ),
        pl.DataFrame(offered, schema={"listener_id": text, "track_id": text, "score": pl.Float32}, orient="row"),
        pl.DataFrame(
            list(more.get("vectors", {}).items()),
            schema={"listener_id": text, "vector": pl.List(pl.Float32)},
            orient="row",
        ),
        pl.DataFrame(acts, schema={"listener_id": text, "kind": text, "target": text}, orient="row"),
    )


def made(
    of: Parts, catalog: dict[str, dict[str, Any]] | None = None, **how: Any
) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows by group and listener."""
    ids = sorted({*of.offers["track_id"], *(catalog or {})})
    facts = [{"track_id": i, "artist_ids": [f"by-{i}"], "explicit": False, **(catalog or {}).get(i, {})} for i in ids]
    tracks = Tracks.build(pl.DataFrame(facts))
    rows = blend_rows(of, tracks, how.pop("embeddings", Embeddings.none(len(tracks))), BlendSettings(**how), NIGHT)
    TABLES["blend_shelves"].conform(in_order(rows))
    return {(row["blend_id"], row["listener_id"]): row for row in rows.to_dicts()}


def tracks_of(row: dict[str, Any]) -> list[str]:
    return [item["track_id"] for item in row["items"]]


OFFERS = {"ann": {"a1": 3.0, "a2": 2.0, "both": 1.0}, "bob": {"b1": 3.0, "both": 2.0, "b2": 1.0}}


def test_each_member_gets_the_one_list_with_what_it_is_worth_to_them() -> None:
    rows = made(parts({"g": ["ann", "bob"]}, OFFERS), size=3, spares=2)
    ann, bob = rows["g", "ann"], rows["g", "bob"]
    assert tracks_of(ann) == tracks_of(bob) and len(ann["items"]) == 3 and len(ann["spares"]) == 2
    assert ann["shelf_id"] == "blend-g" and ann["surface"] == "blend" and ann["status"] == "personal"
    worth = {item["track_id"]: item["score"] for item in [*ann["items"], *ann["spares"]]}
    assert worth == pytest.approx({"a1": 1, "a2": 2 / 3, "both": 1 / 3, "b1": 0, "b2": 0})
    why = {item["track_id"]: item["reason"] for item in [*bob["items"], *bob["spares"]]}
    assert why["b1"] == "fits_you" and why["a1"] == "fits_others"
    assert ann["satisfaction_gap"] == pytest.approx(abs(ann["satisfaction"] - bob["satisfaction"]), abs=1e-6)
    assert ann["satisfaction_mean"] == pytest.approx((ann["satisfaction"] + bob["satisfaction"]) / 2)


def test_what_one_member_must_not_hear_nobody_is_given() -> None:
    acts = [("bob", "block_track", "a1"), ("bob", "block_artist", "by-a2")]
    catalog = {"both": {"explicit": True}, "b2": {"markets": ["SE"]}}
    given_ = parts(
        {"g": ["ann", "bob"]},
        OFFERS,
        acts=acts,
        explicit_ok={"ann": False, "bob": True},
        market={"ann": "DE", "bob": "SE"},
    )
    rows = made(given_, catalog)
    assert tracks_of(rows["g", "bob"]) == ["b1"] == tracks_of(rows["g", "ann"])


def test_a_group_of_too_few_or_too_many_gets_empty_rows_that_say_so() -> None:
    many = [f"l{n:02}" for n in range(11)]
    offers = OFFERS | {one: {"x": 1.0} for one in many}
    rows = made(parts({"one": ["ann"], "many": many, "strange": ["ann", "zoe"]}, offers))
    assert len(rows) == 1 + 11 + 2
    assert all(row["status"] == "empty" and not row["items"] for row in rows.values())
    assert "this group has 11" in rows["many", "l00"]["status_reason"]
    assert "known well enough" in rows["strange", "zoe"]["status_reason"]


def test_a_newcomer_gets_the_groups_list_and_is_not_counted() -> None:
    rows = made(parts({"g": ["ann", "bob", "zoe"]}, OFFERS))
    assert tracks_of(rows["g", "zoe"]) == tracks_of(rows["g", "ann"]) != []
    assert rows["g", "zoe"]["satisfaction"] is None and rows["g", "zoe"]["satisfaction_gap"] is not None


def test_a_group_does_not_depend_on_which_others_are_made_beside_it() -> None:
    both = parts({"g": ["ann", "bob"], "h": ["bob", "cyd"]}, OFFERS | {"cyd": {"c1": 1.0, "a1": 0.5}})
    one = parts({"g": ["ann", "bob"]}, OFFERS)
    assert made(both)["g", "ann"] == made(one, {"c1": {}})["g", "ann"]


def test_members_bring_only_what_a_night_placed_and_what_they_forbid() -> None:
    shown = pl.DataFrame(
        [
            ("ann", "a", "placed", 1.0),
            ("ann", "b", "spare", 2.0),
            ("ann", "c", "candidate", 3.0),
            ("eve", "d", "placed", 1.0),
        ],
        schema={"listener_id": pl.String, "track_id": pl.String, "stage": pl.String, "ranker_score": pl.Float32},
        orient="row",
    )
    assert best(shown, 1)["track_id"].to_list() == ["b", "d"]
    said = {"listener_id": ["ann"] * 2, "kind": ["block_track", "like"], "target": ["x", "y"], "at": [AT, AT]}
    joined = {"listener_id": ["ann"] * 2, "blend_id": ["g", "h"], "at": [AT] * 2, "left": [None] * 2}
    chunk = Chunk(
        0,
        {
            "blends": pl.DataFrame(joined, schema=TABLES["blends"].polars),
            "listeners": TABLES["listeners"].empty(),
            "candidates": shown,
            "listener_embeddings": TABLES["listener_embeddings"].empty(),
            "feedback": pl.DataFrame(said, schema=TABLES["feedback"].polars),
        },
    )
    got = list(offered(chunk, 10, 4, standing))
    assert sorted(b for part in got for b in part["members"]["blend_id"]) == ["g", "h"]
    for part in got:
        assert set(part["offers"]["listener_id"]) == {"ann"} and part["offers"].columns == [
            "listener_id",
            "track_id",
            "score",
        ]
        assert part["acts"].rows() == [("ann", "block_track", "x")]
