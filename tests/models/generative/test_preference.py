"""Preference tuning: the loss as reckoned by hand, pairs of what was shown alone, equal bytes, and what it is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.generative.decoder import Decoder, code_logits, copied, fit
from models.generative.preference import Pairs, Shown, _Batches, _tensors, _Tuned, dpo, pairs_of, scores_of, tune
from models.settings import PreferenceSettings
from tests.models.generative.test_decoder import QUICK, N, ids_of, round_the_clock, vectors

LENGTH = QUICK.length
SETTINGS = PreferenceSettings(margins=(1.0, 2.0), epochs=4, batch=16, learning_rate=0.01)


@pytest.fixture(scope="module")
def reference() -> Decoder:
    """Of tracks round the clock, of which 12 was played by nobody."""
    return fit(round_the_clock(last=N - 2), ids_of(vectors()), vectors(), QUICK, seed=1)


def shown_to(lists: int, rng: np.random.Generator, size: int = 6) -> Shown:
    """Lists of distinct tracks with rewards of a few values; some were played, some only looked at, some neither."""
    item = np.concatenate([1 + rng.permutation(N - 1)[:size] for _ in range(lists)]).astype(np.int32)
    played = rng.random(len(item)) < 0.4
    return Shown(
        np.arange(lists + 1) * size,
        item,
        np.where(played, rng.integers(-1, 4, len(item)), 0).astype(np.float32),
        played,
        played | (rng.random(len(item)) < 0.4),
        rng.integers(0, N - 1, (lists, LENGTH)).astype(np.int32) | 1,
        np.zeros((lists, LENGTH), np.int32),
        np.arange(lists, dtype=np.uint64) + 2**63,
    )


def liked(lists: int = 80) -> Shown:
    """Everybody prefers track 3 to track 9, whatever they heard before; track 5 was shown and not looked at."""
    rng = np.random.default_rng(0)
    return Shown(
        np.arange(lists + 1) * 3,
        np.tile(np.int32([3, 9, 5]), lists),
        np.tile(np.float32([1, 0, 0]), lists),
        np.tile([True, False, False], lists),
        np.tile([True, True, False], lists),
        rng.integers(1, N - 2, (lists, LENGTH)).astype(np.int32),
        np.zeros((lists, LENGTH), np.int32),
        np.arange(lists, dtype=np.uint64),
    )


def test_the_loss_is_that_of_the_paper() -> None:
    """beta .5; log p(w) - log p(l) is 2 by the decoder, 1 by the reference: -log sigmoid(.5) = .4741; log 2 where equal."""
    found = dpo(tf.constant([2.0, 1.0]), tf.constant([1.0, 1.0]), 0.5).numpy()
    assert found == pytest.approx([np.log(1 + np.exp(-0.5)), np.log(2)], abs=1e-6)


def test_the_loss_of_pairs_is_what_numpy_reckons(reference: Decoder) -> None:
    """By the exported vectors and heads alone, of tracks that were played and of the one that was not."""
    item, state = np.int32([3, 12, 9]), reference.embed(np.int32([[0] * 5 + [3, 4, 5]]))[0]
    history = np.int32([[0] * 5 + [3, 4, 5]])
    shown = Shown(
        np.array([0, 3]),
        item,
        np.float32([2, 1, 0]),
        np.array([True, True, False]),
        np.array([True, True, True]),
        *(history, np.zeros_like(history), np.uint64([7])),
    )
    pairs = pairs_of(shown, scores_of(reference, shown), SETTINGS)
    assert len(pairs) == 3
    heads = {name: tf.constant(array) for name, array in reference.heads.items()}

    def of_codes(track: int) -> float:
        total, before = 0.0, np.zeros(QUICK.dims, np.float32)
        for level in range(reference.ids.levels):
            logits = code_logits(tf.constant(state[None, :-1]), tf.constant(before[None]), level, heads).numpy()[0]
            code = reference.ids.codes[track, level]
            total += float(logits[code] - np.log(np.exp(logits).sum()))
            before = before + reference.heads["prefix"][level][code]
        return total

    given = np.float32([[0.3, -0.2, 0.1], [0.5, 0.0, -0.4]])  # what a reference might have said
    batch = _Batches(shown, pairs, 3, 0, given).of(np.arange(3))
    expected = 0.0
    for n in range(3):
        w, other = batch["preferred"][n], batch["less"][n]
        dense = float(reference.items[w] @ state - reference.items[other] @ state)
        codes = of_codes(w) - of_codes(other)
        for ours, theirs, weight in ((dense, given[0][n], 1.0), (codes, given[1][n], QUICK.generation)):
            expected += weight * pairs.weight[n] * np.log(1 + np.exp(-SETTINGS.beta * (ours - theirs)))
    model = _Tuned(copied(reference), SETTINGS.beta)
    assert float(model.compute_loss(_tensors(batch))) == pytest.approx(expected / pairs.weight.sum(), rel=1e-4)


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_a_pair_is_of_one_list_and_of_what_was_looked_at(seed: int, lists: int, top: int) -> None:
    rng = np.random.default_rng(seed)
    shown = shown_to(lists, rng)
    scores = rng.standard_normal(len(shown.item)).astype(np.float32)
    own = SETTINGS.model_copy(update={"top": top})
    pairs = pairs_of(shown, scores, own, seed)
    at = shown.list_of
    assert (at[pairs.preferred] == pairs.list).all() and (at[pairs.less] == pairs.list).all(), (
        "shown to the same listener"
    )
    assert shown.played[pairs.preferred].all() and shown.looked_at[pairs.less].all(), (
        "what was not looked at says nothing"
    )
    assert (pairs.margin > 0).all()
    assert np.array_equal(pairs.margin, shown.reward[pairs.preferred] - shown.reward[pairs.less])
    for one in np.flatnonzero(shown.played):
        against = [n for n in np.flatnonzero((at == at[one]) & shown.looked_at) if shown.reward[n] < shown.reward[one]]
        hardest = sorted(against, key=lambda n: -scores[n])[:top]
        assert set(pairs.less[pairs.preferred == one].tolist()) == set(hardest)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_track_that_was_not_looked_at_changes_no_pair(seed: int) -> None:
    """Whatever its reward and score are said to be, as long as it was not played either."""
    rng = np.random.default_rng(seed)
    shown = shown_to(4, rng)
    scores = rng.standard_normal(len(shown.item)).astype(np.float32)
    unseen = ~shown.looked_at
    other = replace(shown, reward=np.where(unseen, -9, shown.reward).astype(np.float32))
    one, two = pairs_of(shown, scores, SETTINGS), pairs_of(other, np.where(unseen, 9, scores), SETTINGS)
    for name in ("list", "preferred", "less", "margin", "weight"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def test_buckets_weigh_alike_and_are_bounded() -> None:
    rewards = np.float32([0.5] * 6 + [1.5] * 2 + [3] + [0])
    lists = 20
    shown = Shown(
        np.arange(lists + 1) * 10,
        np.tile(np.arange(1, 11, dtype=np.int32), lists),
        np.tile(rewards, lists),
        np.tile(rewards > 0, lists),
        np.tile(rewards == 0, lists),
        *(np.ones((lists, LENGTH), np.int32), np.zeros((lists, LENGTH), np.int32), np.arange(lists, dtype=np.uint64)),
    )
    scores = np.zeros(len(shown.item), np.float32)
    pairs = pairs_of(shown, scores, SETTINGS)
    by = {bucket: float(pairs.weight[pairs.bucket == bucket].sum()) for bucket in range(3)}
    assert by == pytest.approx({0: 60, 1: 60, 2: 60}, rel=1e-5) and np.bincount(pairs.bucket).tolist() == [120, 40, 20]
    few = pairs_of(shown, scores, SETTINGS.model_copy(update={"pairs": 90}))
    assert np.bincount(few.bucket).tolist() == [30, 30, 20], "at most a third of 90 each"
    capped = pairs_of(shown, scores, SETTINGS.model_copy(update={"rare": 1.0}))
    assert set(np.round(capped.weight, 5).tolist()) == {0.75, 1.5}, "of 0.5, 1.5 and 3, the last two cut to 1; mean 1"


def test_it_learns_what_is_preferred_and_leaves_the_reference(reference: Decoder) -> None:
    shown = liked()
    before = reference.items.copy(), scores_of(reference, shown)
    pairs = pairs_of(shown, before[1], SETTINGS)
    assert set(shown.item[pairs.less].tolist()) == {9}, "5 was not looked at"
    tuned = tune(reference, shown, pairs, SETTINGS, seed=1)
    assert np.array_equal(reference.items, before[0]) and np.array_equal(scores_of(reference, shown), before[1])
    gap = scores_of(tuned, shown) - before[1]
    assert (gap[pairs.preferred] - gap[pairs.less] > 0).all()
    assert tuned.losses[-1] < tuned.losses[0] < 2 * np.log(2) + 0.1, "it starts where the reference is"
    assert np.array_equal(tuned.ids.codes, reference.ids.codes) and np.array_equal(tuned.played, reference.played)


def test_equal_seeds_write_equal_bytes_and_a_killed_tuning_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.generative import preference

    def made(name: str, checkpoints: Path | None = None) -> None:
        own = fit(round_the_clock(20), ids_of(vectors()), vectors(), QUICK.model_copy(update={"epochs": 2}), seed=5)
        shown = liked(30)
        pairs = pairs_of(shown, scores_of(own, shown), SETTINGS)
        tune(own, shown, pairs, SETTINGS, seed=5, checkpoints=checkpoints).save(tmp_path / name)

    made("a")
    made("b")
    going = preference.run_epochs
    killed = lambda *given, **named: going(*given, **named, after_epoch=lambda epoch: epoch == 1)  # noqa: E731
    monkeypatch.setattr(preference, "run_epochs", killed)
    made("unfinished", tmp_path / "kept")
    monkeypatch.setattr(preference, "run_epochs", going)
    made("c", tmp_path / "kept")
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert files
    for other in ("b", "c"):
        for name in files:
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / other / name).read_bytes(), f"{other}/{name}"


def test_bad_inputs_are_refused_with_what_is_wrong(reference: Decoder, tmp_path: Path) -> None:
    shown = liked(4)
    with pytest.raises(ValueError, match="expected arrays of 4 lists and 12 tracks"):
        replace(shown, reward=shown.reward[:5])
    with pytest.raises(ValueError, match="row 0 is unknown"):
        replace(shown, item=np.zeros_like(shown.item))
    with pytest.raises(ValueError, match="not finite"):
        replace(shown, reward=np.full_like(shown.reward, np.nan))
    with pytest.raises(ValueError, match="expected 12 scores"):
        pairs_of(shown, np.zeros(3, np.float32))
    none = np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="no pair to learn from"):
        tune(reference, shown, Pairs(none, none, none, none, none, none))
    pairs = pairs_of(shown, scores_of(reference, shown))
    with pytest.raises(ValueError, match="outside the reference's vocabulary"):
        tune(reference, replace(shown, item=shown.item + 100), pairs)
    reference.save(tmp_path / "saved")
    with pytest.raises(ValueError, match="was loaded cannot be trained"):
        tune(Decoder.load(tmp_path / "saved"), shown, pairs)
    for margins in ((2.0, 1.0), (1.0, 1.0), (0.0, 1.0)):
        with pytest.raises(ValidationError, match="must be above 0 and ascend"):
            PreferenceSettings(margins=margins)


def test_nothing_shown_makes_no_pair(reference: Decoder) -> None:
    nothing = liked(3).only(np.zeros(3, bool))
    assert len(nothing) == 0 and len(pairs_of(nothing, scores_of(reference, nothing))) == 0
