"""The source `adjacent_artists` and its fit, on the world reckoned by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.transforms.candidates.worlds import (
    NIGHT,
    ROSTER,
    World,
    blocks_of,
    catalog_of,
    default_sources,
    item,
    learned_from,
    listens,
)
from transforms.candidates.adjacent_artists import AdjacencySettings, AdjacentArtists, fit_adjacency

PLAYS = listens()
TRACKS = pl.DataFrame(
    {"track_id": list("abcdefgh"), "artist_ids": [["x"], ["x"], ["y"], ["d"], ["e"], ["f"], ["f"], ["h"]]}
)
CATALOG = catalog_of(PLAYS, TRACKS)
BLOCK = blocks_of(PLAYS, CATALOG)[0]
BARE = learned_from(PLAYS, CATALOG)
ANN, CAT, EVE = (ROSTER.index(name) for name in ("ann", "cat", "eve"))


def fitted(**settings: float) -> World:
    near = BARE.neighbours
    made = AdjacencySettings.model_validate(settings)
    return replace(BARE, adjacency=fit_adjacency(near.shared, near.own, CATALOG, made))


def source(learned: World) -> AdjacentArtists:
    assert learned.adjacency is not None
    return AdjacentArtists(CATALOG, learned.adjacency.aligned(CATALOG), learned.popularity.plays)


def near(learned: World, one: str, other: str) -> float:
    names = CATALOG.artist_keys.tolist()
    assert learned.adjacency is not None
    return float(learned.adjacency.near[names.index(one), names.index(other)])


def test_artists_are_near_who_stand_in_the_same_sessions() -> None:
    learned = fitted(power=0.5)
    two, three = 2**-1.5, 3**-1.5
    # x is a and b, three times together; d stood once with a and twice with b
    a_b = 2 * three + two
    own_x = (2 * three + two) + (3 * three + two)
    size_x = own_x + 2 * a_b
    assert near(learned, "x", "d") == pytest.approx(3 * three / (size_x * 2 * three) ** 0.5, rel=1e-4)
    assert near(learned, "x", "x") == 0 == near(learned, "x", "f")


def test_tracks_of_near_artists_are_found_but_not_those_of_ones_own() -> None:
    found = source(fitted()).score(BLOCK).top(10, BLOCK.heard(CATALOG))
    mine = [CATALOG.track_ids[i] for i in found.items[found.rows == ANN]]
    assert mine[0] == "d" and set(mine) == {"d", "e"}
    assert [CATALOG.track_ids[i] for i in found.items[found.rows == CAT]] == ["h"]
    assert EVE not in found.rows


def test_the_reason_is_the_most_played_track_of_the_artist_that_speaks_for_it() -> None:
    why = source(fitted()).explain(BLOCK, np.int32([ANN, CAT, EVE]), np.int32([item(CATALOG, t) for t in "dhd"]))
    seeds = [CATALOG.track_ids[i] for i in why]
    assert seeds[0] in ("a", "b") and seeds[1] in ("f", "g") and seeds[2] == ""


def test_it_is_saved_with_the_rest_and_serves_a_later_catalog(tmp_path: Path) -> None:
    learned = fitted()
    learned.save(tmp_path)
    back = World.load(tmp_path)
    later = catalog_of(PLAYS, TRACKS.with_columns(artist_ids=pl.col("artist_ids").list.concat(pl.lit(["a-new-one"]))))
    assert back.adjacency is not None and learned.adjacency is not None
    moved, names = back.adjacency.aligned(later), later.artist_keys.tolist()
    assert moved[names.index("x"), names.index("d")] == pytest.approx(near(learned, "x", "d"))
    assert moved[names.index("a-new-one")].nnz == 0
    assert "adjacent_artists" in [s.name for s in default_sources(back, CATALOG, NIGHT)]


def test_it_is_absent_where_it_was_not_fitted_or_no_artist_is_known(tmp_path: Path) -> None:
    assert fit_adjacency(BARE.neighbours.shared, BARE.neighbours.own, catalog_of(PLAYS)) is None
    BARE.save(tmp_path)
    assert World.load(tmp_path).adjacency is None
    assert "adjacent_artists" not in [s.name for s in default_sources(BARE, CATALOG, NIGHT)]
    assert "adjacent_artists" not in [s.name for s in default_sources(fitted(), catalog_of(PLAYS), NIGHT)]


def test_an_artist_keeps_its_nearest() -> None:
    assert np.diff(fitted(per_artist=1).adjacency.near.indptr).max() == 1  # type: ignore[union-attr]
