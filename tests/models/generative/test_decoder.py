"""The decoder and its search: no invalid id, nothing excluded, the most likely prefixes, order learned, equal bytes."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from models.generative import semantic_ids
from models.generative.beam import NONE, Search
from models.generative.decoder import Decoder, _Network, code_logits, fit
from models.generative.semantic_ids import SemanticIds
from models.generative.trie import Trie
from models.sequence_data import Sequences
from models.settings import DecoderSettings, SemanticIdSettings

QUICK = DecoderSettings(
    dims=16,
    hidden=16,
    length=8,
    epochs=12,
    batch=16,
    learning_rate=0.02,
    warm_up=5,
    dropout=0.1,
    beams=64,
    most=50,
    cold=3,
)
N = 13


def vectors(n: int = N) -> np.ndarray:
    """Tracks on a circle; row 0 is the unknown one."""
    angle = np.arange(n) * 2 * np.pi / (n - 1)
    out = np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=1).astype(np.float32)
    out[0] = 0
    return out


def ids_of(given: np.ndarray) -> SemanticIds:
    return semantic_ids.fit(given, SemanticIdSettings(dims=4, levels=2, codes=4), seed=0)


def round_the_clock(listeners: int = 60, last: int = N - 1) -> Sequences:
    """After track i comes track i + 1, and 1 after the last."""
    return Sequences.from_lists([[1 + (u + t) % last for t in range(20)] for u in range(listeners)])


@pytest.fixture(scope="module")
def fitted() -> Decoder:
    return fit(round_the_clock(last=N - 2), ids_of(vectors()), vectors(), QUICK, seed=1)


def histories(rng: np.random.Generator, size: int = 5) -> np.ndarray:
    return rng.integers(0, N, (size, 8)).astype(np.int32)


@given(st.integers(0, 10_000), st.lists(st.booleans(), min_size=N, max_size=N), st.integers(1, N))
@settings(max_examples=40, deadline=None)
def test_no_invalid_id_is_ever_generated(fitted: Decoder, seed: int, playable: list[bool], k: int) -> None:
    rng = np.random.default_rng(seed)
    trie = Trie.build(fitted.ids.codes, np.array(playable))
    excluded = sparse.csr_matrix((rng.random((5, N)) < 0.3).astype(np.float32))
    # states of any kind, not only those that listens lead to
    queries = (3 * rng.standard_normal((5, QUICK.dims + 1))).astype(np.float32)
    items, scores = Search(fitted, trie)(queries, excluded, k)
    for row in range(5):
        found = items[row][items[row] != NONE].tolist()
        assert len(set(found)) == len(found) <= k
        assert all(playable[i] and fitted.ids.known[i] and not excluded[row, i] for i in found)
        mine = scores[row][: len(found)]
        assert (np.diff(mine) <= 0).all() and not np.isfinite(scores[row][len(found) :]).any()
        np.testing.assert_allclose(mine, fitted.items[found] @ queries[row], rtol=1e-4, atol=1e-4)
        wanted = sum(p and fitted.ids.known[i] and not excluded[row, i] for i, p in enumerate(playable))
        assert len(found) == min(k, wanted), "beams are enough for every prefix, so everything is found"


def test_prefixes_and_their_probabilities_are_those_of_reckoning_every_one(fitted: Decoder) -> None:
    trie = Trie.build(fitted.ids.codes, np.ones(N, bool))
    states = fitted.embed(histories(np.random.default_rng(1)))
    nodes, scores = Search(fitted, trie).prefixes(states)
    heads = {name: tf.constant(array) for name, array in fitted.heads.items()}
    codes = fitted.ids.codes[trie.tracks]
    prefixes = sorted({tuple(c) for c in codes[:, :-1].tolist()})
    for row, state in enumerate(states[:, :-1]):
        expected = {}
        for first, second in prefixes:
            total, before = 0.0, np.zeros_like(state)
            for level, code in enumerate((first, second)):
                logits = code_logits(tf.constant(state[None]), tf.constant(before[None]), level, heads).numpy()[0]
                siblings = sorted({p[level] for p in prefixes if p[:level] == (first, second)[:level]})
                total += logits[code] - np.log(np.exp(logits[siblings]).sum())
                before = before + fitted.heads["prefix"][level][code]
            expected[first, second] = total
        found = {
            tuple(codes[trie.starts[-1][node], :-1].tolist()): score
            for node, score in zip(nodes[row], scores[row], strict=True)
            if node != NONE
        }
        assert found.keys() == expected.keys()
        for prefix, total in expected.items():
            assert found[prefix] == pytest.approx(total, abs=1e-4)
        assert (np.diff(scores[row][: len(found)]) <= 0).all()
        assert sum(np.exp(list(found.values()))) == pytest.approx(1, abs=1e-4)


def test_it_learns_what_follows(fitted: Decoder) -> None:
    trie = Trie.build(fitted.ids.codes, np.ones(N, bool))
    asked = np.int32([[0] * 5 + [3, 4, 5], [0] * 5 + [8, 9, 10]])
    few = Search(fitted, trie)(fitted.embed(asked), None, 5)[0]
    assert few[:, 0].tolist() == [6, 11]


def test_a_track_nobody_played_is_added_by_its_prefix() -> None:
    """Row 12 is a copy of row 11 that nobody plays: it shares its codes and comes with it."""
    given = vectors()
    given[12] = given[11]
    model = fit(round_the_clock(last=11), ids_of(given), given, QUICK.model_copy(update={"beams": 2}), seed=1)
    assert not model.played[12] and model.items[12].any()
    assert np.array_equal(model.ids.codes[12, :-1], model.ids.codes[11, :-1])
    asked = np.int32([[0] * 5 + [8, 9, 10]])
    found = Search(model, Trie.build(model.ids.codes, np.ones(N, bool)))(model.embed(asked), None, 4)[0][0]
    assert 11 in found and 12 in found


def test_a_listener_without_a_listen_has_no_state(fitted: Decoder) -> None:
    assert not fitted.embed(np.zeros((2, 8), np.int32)).any()


def test_no_playable_track_means_nothing_generated(fitted: Decoder) -> None:
    items, scores = Search(fitted, Trie.build(fitted.ids.codes, np.zeros(N, bool)))(
        np.ones((2, 17), np.float32), None, 3
    )
    assert (items == NONE).all() and not np.isfinite(scores).any()


def test_equal_fits_write_equal_bytes_and_a_killed_one_ends_the_same(tmp_path: Path) -> None:
    ids, given, log = ids_of(vectors()), vectors(), round_the_clock(20)
    few = QUICK.model_copy(update={"epochs": 3})
    fit(log, ids, given, few, seed=5).save(tmp_path / "a")
    fit(log, ids, given, few, seed=5).save(tmp_path / "b")
    kept = tmp_path / "kept"

    def killed(epoch: int, model: Decoder) -> bool:
        return epoch == 1

    fit(log, ids, given, few, seed=5, checkpoints=kept, watch=killed)
    fit(log, ids, given, few, seed=5, checkpoints=kept).save(tmp_path / "c")
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert files
    for other in ("b", "c"):
        for name in files:
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / other / name).read_bytes(), f"{other}/{name}"
    again = Decoder.load(tmp_path / "a")
    asked = histories(np.random.default_rng(0))
    trie = Trie.build(ids.codes, np.ones(N, bool))
    fresh = fit(log, ids, given, few, seed=5)
    for one, two in zip(
        Search(again, trie)(again.embed(asked), None, 5), Search(fresh, trie)(fresh.embed(asked), None, 5), strict=True
    ):
        assert np.array_equal(one, two)


@pytest.mark.parametrize("full", [0, 100])
def test_the_loss_has_a_gradient_for_every_weight_with_and_without_sampling(full: int) -> None:
    tf.random.set_seed(0)
    s = QUICK.model_copy(update={"full_softmax": full})
    played = np.arange(N) > 0
    network = _Network(ids_of(vectors()), vectors(), played, s)
    batch = {
        "items": tf.constant([[1, 2, 3]]),
        "gaps": tf.constant([[0, 1, 2]]),
        "targets": tf.constant([[2, 3, 4]]),
        "negatives": tf.constant([5, 6, 7]),
        "expected": tf.constant([0.5, 0.5, 0.5]),
        "seed": tf.constant([1, 2]),
    }
    with tf.GradientTape() as tape:
        loss = network.compute_loss(batch)
    gradients = tape.gradient(loss, network.trainable_variables)
    missing = [v.name for v, g in zip(network.trainable_variables, gradients, strict=True) if g is None]
    assert not missing and np.isfinite(float(loss))


def test_ids_and_vectors_are_of_one_vocabulary() -> None:
    with pytest.raises(ValueError, match="one vocabulary"):
        fit(round_the_clock(2), ids_of(vectors()), vectors(9), QUICK)
    with pytest.raises(ValueError, match="multiple of heads"):
        fit(round_the_clock(2), ids_of(vectors()), vectors(), QUICK.model_copy(update={"heads": 3}))


def test_every_pair_of_codes_can_be_asked(fitted: Decoder) -> None:
    """A trie of every prefix there could be is walked as well as one with holes."""
    codes = np.int32([[-1] * 3, *[[a, b, 0] for a, b in product(range(4), range(4))]])
    trie = Trie.build(codes, np.ones(17, bool))
    assert [trie.width(level) for level in range(2)] == [4, 4] and len(trie) == 16
