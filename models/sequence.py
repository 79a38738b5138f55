"""The sequence model: what comes next, by causal self-attention over a listener's listens.

    x_t   = item_t + gap_t                                     gap: how long after the listen before, in buckets
    block = x + out(softmax(q k / sqrt(d) + bias[t - s]) v), then x + FFN(norm(x));  norms first, s <= t
    score = norm(x_T) . item + bias_item                  `cosine`: e^t cos(norm(x_T), item) + bias_item, t learned

SASRec (Kang & McAuley, ICDM 2018) with a learned bias by distance instead of absolute positions, and trained as
Klenitskiy & Vasilev (RecSys 2023) found decisive: softmax over the whole catalog at every position, not one negative.
Beyond `full_softmax` tracks the sum runs over shared negatives of known probability, their logits lowered by the log of
their expected draws, the positive's own left alone (arXiv 2507.09331). Where items have few plays each, cosines instead of
products keep the length of a vector, which is how often its item was a target, out of the order. Dropout draws are a
function of seed, epoch and step, so a fit that was interrupted ends with the same values.

    >>> model = fit(Sequences.from_lists(lists), n_items, SequenceSettings(), seed=1)
    >>> model.embed(items, gaps) @ model.items.T            # [B, length] int32 twice -> scores [B, n_items]
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from models.attention import AttentionBlock, cross_entropy, dropout
from models.checkpoints import Checkpoints
from models.runtime import deterministic, export
from models.sequence_data import GAPS, Batches, Sequences
from models.settings import SequenceSettings
from models.states import StateModule, states_of
from models.training import run_epochs

DEFAULTS = SequenceSettings()
FIRST_SCALE = 14.0  # e^t at the start: a temperature of .07
_FILE, _ITEMS, _EXPORT = "sequence.json", "items.npy", "saved_model"


class _Network(tf.keras.Model):
    """Listens -> states; and the loss of a batch."""

    def __init__(self, n_items: int, s: SequenceSettings) -> None:
        super().__init__()
        self.s, self.full = s, n_items <= s.full_softmax
        start = tf.random.normal([n_items, s.dims], stddev=0.02)
        self.ids = self.add_weight(name="ids", shape=(n_items, s.dims), initializer=lambda *_, **__: start)
        self.gaps = self.add_weight(name="gaps", shape=(GAPS, s.dims), initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=(n_items,), initializer="zeros")
        if s.cosine:
            first = tf.constant_initializer(float(np.log(FIRST_SCALE)))
            self.log_scale = self.add_weight(name="log_scale", shape=(), initializer=first)
        self.blocks = [AttentionBlock(s, f"block{i}") for i in range(s.layers)]
        self.norm = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.states(tf.ones([1, 2], tf.int32), tf.ones([1, 2], tf.int32), None)

    def states(self, items: tf.Tensor, gaps: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
        """States [B, L, d] of int32 [B, L] listens; a seed (int32 [2]) turns dropout on."""
        draws = iter(range(1 << 20))

        def drop(x: tf.Tensor) -> tf.Tensor:
            if seed is None or not self.s.dropout:
                return x
            return dropout(x, self.s.dropout, seed + tf.constant([0, next(draws) * 7919], tf.int32))

        known = tf.cast(items > 0, tf.float32)
        x = tf.gather(self.ids, items) * self.s.dims**0.5 + tf.gather(self.gaps, gaps)
        x = drop(x * known[:, :, None])
        for block in self.blocks:
            x = block(x, 1 - known, drop)
        x = self.norm(x)
        return tf.math.l2_normalize(x, axis=-1) * tf.exp(self.log_scale) if self.s.cosine else x

    def targets(self) -> tf.Tensor:
        """What states are multiplied with, [n_items, d]."""
        return tf.math.l2_normalize(self.ids, axis=-1) if self.s.cosine else self.ids

    def compute_loss(self, batch: dict[str, tf.Tensor], training: bool = True) -> tf.Tensor:
        """Mean cross-entropy of the targets there are."""
        states = self.states(batch["items"], batch["gaps"], batch["seed"] if training else None)
        asked = tf.where((batch["targets"] > 0) & (batch["items"] > 0))
        states, target = tf.gather_nd(states, asked), tf.gather_nd(batch["targets"], asked)
        if self.full:
            # The unknown track is no answer: its row is left out of the sum.
            ones = tf.ones([tf.shape(states)[0], 1])
            every = tf.concat([self.targets()[1:], self.bias[1:, None]], axis=1)
            loss = cross_entropy(tf.concat([states, ones], axis=1), every, target - 1)
        else:
            drawn, items = batch["negatives"], self.targets()
            own = tf.reduce_sum(states * tf.gather(items, target), 1) + tf.gather(self.bias, target)
            logits = tf.linalg.matmul(states, tf.gather(items, drawn), transpose_b=True)
            logits += tf.gather(self.bias, drawn) - tf.math.log(batch["expected"])
            logits = tf.where(target[:, None] == drawn[None, :], -1e9, logits)
            loss = tf.reduce_logsumexp(tf.concat([own[:, None], logits], 1), 1) - own
        count = tf.cast(tf.maximum(tf.shape(target)[0], 1), tf.float32)
        return tf.reduce_sum(loss) / count + (tf.add_n(self.losses) if self.losses else 0.0)


@dataclass
class SequenceModel:
    """A fitted model: item vectors as an array, and states as a function of right-aligned listens.

    Attributes:
        items: float32 [n_items, dims + 1], bias last; row 0 is zero.
        losses: mean training loss of each epoch.
    """

    settings: SequenceSettings
    items: np.ndarray
    losses: list[float]
    module: Any = field(repr=False)

    def embed(self, items: np.ndarray, gaps: np.ndarray | None = None) -> np.ndarray:
        """States float32 [B, dims + 1] after right-aligned listens int32 [B, <= length]; zero without any known listen.

        A dot product with `items` is the score of that track coming next.
        """
        return states_of(self.module, items, gaps, self.settings.length, self.items.shape[1])

    def save(self, directory: str | Path) -> None:
        """Write items.npy, a SavedModel with the signature `embed`, and sequence.json."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / _ITEMS, self.items, allow_pickle=False)
        export(self.module, folder / _EXPORT)
        raw = {"settings": self.settings.model_dump(mode="json"), "losses": self.losses}
        (folder / _FILE).write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, directory: str | Path) -> SequenceModel:
        """Read what `save` wrote; the item matrix is memory-mapped."""
        folder = Path(directory)
        raw = json.loads((folder / _FILE).read_text())
        items = np.load(folder / _ITEMS, mmap_mode="r", allow_pickle=False)
        settings = SequenceSettings.model_validate(raw["settings"])
        return cls(settings, items, raw["losses"], tf.saved_model.load(str(folder / _EXPORT)))


