"""Preference tuning: the decoder moves towards what listeners preferred of what they were shown (DPO, Rafailov et al., 2023).

    L = -log sigmoid(beta * [(log p(w|s) - log r(w|s)) - (log p(l|s) - log r(l|s))])
    w, l  the preferred track and the less preferred one, both shown to one listener after one night
    s     the listener's state as of that night
    p, r  the decoder, and the frozen reference: the weights that it was fitted with

The decoder tells what comes next in two ways, and each is a policy: a softmax of the dense score, and the codes one by one. Each
has the loss above; they are added as in the decoder's own fit, the codes' by `generation`. A softmax's sum is the same for both
tracks of a pair, so of the dense score its difference is all that is left.

What is less preferred was looked at and not wanted; nobody is taken to dislike what they were not shown. Of what could stand
against a preferred track only the `top` that the reference scores best are taken: they are what a list would show. Rewards differ
by little more often than by much, so pairs are put into buckets by the difference, and all buckets weigh alike.

    >>> pairs = pairs_of(shown, scores_of(reference, shown), PreferenceSettings(), seed=1)
    >>> tuned = tune(reference, shown, pairs, PreferenceSettings(), seed=1)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from models.checkpoints import Checkpoints
from models.generative.decoder import Decoder, _Network, copied, decoder_of
from models.runtime import deterministic
from models.settings import PreferenceSettings
from models.states import StateModule
from models.training import run_epochs
from transforms.common.compiled import compiled
from transforms.common.hashing import uniform

DEFAULTS = PreferenceSettings()
_ROWS = 256


@dataclass(frozen=True)
class Shown:
    """Tracks that listeners were shown, a list each: one listener, one night, discoveries or repeats.

    Attributes:
        starts: int64 [lists + 1], where each list's tracks begin.
        item: int32 [tracks], rows of the vocabulary, above 0.
        reward: float32 [tracks], what each was worth.
        played: bool [tracks], may be preferred.
        looked_at: bool [tracks], may be less preferred.
        items, gaps: int32 [lists, length], each list's listens as of its night, right-aligned.
        owner: uint64 [lists], hash of the listener.

    Raises:
        ValueError: the arrays do not fit each other, a track is unknown, or a reward is no number.
    """

    starts: np.ndarray
    item: np.ndarray
    reward: np.ndarray
    played: np.ndarray
    looked_at: np.ndarray
    items: np.ndarray
    gaps: np.ndarray
    owner: np.ndarray

    def __post_init__(self) -> None:
        """Check that it is whole."""
        lists, tracks = len(self.starts) - 1, len(self.item)
        of_lists = {len(self.items), len(self.gaps), len(self.owner)}
        of_tracks = {
            len(self.reward),
            len(self.played),
            len(self.looked_at),
            int(self.starts[-1]) if lists >= 0 else -1,
        }
        if of_lists != {lists} or of_tracks != {tracks} or (np.diff(self.starts) < 0).any():
            raise ValueError(
                f"expected arrays of {lists} lists and {tracks} tracks, found {sorted(of_lists)} and {sorted(of_tracks)}"
            )
        if (self.item <= 0).any():
            raise ValueError("a track of row 0 is unknown; leave it out of the lists")
        if not np.isfinite(self.reward).all():
            raise ValueError("a reward is not finite; a label that is not known counts 0")

    def __len__(self) -> int:
        """Number of lists."""
        return len(self.owner)

    @property
    def list_of(self) -> np.ndarray:
        """int64 [tracks], each track's list."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def only(self, kept: np.ndarray) -> Shown:
        """Some of the lists, bool [lists]."""
        there = kept[self.list_of]
        sizes = np.diff(self.starts)[kept]
        return Shown(
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            *(values[there] for values in (self.item, self.reward, self.played, self.looked_at)),
            *(values[kept] for values in (self.items, self.gaps, self.owner)),
        )


@dataclass(frozen=True)
class Pairs:
    """Pairs of tracks of `Shown`, by place; equal inputs give equal pairs in equal order.

    Attributes:
        list: int64 [pairs], the list both stand in.
        preferred, less: int64 [pairs], places of the two tracks.
        margin: float32 [pairs], difference of their rewards, above 0.
        bucket: int64 [pairs], of the margin.
        weight: float32 [pairs], mean 1.
    """

    list: np.ndarray
    preferred: np.ndarray
    less: np.ndarray
    margin: np.ndarray
    bucket: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.list)


