"""The catalog as arrays and listeners in blocks."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from tests.transforms.candidates.worlds import ROSTER, blocks_of, catalog_of, item, listens
from transforms.candidates.blocks import Catalog


def test_everyone_on_the_roster_has_a_row_in_roster_order() -> None:
    blocks = blocks_of(listens(), catalog_of(listens()), size=2)
    assert [b.listener_ids for b in blocks] == [["ann", "bob"], ["cat", "dan"], ["eve"]]
    assert blocks[2].history.height == 0 and blocks[2].activity["sessions"].to_list() == [0.0]
    assert blocks[2].markets == [""]


def test_history_counts_plays_and_ages_from_the_end_of_the_night() -> None:
    catalog = catalog_of(listens())
    mine = blocks_of(listens(), catalog)[0].history.filter(pl.col("row") == 0).sort("track_id")
    assert mine["track_id"].to_list() == ["a", "b", "c"]
    assert mine["plays"].to_list() == [2, 2, 1]
    assert mine["last_age"].to_list()[0] == pytest.approx(16 / 24)  # played at 08:00, the night ends at 24:00
    assert mine["decayed_plays"].to_list()[2] < 1 < mine["decayed_plays"].to_list()[0] < 2


def test_a_block_knows_nothing_later_than_its_night() -> None:
    catalog = catalog_of(listens())
    early = blocks_of(listens(), catalog, date(2024, 3, 9))[0]
    assert "e" not in early.history["track_id"].to_list()
    assert early.recent.filter(pl.col("row") == 1)["session_no"].unique().to_list() == [0]


def test_recent_numbers_sessions_from_the_latest_and_keeps_their_order() -> None:
    catalog = catalog_of(listens())
    recent = blocks_of(listens(), catalog)[0].recent.filter(pl.col("row") == 0)
    names = [catalog.track_ids[i] for i in recent["item"]]
    assert list(zip(recent["session_no"], names, strict=True)) == [(0, "a"), (0, "b"), (1, "a"), (1, "b"), (1, "c")]


def test_a_version_of_a_heard_recording_is_heard_and_unknown_tracks_count_through_their_recording() -> None:
    tracks = pl.DataFrame(
        {
            "track_id": ["a", "b", "c", "c-remaster", "d", "e", "f", "g", "h", "old-a"],
            "recording_id": ["ra", "rb", "rc", "rc", "rd", "re", "rf", "rg", "rh", "rh"],
        }
    )
    plays = listens()
    ids = ["", "a", "b", "c-remaster", "h"]
    catalog = Catalog.build(ids, tracks)
    heard = blocks_of(plays.with_columns(pl.col("track_id").replace("f", "old-a")), catalog)[0].heard(catalog).toarray()
    assert heard[0].tolist() == [0, 1, 1, 1, 0]  # ann heard c: its remaster is heard
    assert heard[2].tolist() == [0, 0, 0, 0, 1]  # cat heard old-a, which is not in the vocabulary: h is the same music


def test_a_sampled_track_is_in_the_history_but_not_heard() -> None:
    plays = listens().with_columns(ms_played=pl.when(pl.col("track_id") == "c").then(9_000).cast(pl.Int32))
    catalog = catalog_of(plays)
    block = blocks_of(plays, catalog)[0]
    assert "c" in block.history.filter(pl.col("row") == 0)["track_id"].to_list()
    assert block.heard(catalog)[0, item(catalog, "c")] == 0
    assert block.heard(catalog)[0, item(catalog, "a")] == 1


def test_a_catalog_takes_what_it_is_given() -> None:
    tracks = pl.DataFrame(
        {
            "track_id": ["a", "b"],
            "artist_ids": [["x", "y"], ["y"]],
            "tags": [None, ["dub"]],
            "album_id": ["k", None],
            "track_no": [3, None],
            "released_on": [date(1970, 1, 3), None],
            "explicit": [True, None],
        }
    )
    catalog = Catalog.build(["", "b", "a"], tracks)
    assert catalog.artists.toarray().tolist() == [[0, 0], [0, 1], [1, 1]]
    assert catalog.tags.toarray().sum() == 1 and catalog.tags[catalog.track_ids.tolist().index("b"), 0] == 1
    assert catalog.album.tolist() == [-1, -1, 0] and catalog.album_position.tolist() == [-1, -1, 1003]
    assert catalog.released_on.tolist() == [-1, -1, 2] and catalog.explicit.tolist() == [False, False, True]
    assert np.isnan(catalog.duration_ms).all()
    assert len(ROSTER) == 5


def test_an_empty_catalog_and_vocabulary_are_no_error() -> None:
    catalog = Catalog.build([""], pl.DataFrame({"track_id": []}, schema={"track_id": pl.String}))
    block = blocks_of(listens(), catalog)[0]
    assert len(catalog) == 1 and block.heard(catalog).nnz == 0 and block.matrix("plays").nnz == 0