def _log_shares(items: np.ndarray, n_items: int) -> np.ndarray:
    """float32 [n_items]: log of each item's share of listens, half a listen added; where the biases start."""
    count = np.bincount(items, minlength=n_items).astype(np.float64) + 0.5
    return np.log(count / count.mean()).astype(np.float32)


def _start_from(vectors: np.ndarray, fresh: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """The main directions of given vectors, as many as fit, of length 1/2 on average; the rest as drawn.

    A direction points where its largest entry is positive, so that equal inputs give equal vectors.
    """
    out, known = fresh.copy(), heard & np.any(vectors != 0, axis=1)
    if not known.any():
        return out
    given = vectors[known].astype(np.float64)
    _, directions = np.linalg.eigh(given.T @ given)
    directions = directions[:, ::-1][:, : fresh.shape[1]]
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    turned = given @ directions
    out[known, : turned.shape[1]] = 0.5 * turned / max(float(np.linalg.norm(turned, axis=1).mean()), 1e-12)
    return out


def fit(
    sequences: Sequences,
    n_items: int,
    settings: SequenceSettings = DEFAULTS,
    seed: int = 0,
    checkpoints: Checkpoints | str | Path | None = None,
    watch: Callable[[int, SequenceModel], bool] | None = None,
    start: np.ndarray | None = None,
) -> SequenceModel:
    """Train on sequences.

    Args:
        n_items: size of the vocabulary, the unknown row 0 included.
        checkpoints: as in `models.two_tower.fit`.
        watch: called after each epoch with its number and the model so far; True ends the training.
        start: float32 [n_items, k], vectors to start from (iALS item factors): few steps find no way from random ones.

    Raises:
        ValueError: `heads` does not divide `dims`.
    """
    if settings.dims % settings.heads:
        raise ValueError(f"dims {settings.dims} must be a multiple of heads {settings.heads}")
    deterministic(seed)
    network = _Network(n_items, settings)
    batches = Batches(sequences, n_items, settings, seed)
    heard = np.bincount(sequences.items, minlength=n_items) > 0
    heard[0] = False
    if not settings.cosine:  # a cosine says nothing of how often; its biases start level
        network.bias.assign(_log_shares(sequences.items, n_items))
    if start is not None:
        network.ids.assign(_start_from(start, network.ids.numpy(), heard))
    module = StateModule(network, settings.length)

    def model(losses: list[float]) -> SequenceModel:
        items = np.concatenate([network.targets().numpy(), network.bias.numpy()[:, None]], axis=1)
        # A track nobody played was only ever pushed away; it has nothing to say. Its score of 0 is that of the rarest.
        items[heard, -1] -= items[heard, -1].min(initial=np.inf)
        items[~heard] = 0
        return SequenceModel(settings, items, losses, module)

    table = tf.TensorSpec([None, None], tf.int32)
    signature = {"items": table, "gaps": table, "targets": table, "negatives": tf.TensorSpec([None], tf.int32)}
    signature |= {"expected": tf.TensorSpec([None], tf.float32), "seed": tf.TensorSpec([2], tf.int32)}
    losses = run_epochs(
        network,
        batches,
        signature,
        settings.epochs,
        batches.steps(),
        settings.learning_rate,
        checkpoints,
        after_epoch=None if watch is None else lambda epoch: watch(epoch, model([])),
        clip=5.0 if settings.cosine else 1.0,
        warm_up=settings.warm_up,
    )
    return model(losses)
