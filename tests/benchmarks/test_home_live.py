"""The bench of Home in the live world: on the first day, when every order meets the same listeners, who knows all is best."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.benchmarks.home_live import IDS, ORDERS, of_page, run


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, np.ndarray]]:
    return run(listeners=30, tracks=200, days=2, seed=1, leaves=0.5, logs="page")


def test_on_the_first_day_nobody_beats_who_knows_every_chance(found: dict) -> None:
    best = found["oracle"]["any"][0]
    for how in ORDERS:
        assert (found[how]["any"][0] <= best + 1e-12).all(), how
        assert found[how]["chances"][0].shape == (30, len(IDS))
        assert np.array_equal(found[how]["chances"][0], found["oracle"]["chances"][0], equal_nan=True)
    assert best.mean() > found["settings"]["any"][0].mean()


def test_before_anything_was_seen_what_is_learned_is_the_order_of_the_settings(found: dict) -> None:
    assert np.allclose(found["greedy"]["any"][0], found["settings"]["any"][0])
    assert not np.allclose(found["greedy"]["any"][1], found["settings"]["any"][1])


def test_a_page_is_logged_whole_for_whoever_was_shown_any_of_it() -> None:
    item = pl.List(pl.Struct({"position": pl.Int32, "track_id": pl.String}))
    rows = [
        (who, "home", shelf, "v", [(1, f"{shelf}-1"), (2, f"{shelf}-2")]) for who in ("ann", "bob") for shelf in "ab"
    ]
    names = ["listener_id", "surface", "shelf_id", "version"]
    shelves = pl.DataFrame(
        [(*head, [{"position": n, "track_id": t} for n, t in items]) for *head, items in rows],
        schema={**dict.fromkeys(names, pl.String), "items": item},
        orient="row",
    )
    seen = {"listener_id": "ann", "surface": "home", "shelf_id": "a", "version": "v", "track_id": "a-1", "position": 1}
    impressions = pl.DataFrame([{**seen, "shown_at": 0}])
    page = of_page(shelves, impressions)
    assert page.select("listener_id", "shelf_id", "track_id").rows() == [
        ("ann", shelf, f"{shelf}-{n}") for shelf in "ab" for n in (1, 2)
    ]
