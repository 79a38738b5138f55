"""The source `sequence`: it reads the last listens in order with the time between, and scores by a dot product."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl

from tests.transforms.candidates.worlds import NIGHT, ROSTER, blocks_of, catalog_of, listens
from transforms.candidates.base import SourceInputs
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.sequence import Sequence, last_listens


def world() -> tuple[Block, Catalog]:
    plays = listens()
    catalog = catalog_of(plays)
    return blocks_of(plays, catalog)[0], catalog


def names(catalog: Catalog, items: np.ndarray) -> list[str]:
    return [catalog.track_ids[i] for i in items if i > 0]


def test_last_listens_are_in_order_of_play_and_end_at_the_right() -> None:
    block, catalog = world()
    items, seconds = last_listens(block, 4)
    ann = ROSTER.index("ann")
    assert names(catalog, items[ann]) == ["b", "c", "a", "b"]
    assert seconds[ann].tolist() == [240, 240, 86_400 - 480, 240]
    dan = ROSTER.index("dan")
    assert items[dan, 0] == 0
    assert names(catalog, items[dan]) == ["f", "g", "h"]
    assert np.isnan(seconds[dan, :2]).all(), "nothing stands before the first"


def test_a_listener_without_a_listen_has_an_empty_row() -> None:
    block, _ = world()
    items, seconds = last_listens(block, 4)
    eve = ROSTER.index("eve")
    assert not items[eve].any()
    assert np.isnan(seconds[eve]).all()


def test_a_track_the_vocabulary_lacks_keeps_its_place_as_unknown() -> None:
    plays = listens()
    known = catalog_of(plays.filter(pl.col("track_id") != "a"))
    items, _ = last_listens(blocks_of(plays, known)[0], 3)
    assert [known.track_ids[i] for i in items[ROSTER.index("ann")]] == ["c", "", "b"]


def test_it_scores_by_the_state_and_leaves_out_what_is_excluded() -> None:
    """A model of which the state is the last track's vector, turned to the track after it in the alphabet."""
    block, catalog = world()
    order = np.argsort(catalog.track_ids.astype(str))
    place = np.argsort(order)
    vectors = np.eye(len(catalog), dtype=np.float32)[place]
    vectors[0] = 0

    def embed(items: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        assert items.shape == seconds.shape == (len(block), 5)
        states = np.roll(vectors[items[:, -1]], 1, axis=1)
        states[items[:, -1] == 0] = 0
        return states

    model = SimpleNamespace(items=vectors, length=5, states=embed)
    source = Sequence.of(SourceInputs(catalog, NIGHT, {"sequence": model}))
    assert source is not None
    assert (source.name, source.reason) == ("sequence", "follows")
    found = source.score(block).top(1, None)
    best = {ROSTER[r]: catalog.track_ids[i] for r, i in zip(found.rows, found.items, strict=True)}
    assert best["ann"] == "c"
    assert best["cat"] == "h"
    assert "eve" not in best
    heard = source.score(block).top(1, block.heard(catalog))
    assert all(s == 0 for r, s in zip(heard.rows, heard.scores, strict=True) if ROSTER[r] == "ann"), "c is heard"
