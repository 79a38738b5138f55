"""Two towers: sampling is corrected, tastes are learned, new tracks have vectors, and a killed fit ends the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from scipy.sparse import csr_matrix

from models import histories
from models.settings import HistorySettings, TwoTowerSettings
from models.two_tower import Content, TwoTower, _Towers, fit
from models.two_tower_data import Data, content_bags
from models.vocabulary import Vocabulary

QUICK = TwoTowerSettings(dims=8, hidden=8, epochs=12, batch=16, negatives=64, learning_rate=0.02, history=20)


def test_a_history_is_distinct_tracks_latest_first() -> None:
    m = histories.matrix([0, 0, 0, 2], [5, 7, 5, 0], [1, 2, 3, 4], (3, 9), HistorySettings(half_life=1))
    assert m.toarray().tolist() == [[0, 0, 0, 0, 0, 1.0, 0, 0.5, 0], [0] * 9, [0] * 9]


def test_examples_are_later_sessions_with_what_they_brought_that_was_new() -> None:
    plays = pl.DataFrame(
        {"listener": ["a"] * 6 + ["b"], "session": [1, 1, 2, 2, 3, 3, 1], "item": [1, 2, 2, 3, 1, 2, 4]},
        schema_overrides={"item": pl.Int32},
    )
    x, y = histories.examples(plays, 5, HistorySettings(half_life=1))
    assert y.toarray().tolist() == [[0, 0, 0, 1, 0]], "only a's second session brings something new"
    assert x.toarray().tolist() == [[0, 0.5, 1, 0, 0]], "and sees nothing of itself"


def test_training_and_scoring_read_a_history_the_same_way() -> None:
    rng = np.random.default_rng(0)
    plays = pl.DataFrame({"listener": 0, "session": np.repeat(np.arange(30), 10), "item": rng.integers(1, 60, 300)})
    settings = HistorySettings(length=25, half_life=4)
    x, y = histories.examples(plays.with_columns(pl.col("item").cast(pl.Int32)), 60, settings)
    # The example whose session is the last one that brought anything new.
    first = plays.with_row_index("when").group_by("item").agg(pl.col("session").min())
    for i in range(x.shape[0]):
        session = first.filter(pl.col("item").is_in(y[i].indices.tolist()))["session"].unique()
        assert len(session) == 1
        before = plays.filter(pl.col("session") < session[0])
        whole = histories.matrix(np.zeros(len(before)), before["item"], np.arange(len(before)), (1, 60), settings)
        assert np.allclose(x[i].toarray(), whole.toarray())


def test_examples_grow_with_the_audience_up_to_their_budget() -> None:
    settings = HistorySettings(examples=20, examples_each=0.5, examples_most=70)
    made = []
    for listeners in (30, 100, 200):
        plays = pl.DataFrame(
            {"listener": np.repeat(np.arange(listeners), 3), "session": np.tile(np.arange(3), listeners)}
        )
        plays = plays.with_columns(item=(pl.col("session") + 1).cast(pl.Int32))  # each session brings a new track
        made.append(histories.examples(plays, 5, settings)[0].shape[0])
    assert made == [20, 50, 70]


def two_tastes(n_items: int = 41, listeners: int = 120) -> tuple[csr_matrix, csr_matrix]:
    """Even listeners hear even tracks, odd ones odd tracks; track 0 is the unknown one."""
    rng = np.random.default_rng(0)
    x, y = np.zeros((2, listeners, n_items), np.float32)
    for u in range(listeners):
        mine = rng.permutation(np.arange(2 - u % 2, n_items, 2))
        x[u, mine[:6]], y[u, mine[6:9]] = 1, 1
    return csr_matrix(x), csr_matrix(y)


@pytest.mark.parametrize("full", [1000, 0], ids=["full softmax", "sampled"])
def test_tastes_are_learned(full: int) -> None:
    x, y = two_tastes()
    model = fit(x, y, settings=QUICK.model_copy(update={"full_softmax": full}), seed=1)
    scores = model.embed(x) @ model.items.T
    same = (np.arange(120)[:, None] % 2) == (np.arange(41)[None, :] % 2)
    in_order = scores[:, 1:][same[:, 1:]][:, None] > scores[:, 1:][~same[:, 1:]][None, ::7]
    assert in_order.mean() > 0.9
    assert not model.items[0].any()
    assert model.losses[-1] < model.losses[0]


def test_sampled_loss_estimates_the_loss_over_the_whole_catalog() -> None:
    """With popular tracks drawn ten times as often as rare ones, the corrected mean is the full softmax's."""
    x, y = two_tastes()
    y = y.toarray()
    y[:, 2] = 1
    base = QUICK.model_copy(update={"history_dropout": 0.0, "batch": 200, "targets": 100})
    tf.random.set_seed(0)
    towers = _Towers(41, {}, {}, base)
    towers.bias.assign(np.random.default_rng(1).standard_normal(41).astype(np.float32))

    def loss(settings: TwoTowerSettings, epoch: int) -> float:
        data = Data(x, csr_matrix(y), Content(), settings, 0, {})
        (batch,) = data.batches(epoch)
        step = tf.function(towers.compute_loss)
        return float(step(tf.nest.map_structure(tf.constant, batch)))

    full = loss(base, 0)
    drawn = np.mean([loss(base.model_copy(update={"full_softmax": 0, "negatives": 4000}), e) for e in range(4)])
    assert abs(drawn - full) < 0.01


