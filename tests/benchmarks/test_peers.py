"""The peers' grids: an edge is told, and every neighbour by two products is every neighbour kept."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tests.benchmarks.peers import EVERY, at_an_edge, co_sessions, item_neighbours, peers
from transforms.evaluation.baselines import Training


@pytest.fixture(scope="module")
def training() -> Training:
    rng = np.random.default_rng(2)
    rows = [
        (f"l{who}", f"t{int(track)}", f"{who}-{day}", datetime(2026, 1, 1 + day) + timedelta(minutes=place))
        for who in range(12)
        for day in range(4)
        for place, track in enumerate(rng.zipf(1.4, 6) % 40)
    ]
    plays = pl.DataFrame(rows, schema=["listener_id", "item", "session_id", "started_at"], orient="row")
    return Training.build(plays, date(2026, 1, 5))


def agree(one: pl.DataFrame, two: pl.DataFrame) -> bool:
    """Whether both lists begin alike; far down equal scores stand in any order."""
    first = one.filter(pl.col("rank") <= 10)
    both = first.join(two, on=["listener_id", "item"])
    same = (both["rank"] == both["rank_right"]).sum()
    return both.height == first.height >= 100 and same >= 0.95 * first.height


@pytest.mark.parametrize("kind", ["bm25", "cosine"])
def test_every_neighbour_is_what_a_k_beyond_the_catalog_gives(training: Training, kind: str) -> None:
    assert agree(item_neighbours(kind, EVERY)(training), item_neighbours(kind, 60)(training))


def test_every_co_session_neighbour_likewise(training: Training) -> None:
    assert agree(co_sessions(30.0, EVERY)(training), co_sessions(30.0, 60)(training))


def test_no_peer_is_stuck_at_an_end_beyond_which_there_is_more() -> None:
    for peer in peers():
        assert all(any(at_an_edge(label, (end,)) for label in peer.variants) for end in peer.ends), peer.name
        assert not all(at_an_edge(label, peer.ends) for label in peer.variants), peer.name
    grid = next(p for p in peers() if p.name == "co-session-knn")
    assert not at_an_edge("no decay, every neighbours", grid.ends), "nothing is beyond it"