def scores_of(decoder: Decoder, shown: Shown) -> np.ndarray:
    """float32 [tracks], the decoder's dense score of each shown track after its list's listens."""
    if not len(shown):
        return np.zeros(0, np.float32)
    states = decoder.embed(shown.items, shown.gaps)
    at, out = shown.list_of, np.zeros(len(shown.item), np.float32)
    for start in range(0, len(out), 1 << 16):
        part = slice(start, start + (1 << 16))
        out[part] = np.einsum("nd,nd->n", states[at[part]], np.asarray(decoder.items[shown.item[part]]))
    return out


def pairs_of(shown: Shown, scores: np.ndarray, settings: PreferenceSettings = DEFAULTS, seed: int = 0) -> Pairs:
    """Pairs of a preferred and a less preferred track, the hardest ones by the reference's order.

    Args:
        scores: float32 [tracks], the reference's (`scores_of`).

    Raises:
        ValueError: there is not one score a track.
    """
    if len(scores) != len(shown.item):
        raise ValueError(f"expected {len(shown.item)} scores, one a shown track, found {len(scores)}")
    first, second = _hardest(
        shown.starts, shown.item, shown.reward, shown.played, shown.looked_at, scores.astype(np.float64), settings.top
    )
    at, margin = shown.list_of[first], shown.reward[first] - shown.reward[second]
    bucket = np.searchsorted(np.array(settings.margins), margin, side="left")
    kept = _sampled(bucket, shown.owner[at], shown.item[first], shown.item[second], settings, seed)
    first, second, at, margin, bucket = (values[kept] for values in (first, second, at, margin, bucket))
    return Pairs(at, first, second, margin.astype(np.float32), bucket, _weights(bucket, settings.rare))


