"""Placing: every credited artist counts, nothing that fits is passed over, and nothing repeats on a surface."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from transforms.shelves.limits import ALBUM, ARTIST, IS_TAKEN, QUOTA, SONG, TAG, Caps, Counted, Limits, Of
from transforms.shelves.placing import Filled, Slots, fill
from transforms.shelves.shelf import VarietySettings
from transforms.shelves.tracks import Tracks
from transforms.shelves.variety import Tastes, Weights

NO_CAPS = Caps()
NOTHING = np.zeros(0, np.bool_)
NO_SLOTS = Slots(
    np.zeros(0, np.int64), NOTHING, NOTHING, np.zeros(0, np.uint64), 1, 0.0, 1.0, 0, np.zeros(0, np.float32)
)


def filled(
    credits: list[list[str]],
    number: int = 9,
    *,
    caps: Caps = NO_CAPS,
    taken: list[int] | None = None,
    spares: int = 0,
    scores: list[float] | None = None,
    tastes: Tastes | None = None,
    variety: VarietySettings | None = None,
    limits: Limits | None = None,
    **facts: Any,
) -> tuple[list[int], Filled]:
    """Rows 0..n-1 of one listener, best first, with these artists; what is placed in order, and all of it."""
    n = len(credits)
    names = [f"t{i:03}" for i in range(n)]
    tracks = Tracks.build(pl.DataFrame({"track_id": names, "artist_ids": credits, **facts}, schema_overrides=LISTS))
    track = tracks.rows(pl.Series(names))
    on_surface = np.zeros(n, np.bool_)
    on_surface[taken or []] = True
    made = fill(
        np.arange(n),
        np.array([0, n]),
        -np.arange(n).astype(np.float32) if scores is None else np.array(scores, np.float32),
        np.array([0]),
        Of(
            track,
            np.arange(n, dtype=np.int32),
            on_surface,
            Counted.of(tracks),
            tastes or Tastes.unknown(n, 1),
            np.zeros(1, np.uint64),
            tracks.hashes,
        ),
        limits or Limits.of(caps),
        NO_SLOTS,
        Weights.of(variety or VarietySettings()) if variety else Weights(0, 0.0, 1.0, 0.0, 0.0, 0.0),
        number,
        spares,
    )
    return [row for row in made.items[0].tolist() if row >= 0], made


LISTS = {"artist_ids": pl.List(pl.String), "tags": pl.List(pl.String)}


def test_a_collaboration_counts_for_each_of_its_artists() -> None:
    """Ann, then Ann & Bob (refused for Ann), then Bob (still free)."""
    rows, made = filled([["ann"], ["ann", "bob"], ["bob"]], caps=Caps(1, 0, 0))
    assert rows == [0, 2]
    assert made.refused.tolist() == [0, ARTIST, 0]


def test_without_a_cap_everything_fits() -> None:
    assert filled([["ann"]] * 3)[0] == [0, 1, 2]


def test_an_artist_credited_twice_on_a_track_counts_once() -> None:
    assert filled([["ann", "ann"], ["ann"]], caps=Caps(2, 0, 0))[0] == [0, 1]


def test_an_album_and_a_tag_have_caps_of_their_own() -> None:
    rows, made = filled([["a"], ["b"], ["c"]], caps=Caps(0, 1, 0), album_id=["x", "x", None])
    assert (rows, made.refused.tolist()) == ([0, 2], [0, ALBUM, 0])
    rows, made = filled([["a"], ["b"], ["c"]], caps=Caps(0, 0, 1), tags=[["pop", "live"], ["live"], ["rock"]])
    assert (rows, made.refused.tolist()) == ([0, 2], [0, TAG, 0])


def test_spares_keep_the_caps_too_and_come_after_the_items() -> None:
    rows, made = filled([["ann"], ["ann"], ["bob"], ["cy"]], 1, caps=Caps(1, 0, 0), spares=2)
    assert (rows, made.spares[0].tolist()) == ([0], [2, 3])


def test_what_the_surface_holds_is_left_out() -> None:
    rows, made = filled([["ann"], ["bob"]], taken=[0])
    assert (rows, made.refused.tolist()) == ([1], [IS_TAKEN, 0])


@given(
    credits=st.lists(st.lists(st.sampled_from("abcdefg"), max_size=3, unique=True), max_size=30),
    cap=st.integers(1, 3),
    number=st.integers(1, 30),
)
def test_the_walk_is_the_greedy_choice(credits: list[list[str]], cap: int, number: int) -> None:
    """The same as looking at the whole list again after every placement."""
    expected: list[int] = []
    while len(expected) < number:
        used = [artist for row in expected for artist in credits[row]]
        fits = [
            row
            for row in range(len(credits))
            if row not in expected and all(used.count(artist) < cap for artist in credits[row])
        ]
        if not fits:
            break
        expected.append(fits[0])
    assert filled(credits, number, caps=Caps(cap, 0, 0))[0] == expected


def test_a_source_gives_so_many_and_no_more() -> None:
    """Rows of sources 0 0 0 1 with at most two of the first: the third of them is left out."""
    source, most = np.array([0, 0, 0, 1], np.int8), np.array([2, 0], np.int32)
    rows, made = filled([["a"], ["b"], ["c"], ["d"]], limits=Limits(NO_CAPS, source, most, np.zeros(2, np.int32)))
    assert (rows, made.refused.tolist()) == ([0, 1, 3], [0, 0, QUOTA, 0])


def test_a_song_and_its_live_twin_are_told_apart_unless_the_shelf_says_otherwise() -> None:
    titles = ["Roads", "Roads (Live)", "Roads", "Numb - Remix", None, None]
    credits = [["a"], ["a"], ["b"], ["a"], ["a"], ["a"]]
    assert filled(credits, title=titles)[0] == [0, 1, 2, 3, 4, 5]
    rows, made = filled(credits, caps=Caps(song=1), title=titles)
    assert (rows, made.refused.tolist()) == ([0, 2, 3, 4, 5], [0, SONG, 0, 0, 0, 0])
