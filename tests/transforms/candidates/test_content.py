"""The source `content`: tracks without a play in the window, by artists and tags alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.transforms.candidates.worlds import (
    NIGHT,
    ROSTER,
    blocks_of,
    default_sources,
    learned_from,
    listens,
    vocabulary,
)
from transforms.candidates.blocks import Catalog
from transforms.candidates.content import Content, content_vectors
from transforms.candidates.settings import SourceSettings

PLAYS = listens()
# nobody has played n1 (ann's artist), n2 (a tag of hers), n3 (cat's artist and tag), n4 (nothing is known of it)
TRACKS = pl.DataFrame(
    {
        "track_id": [*"abcdefgh", "n1", "n2", "n3", "n4"],
        "artist_ids": [["x"], ["x"], ["y"], ["y"], ["z"], ["q"], ["q"], ["q"], ["x"], ["w"], ["q"], None],
        "tags": [["soul"], None, ["soul"], None, None, ["dub"], None, None, None, ["soul"], ["dub"], None],
    }
)
CATALOG = Catalog.build(vocabulary(TRACKS["track_id"].to_list()), TRACKS)
LEARNED = learned_from(PLAYS, CATALOG)
BLOCK = blocks_of(PLAYS, CATALOG)[0]
ANN, CAT, EVE = (ROSTER.index(name) for name in ("ann", "cat", "eve"))


def source(**more: int) -> Content:
    return Content(CATALOG, LEARNED.popularity.plays, **more)


def listed(content: Content, row: int) -> list[str]:
    found = content.score(BLOCK).top(10, BLOCK.heard(CATALOG))
    return [CATALOG.track_ids[i] for i in found.items[found.rows == row]]


def row_of(track: str) -> int:
    return CATALOG.track_ids.tolist().index(track)


def test_unplayed_tracks_of_ones_artists_come_before_those_of_ones_tags() -> None:
    assert listed(source(), ANN) == ["n1", "n2"]
    assert listed(source(), CAT) == ["n3"]
    assert listed(source(), EVE) == []


def test_the_score_is_a_cosine_and_of_played_tracks_nothing_is_said() -> None:
    scores = source().score(BLOCK)
    wanted = np.int32([row_of(t) for t in ("n3", "a", "h")])
    found = scores.of(np.full(3, CAT, np.int32), wanted)
    assert 0.9 < found[0] <= 1.0 + 1e-6 and found[1:].tolist() == [0, 0]


def test_a_rare_value_says_more_and_one_of_a_single_track_nothing() -> None:
    vectors = content_vectors(CATALOG)
    lengths = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
    assert lengths[row_of("a")] == pytest.approx(1) and lengths[row_of("n4")] == 0
    both = vectors[row_of("a")].toarray().ravel()
    # x and soul stand on three tracks each: of equal rarity, a tag counts half
    assert sorted(both[both > 0] / both.max()) == pytest.approx([0.5, 1.0])
    assert vectors[row_of("e")].nnz == 0  # z has one track


def test_only_so_many_unplayed_tracks_are_compared_of_the_most_played_artists_first() -> None:
    plays = LEARNED.popularity.plays
    dear = "n1" if plays[[row_of("a"), row_of("b")]].sum() > plays[[row_of(t) for t in "fgh"]].sum() else "n3"
    assert listed(source(tracks=1), ANN if dear == "n1" else CAT) == [dear]
    assert listed(source(tracks=1), CAT if dear == "n1" else ANN) == []


def test_the_reason_is_the_heard_track_most_like_it() -> None:
    why = source().explain(BLOCK, np.int32([CAT, ANN, EVE]), np.int32([row_of(t) for t in ("n3", "n2", "n1")]))
    assert [CATALOG.track_ids[i] for i in why] == ["f", "c", ""] or [CATALOG.track_ids[i] for i in why][1] in ("a", "c")


def test_a_catalog_of_ids_alone_or_a_switch_takes_it_out() -> None:
    bare = Catalog.build(CATALOG.track_ids.tolist(), TRACKS.select("track_id"))
    assert "content" in [s.name for s in default_sources(LEARNED, CATALOG, NIGHT)]
    assert "content" not in [s.name for s in default_sources(LEARNED, bare, NIGHT)]
    off = SourceSettings(content=False)
    assert "content" not in [s.name for s in default_sources(LEARNED, CATALOG, NIGHT, settings=off)]
