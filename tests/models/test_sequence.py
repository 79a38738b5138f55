"""The sequence model: windows lose nothing, states see no future, order is learned, and a killed fit ends the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from models.attention import cross_entropy, dropout
from models.sequence import SequenceModel, _Network, fit
from models.sequence_data import GAPS, Batches, Sequences, gap_buckets
from models.settings import SequenceSettings

QUICK = SequenceSettings(
    dims=16, heads=2, layers=1, length=8, epochs=6, batch=16, learning_rate=0.02, warm_up=5, dropout=0.1, positions=1.0
)


def round_the_clock(listeners: int = 60, items: int = 13, length: int = 20) -> Sequences:
    """After track i comes track i + 1, and 1 after the last; 0 is the unknown one. Order is all there is to learn."""
    return Sequences.from_lists([[1 + (u + t) % (items - 1) for t in range(length)] for u in range(listeners)])


def test_last_listens_by_hand() -> None:
    s = Sequences.from_lists([[3, 1, 2], [], [5]])
    assert s.last(np.array([0, 1, 2]), 2)[0].tolist() == [[1, 2], [0, 0], [0, 5]]
    assert s.last(np.array([0, 2]), 4, leave_out=1)[0].tolist() == [[0, 0, 3, 1], [0, 0, 0, 0]]


def test_gaps_come_from_times_and_first_listens_have_none() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    minutes = [0, 4, 15 + 4, 15 + 34 + 24 * 60, 7]
    plays = pl.DataFrame(
        {"row": [0, 0, 0, 0, 2], "item": [4, 5, 6, 7, 8], "started_at": [at + timedelta(minutes=m) for m in minutes]}
    )
    s = Sequences.from_plays(plays)
    assert s.starts.tolist() == [0, 4, 4, 5]
    assert s.gaps.tolist() == [0, 1, 2, 9, 0], "4 and 15 minutes are within a session, a day is beyond"
    assert gap_buckets(np.array([0.0, 1799, 1800, 1e12])).tolist() == [1, 3, 4, GAPS - 1]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(2, 9), st.integers(0, 99))
def test_every_listen_but_the_first_is_a_target_once(sizes: list[int], length: int, seed: int) -> None:
    s = Sequences.from_lists([list(range(1, size + 1)) for size in sizes])
    begins, ends = s.windows(length, np.random.default_rng(seed))
    assert (ends - begins <= length + 1).all()
    targets = np.concatenate([np.arange(b + 1, e) for b, e in zip(begins, ends, strict=True)] or [np.zeros(0)])
    wanted = np.concatenate([np.arange(a + 1, b) for a, b in zip(s.starts, s.starts[1:], strict=False)])
    assert sorted(targets.tolist()) == wanted.tolist()


def test_a_state_does_not_see_what_comes_after_it() -> None:
    tf.random.set_seed(0)
    network = _Network(13, QUICK)
    items = np.random.default_rng(0).integers(1, 13, (4, 8)).astype(np.int32)
    other = items.copy()
    other[:, 5:] = items[::-1, 5:]
    states = [network.states(tf.constant(x), tf.zeros_like(x), None).numpy() for x in (items, other)]
    assert np.allclose(states[0][:, :5], states[1][:, :5], atol=1e-6)
    assert not np.allclose(states[0][:, 5:], states[1][:, 5:], atol=1e-3)


def test_padding_does_not_change_a_state() -> None:
    tf.random.set_seed(0)
    network = _Network(13, QUICK)
    short = tf.constant([[3, 4, 5]])
    long = tf.constant([[0, 0, 0, 0, 3, 4, 5]])
    states = [network.states(x, tf.zeros_like(x), None).numpy()[:, -1] for x in (short, long)]
    assert np.allclose(states[0], states[1], atol=1e-5)


@pytest.mark.parametrize("full", [1000, 0], ids=["full softmax", "sampled"])
def test_the_order_of_listens_is_learned(full: int) -> None:
    s = round_the_clock()
    model = fit(s, 13, QUICK.model_copy(update={"full_softmax": full, "negatives": 24, "epochs": 10}), seed=1)
    items, gaps = s.last(np.arange(60), 8)
    scores = model.embed(items, gaps) @ model.items.T
    assert (scores[:, 1:].argmax(axis=1) + 1 == 1 + items[:, -1] % 12).mean() > 0.95


def test_sampled_loss_estimates_the_loss_over_the_whole_catalog() -> None:
    """Popular tracks are drawn far more often than rare ones; corrected, the loss is the full softmax's."""
    rng = np.random.default_rng(0)
    s = Sequences.from_lists([np.minimum(rng.geometric(0.4, 20), 12).tolist() for _ in range(40)])
    still = QUICK.model_copy(update={"dropout": 0.0, "batch": 500})
    many = still.model_copy(update={"full_softmax": 0, "negatives": 4000})
    tf.random.set_seed(0)
    full, sampled = _Network(13, still), _Network(13, many)
    full.bias.assign(np.linspace(-2, 2, 13))
    sampled.set_weights(full.get_weights())

    def loss(network: _Network, settings: SequenceSettings, epoch: int) -> float:
        (batch,) = Batches(s, 13, settings, 0)(epoch)
        return float(network.compute_loss(batch, training=False))

    gaps = [loss(sampled, many, e) - loss(full, still, e) for e in range(8)]
    assert abs(np.mean(gaps)) < 0.02