def test_spellings_of_an_artist_are_one_artist() -> None:
    names = ["Björk", "Bjo\u0308rk", "BJÖRK", "Simon & Garfunkel", "simon and garfunkel", "Low"]
    ids = [f"t{n}" for n in range(len(names))]
    tracks = pl.DataFrame({"track_id": ids, "artist_ids": [[name] for name in names], "tags": [[]] * len(names)},
                          schema_overrides={"tags": pl.List(pl.String)})  # fmt: skip
    vocabulary = Vocabulary.build(pl.Series(ids))
    bag = content_bags(tracks, vocabulary)["artists"]
    column = {t: bag[int(row)].indices.tolist() for t, row in zip(ids, vocabulary.rows(pl.Series(ids)), strict=True)}
    assert column["t0"] == column["t1"] == column["t2"] != column["t5"]
    assert column["t3"] == column["t4"] not in (column["t0"], column["t5"])


def test_a_new_track_is_near_the_tracks_of_its_artist() -> None:
    x, y = two_tastes()
    artists = csr_matrix((np.arange(41)[:, None] % 2 == np.arange(2)[None, :]).astype(np.float32))
    model = fit(x, y, Content({"artists": artists}), QUICK, seed=1)
    even, odd = model.cold_items({"artists": csr_matrix(np.eye(2, dtype=np.float32))})
    scores = model.embed(x) @ np.stack([even, odd]).T
    assert (scores[::2, 0] > scores[::2, 1]).mean() > 0.9
    assert (scores[1::2, 1] > scores[1::2, 0]).mean() > 0.9


def test_interrupted_and_resumed_gives_the_same_bytes_as_not_interrupted(tmp_path: Path) -> None:
    x, y = two_tastes()
    whole = fit(x, y, settings=QUICK, seed=1, checkpoints=tmp_path / "whole")
    for file in (tmp_path / "whole").glob("epoch-01*"):
        file.unlink()
    resumed = fit(x, y, settings=QUICK, seed=1, checkpoints=tmp_path / "whole")
    assert np.array_equal(resumed.items, whole.items)
    assert np.array_equal(resumed.embed(x), whole.embed(x))
    assert resumed.losses == whole.losses


def test_saved_and_loaded_it_embeds_the_same_and_an_empty_history_is_a_zero_vector(tmp_path: Path) -> None:
    x, y = two_tastes()
    contexts = {"market": np.arange(120) % 3}
    content = Content(contexts={"market": 3})
    model = fit(x, y, content, QUICK.model_copy(update={"epochs": 2}), seed=1, contexts=contexts)
    model.save(tmp_path)
    again = TwoTower.load(tmp_path)
    some = csr_matrix((2, 41), dtype=np.float32)
    assert np.array_equal(again.embed(x, contexts), model.embed(x, contexts))
    assert not np.array_equal(again.embed(x, contexts), again.embed(x))
    assert not again.embed(some).any()
    assert np.array_equal(again.items, model.items)


def test_it_can_start_from_given_vectors() -> None:
    rng = np.random.default_rng(0)
    given = rng.standard_normal((41, 8), np.float32)
    given[0] = 0
    artists = csr_matrix((np.arange(41)[:, None] % 2 == np.arange(2)[None, :]).astype(np.float32))
    towers = _Towers(41, {"artists": 2}, {}, QUICK)
    towers.start_from(given, {"artists": artists})
    values = tf.constant(np.arange(41)[:, None] % 2), tf.ones([41, 1])
    got = towers.tracks(tf.range(41), {"artists": values}).numpy()[1:]
    unit = given[1:] / np.linalg.norm(given[1:], axis=1, keepdims=True)
    assert np.allclose(got @ got.T, unit @ unit.T, atol=1e-4)
