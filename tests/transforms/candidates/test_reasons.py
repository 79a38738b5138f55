"""Reasons cite only what the listener liked, one track explains a few items of a shelf, and a reason must hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.transforms.candidates.worlds import NIGHT, blocks_of, catalog_of, default_sources, learned_from, listens
from transforms.candidates.base import Source, SparseScores
from transforms.candidates.blocks import Block
from transforms.candidates.reasons import SEEDS, citable, explain
from transforms.candidates.union import retrieve_block

PLAYS = listens()
CATALOG = catalog_of(PLAYS)
BLOCK = blocks_of(PLAYS, CATALOG)[0]
SOURCES = default_sources(learned_from(PLAYS, CATALOG), CATALOG, NIGHT)
FOUND = retrieve_block(BLOCK, CATALOG, SOURCES, 10)


def said(*acts: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(acts, schema=["listener_id", "kind", "target"], orient="row")


def reason_of(track: str, feedback: pl.DataFrame | None = None, listener: str = "ann") -> dict[str, object]:
    shown = FOUND.filter(listener_id=listener, track_id=track)
    return explain(BLOCK, CATALOG, SOURCES, shown, feedback).row(0, named=True)


def test_the_strongest_track_is_cited() -> None:
    assert (reason_of("d")["reason"], reason_of("d")["reason_ref"]) == ("played_together_with", "b")


@pytest.mark.parametrize("kind", ["dislike", "block_track"])
def test_a_track_that_was_disliked_or_blocked_is_never_cited(kind: str) -> None:
    found = reason_of("d", said(("ann", kind, "b")))
    assert found["reason_ref"] not in (None, "b")
    assert reason_of("d", said(("bob", kind, "b")))["reason_ref"] == "b"  # another listener's word


def test_with_nothing_left_to_cite_the_reason_names_nothing() -> None:
    found = reason_of("d", said(*(("ann", "dislike", t) for t in "abc")))
    assert found["reason_ref"] is None


def test_a_track_by_a_blocked_artist_is_never_cited_whatever_the_spelling() -> None:
    tracks = pl.DataFrame({"track_id": [*"abcdef"], "artist_ids": [["Q"], ["The Ånd"], ["Q"], ["X"], ["X"], ["X"]]})
    catalog = catalog_of(PLAYS, tracks)
    block = blocks_of(PLAYS, catalog)[0]
    left = citable(block, catalog, said(("ann", "block_artist", "the ånd")))
    mine = left.history.filter(row=block.listener_ids.index("ann"))
    assert "b" not in mine["track_id"].to_list() and mine.height


def test_a_track_that_was_only_skipped_is_never_cited() -> None:
    skipped = replace(BLOCK, history=BLOCK.history.with_columns(heard=pl.lit(0, BLOCK.history.schema["heard"])))
    assert citable(skipped, CATALOG).history.is_empty() and citable(skipped, CATALOG).recent.is_empty()


def test_one_play_is_not_you_keep_playing_it() -> None:
    often = replace(BLOCK, history=BLOCK.history.with_columns(plays=pl.lit(5, BLOCK.history.schema["plays"])))
    heard = FOUND.filter(listener_id="ann", track_id="a")
    assert explain(often, CATALOG, SOURCES, heard)["reason"].to_list() == ["you_keep_playing"]
    assert explain(BLOCK, CATALOG, SOURCES, heard)["reason"].to_list() == ["you_played_it"]


class Fixed(Source):
    """A source that explains everything by one track."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.reason, self.seed = name, name, seed  # type: ignore[misc]

    def score(self, block: Block) -> SparseScores:
        return SparseScores(block.matrix("plays"))

    def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        return np.full(len(rows), self.seed, np.int32)


def many(second: bool, shelves: list[int]) -> pl.DataFrame:
    """Six candidates that one source found by track 1, and, if asked for, another by track 2."""
    n = len(shelves)
    rank = {"rank_one": np.arange(1, n + 1), "rank_two": np.arange(1, n + 1) + 9 if second else [None] * n}
    base = {"row": [0] * n, "item": np.arange(3, 3 + n), "heard_before": [False] * n, "shelf": shelves}
    frame = pl.DataFrame({**base, **rank}, schema_overrides={"rank_one": pl.Int32, "rank_two": pl.Int32})
    return explain(BLOCK, CATALOG, [Fixed("one", 1), Fixed("two", 2)], frame)


def test_one_track_explains_a_few_items_of_a_shelf_where_another_source_found_them_too() -> None:
    assert many(True, [0] * 4)["reason"].to_list() == ["one"] * SEEDS + ["two"]
    assert many(False, [0] * 4)["reason"].to_list() == ["one"] * 4  # where none did, it is still true
    assert many(True, [0, 0, 1, 1])["reason"].to_list() == ["one"] * 4  # counted by shelf
