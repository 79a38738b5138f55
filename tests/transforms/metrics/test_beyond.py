"""Coverage, Gini, novelty and new artists by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.metrics.beyond import (
    artist_gini,
    coverage,
    exposures,
    first_places,
    gini,
    new_artist_share,
    novelty,
    played_artists,
)

RANKED = pl.DataFrame(
    {
        "listener_id": ["ann", "ann", "ann", "bob", "bob"],
        "item": [1, 2, 3, 1, 4],
        "rank": [1, 2, 3, 1, 2],
    }
)
CREDITS = pl.DataFrame(
    {"item": [1, 2, 2, 3, 4, 5], "artist_id": ["x", "x", "guest", "y", "z", "z"]},
)


def test_exposures_count_listeners_and_coverage_is_a_share_of_the_catalog() -> None:
    shown = exposures(first_places(RANKED, k=2))
    assert shown.to_dict(as_series=False) == {"item": [1, 2, 4], "exposures": [2, 1, 1]}
    assert coverage(shown, catalog_items=5) == pytest.approx(0.6)
    assert coverage(pl.concat([shown, shown]), catalog_items=5) == pytest.approx(0.6)


def test_artist_gini_counts_every_credited_artist_and_those_never_shown() -> None:
    # exposures in the first two places: x 3 (item 1 twice, item 2), guest 1, z 1, y 0
    assert artist_gini(exposures(first_places(RANKED, k=2)), CREDITS) == pytest.approx(gini(np.array([0, 1, 1, 3])))
    assert gini(np.array([0, 1, 1, 3])) == pytest.approx((-3 * 0 - 1 * 1 + 1 * 1 + 3 * 3) / (4 * 5))


@settings(max_examples=50)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.integers(2, 5))
def test_gini_ignores_scale_and_order(counts: list[int], times: int) -> None:
    value = gini(np.array(counts))
    assert 0.0 <= value < 1.0
    assert gini(np.array(counts[::-1]) * times) == pytest.approx(value)


def test_novelty_is_bits_and_an_item_nobody_had_is_the_most_novel() -> None:
    popularity = pl.DataFrame({"item": [1, 2], "listeners": [7, 3]})
    got = novelty(first_places(RANKED, k=2), popularity, listeners=7, k=2)
    # ann: items 1 (8/8 -> 0 bits) and 2 (4/8 -> 1 bit); bob: items 1 and 4 (1/8 -> 3 bits)
    assert got.to_dict(as_series=False) == {"listener_id": ["ann", "bob"], "novelty@2": [0.5, 1.5]}


def test_an_artist_is_new_only_if_no_credited_artist_was_played() -> None:
    played = pl.DataFrame({"listener_id": ["ann", "bob"], "item": [2, 5]})
    got = new_artist_share(first_places(RANKED, k=3), CREDITS.unique(), played_artists(played, CREDITS), k=3)
    # ann played x and guest: only item 3 (y) is new; bob played z: item 1 (x) is new, 4 (z) is not
    assert got.to_dict(as_series=False) == {
        "listener_id": ["ann", "bob"],
        "new_artist_share@3": [pytest.approx(1 / 3), 0.5],
    }