def _sampled(
    bucket: np.ndarray, owner: np.ndarray, first: np.ndarray, second: np.ndarray, s: PreferenceSettings, seed: int
) -> np.ndarray:
    """Places of the pairs that are kept, ascending: of each bucket at most its share, by hash."""
    most = max(s.pairs // (len(s.margins) + 1), 1)
    drawn = uniform(seed, "preference pairs", owner.astype(np.uint64).view(np.int64), first, second)
    order = np.lexsort((drawn, bucket))
    begins = np.searchsorted(bucket[order], np.arange(len(s.margins) + 1))
    nth = np.arange(len(order)) - begins[bucket[order]]
    return np.sort(order[nth < most])


def _weights(bucket: np.ndarray, rare: float) -> np.ndarray:
    """float32 [pairs]: every bucket weighs alike, but no pair more than `rare` times the mean."""
    if not len(bucket):
        return np.zeros(0, np.float32)
    count = np.bincount(bucket)
    weight = np.minimum(len(bucket) / (np.count_nonzero(count) * count[bucket]), rare)
    return (weight / weight.mean()).astype(np.float32)


@compiled
def _hardest(
    starts: np.ndarray,
    item: np.ndarray,
    reward: np.ndarray,
    played: np.ndarray,
    looked_at: np.ndarray,
    scores: np.ndarray,
    top: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Places int64 of the preferred and the less preferred track of each pair; of each preferred the `top` best scored."""
    first, second = [0 for _ in range(0)], [0 for _ in range(0)]
    for row in range(len(starts) - 1):
        for one in range(starts[row], starts[row + 1]):
            if not played[one]:
                continue
            begin = len(second)
            for other in range(starts[row], starts[row + 1]):
                if not looked_at[other] or reward[other] >= reward[one] or item[other] == item[one]:
                    continue
                first.append(one)
                second.append(other)
                at = len(second) - 1
                while at > begin and scores[second[at - 1]] < scores[second[at]]:
                    second[at - 1], second[at] = second[at], second[at - 1]
                    at -= 1
                if len(second) - begin > top:
                    first.pop()
                    second.pop()
    return np.array(first, np.int64), np.array(second, np.int64)


def dpo(ours: tf.Tensor, reference: tf.Tensor, beta: float) -> tf.Tensor:
    """-log sigmoid(beta * (ours - reference)) [N], of log p(w) - log p(l) by the decoder and by the reference."""
    return tf.nn.softplus(-beta * (ours - reference))


class _Tuned(tf.keras.Model):
    """A network with the loss of pairs."""

    def __init__(self, network: _Network, beta: float) -> None:
        super().__init__()
        self.network, self.beta = network, beta

    def differences(self, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """log p(w|s) - log p(l|s) [N], of the dense score and of the codes; a pair without two ids has 0 of the latter."""
        states = self.network.states(batch["items"], batch["gaps"], None)[:, -1]
        dense, codes = self.network.scored(states, batch["preferred"])
        dense_less, codes_less = self.network.scored(states, batch["less"])
        coded = tf.gather(self.network.coded, batch["preferred"]) * tf.gather(self.network.coded, batch["less"])
        return dense - dense_less, (codes - codes_less) * coded

    def compute_loss(self, batch: dict[str, tf.Tensor], training: bool = True) -> tf.Tensor:
        """Weighted mean of the pairs' losses."""
        dense, codes = self.differences(batch)
        loss = dpo(dense, batch["dense"], self.beta)
        loss += self.network.s.generation * dpo(codes, batch["codes"], self.beta)
        return tf.reduce_sum(batch["weight"] * loss) / tf.reduce_sum(batch["weight"])


class _Batches:
    """Batches of pairs as a function of (seed, epoch); the reference's differences stand beside them."""

    def __init__(self, shown: Shown, pairs: Pairs, batch: int, seed: int, reference: np.ndarray) -> None:
        self.shown, self.pairs, self.batch, self.seed, self.reference = shown, pairs, batch, seed, reference

    def of(self, rows: np.ndarray) -> dict[str, Any]:
        """The pairs at these places."""
        shown, pairs = self.shown, self.pairs
        at = pairs.list[rows]
        return {
            "items": shown.items[at],
            "gaps": shown.gaps[at],
            "preferred": shown.item[pairs.preferred[rows]],
            "less": shown.item[pairs.less[rows]],
            "weight": pairs.weight[rows],
            "dense": self.reference[0][rows],
            "codes": self.reference[1][rows],
        }

    def __call__(self, epoch: int) -> Iterator[dict[str, Any]]:
        """One epoch, in random order."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.pairs))
        for start in range(0, len(order), self.batch):
            yield self.of(order[start : start + self.batch])


def tune(
    reference: Decoder,
    shown: Shown,
    pairs: Pairs,
    settings: PreferenceSettings = DEFAULTS,
    seed: int = 0,
    checkpoints: Checkpoints | str | Path | None = None,
) -> Decoder:
    """A decoder of the same ids that prefers what was preferred; the reference stays as it is.

    Args:
        reference: just fitted, in this process.
        pairs: of `shown`.
        checkpoints: as in `models.two_tower.fit`.

    Raises:
        ValueError: the reference was loaded, there is no pair, or a track stands outside the reference's vocabulary.
    """
    if not len(pairs):
        raise ValueError("there is no pair to learn from; show and log more before tuning")
    if max(int(shown.item.max()), int(shown.items.max())) >= len(reference.items):
        raise ValueError(f"a track stands outside the reference's vocabulary of {len(reference.items)} rows")
    deterministic(seed)
    network = copied(reference)
    model = _Tuned(network, settings.beta)
    frozen = np.zeros((2, len(pairs)), np.float32)
    batches = _Batches(shown, pairs, settings.batch, seed, frozen)
    for start in range(0, len(pairs), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(pairs)))
        frozen[:, rows] = [part.numpy() for part in model.differences(_tensors(batches.of(rows)))]
    table, numbers, value = (
        tf.TensorSpec(shape, kind)
        for shape, kind in (([None, None], tf.int32), ([None], tf.int32), ([None], tf.float32))
    )
    signature = {"items": table, "gaps": table, "preferred": numbers, "less": numbers}
    signature |= dict.fromkeys(("weight", "dense", "codes"), value)
    losses = run_epochs(
        model,
        batches,
        signature,
        settings.epochs,
        -(-len(pairs) // settings.batch),
        settings.learning_rate,
        checkpoints,
        clip=1.0,
    )
    return decoder_of(StateModule(network, network.s.length), reference.ids, losses)


def _tensors(batch: dict[str, Any]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(values) for name, values in batch.items()}