def test_interrupted_and_resumed_gives_the_same_values(tmp_path: Path) -> None:
    s = round_the_clock(20)
    settings = QUICK.model_copy(update={"epochs": 3, "batch": 32})
    whole = fit(s, 13, settings, seed=1, checkpoints=tmp_path)
    for file in tmp_path.glob("epoch-00[23]*"):
        file.unlink()
    resumed = fit(s, 13, settings, seed=1, checkpoints=tmp_path)
    assert np.array_equal(resumed.items, whole.items)
    assert resumed.losses == whole.losses


def test_saved_and_loaded_it_embeds_the_same_and_unknown_listens_are_passed_over(tmp_path: Path) -> None:
    s = round_the_clock(20)
    model = fit(s, 13, QUICK.model_copy(update={"epochs": 1}), seed=1)
    model.save(tmp_path)
    again = SequenceModel.load(tmp_path)
    items = np.array([[3, 0, 4, 0], [0, 0, 3, 4], [0, 0, 0, 0]], np.int32)
    states = again.embed(items)
    assert np.array_equal(states, model.embed(items))
    assert np.allclose(states[0], states[1]), "tracks the vocabulary lacks leave no trace"
    assert not states[2].any()
    assert not again.items[0].any()


def test_cross_entropy_and_its_gradients_are_those_of_the_general_operation() -> None:
    rng = np.random.default_rng(0)
    states, items = (tf.constant(rng.normal(size=(n, 5)), tf.float32) for n in (20, 9))
    target, weight = tf.constant(rng.integers(0, 9, 20), tf.int32), tf.constant(rng.random(20), tf.float32)

    def general(s: tf.Tensor, i: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=t, logits=s @ tf.transpose(i))

    found = []
    for loss in (cross_entropy, general):
        with tf.GradientTape() as tape:
            tape.watch([states, items])
            values = loss(states, items, target)
            total = tf.reduce_sum(values * weight)
        found.append([values, *tape.gradient(total, [states, items])])
    for ours, theirs in zip(*found, strict=True):
        assert np.allclose(ours, theirs, atol=1e-5)


def test_dropout_leaves_out_its_share_keeps_the_mean_and_repeats_with_its_seed() -> None:
    x = tf.ones([33, 7, 13])
    seed = tf.constant([1, 2], tf.int32)
    dropped = dropout(x, 0.25, seed).numpy()
    assert abs((dropped == 0).mean() - 0.25) < 0.03
    assert abs(dropped.mean() - 1) < 0.05
    assert np.array_equal(dropped, dropout(x, 0.25, seed).numpy())
    assert not np.array_equal(dropped, dropout(x, 0.25, seed + 1).numpy())


def test_an_epoch_reads_at_most_so_many_windows_and_other_ones_the_next_time() -> None:
    s = round_the_clock(60, length=8)
    batches = Batches(s, 13, QUICK.model_copy(update={"windows": 20}), 0)
    assert batches.steps() == 2
    firsts = [np.concatenate([b["items"][:, 0] for b in batches(epoch)]) for epoch in (0, 1)]
    assert [len(x) for x in firsts] == [20, 20]
    assert not np.array_equal(*map(np.sort, firsts))


def test_an_epoch_grows_with_the_audience_up_to_its_budget() -> None:
    each = QUICK.model_copy(update={"windows": 20, "windows_each": 0.5, "windows_most": 70})
    read = []
    for listeners in (30, 100, 200):
        batches = Batches(round_the_clock(listeners, length=8), 13, each, 0)
        read.append(sum(len(b["items"]) for b in batches(0)))
    assert read == [20, 50, 70]


def test_it_starts_from_given_vectors() -> None:
    """With hardly any training, tracks of like vectors stay alike, and unplayed tracks are silent."""
    s = round_the_clock(20, items=12)
    angle = np.arange(13) * 2 * np.pi / 12
    given = np.stack([np.cos(angle), np.sin(angle), 0.01 * np.ones(13)], axis=1).astype(np.float32)
    still = QUICK.model_copy(update={"epochs": 1, "learning_rate": 1e-6, "dropout": 0.0})
    items = fit(s, 13, still, seed=1, start=given).items
    alike = items[1:12, :-1] @ items[1:12, :-1].T
    assert np.corrcoef(alike.ravel(), (given[1:12] @ given[1:12].T).ravel())[0, 1] > 0.95
    assert not items[12].any()
    assert items[1:12, -1].min() == 0


@pytest.mark.parametrize("full", [0, 20_000])
def test_with_cosines_items_are_of_length_one_and_order_is_learned(full: int) -> None:
    s = round_the_clock()
    model = fit(s, 13, QUICK.model_copy(update={"cosine": True, "full_softmax": full, "negatives": 12}), seed=1)
    lengths = np.linalg.norm(model.items[1:, :-1], axis=1)
    assert np.allclose(lengths, 1, atol=1e-5) and not model.items[0].any()
    states = model.embed(np.int32([[4, 5, 6], [9, 10, 11]]))
    scale = np.linalg.norm(states[:, :-1], axis=1)
    assert np.allclose(scale, scale[0]) and scale[0] > 1, "every state is as long: the learned temperature"
    assert (states @ model.items.T).argmax(axis=1).tolist() == [7, 12]


def test_heads_must_divide_dims() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        fit(round_the_clock(2), 13, QUICK.model_copy(update={"heads": 3}))


def test_a_log_of_one_listener_is_one_sequence() -> None:
    plays = pl.DataFrame({"row": [0, 0], "item": [3, 1]}, schema={"row": pl.Int32, "item": pl.Int32})
    assert len(Sequences.from_plays(plays)) == 1 and len(Sequences.from_plays(plays.clear())) == 0
