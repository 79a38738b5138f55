"""The decoder: what comes next, as semantic ids code by code, and as a dense score.

    v_i   = sum_l C_l[c_il] + F x_i + id_i                a track: its codes, what is known of it, and a vector of its own
    s_t   = attention over v of the listens up to t        sliding windows, every listen but the first a target
    p(c_l | s_t, c_1 .. c_(l-1)) = softmax over O_l of s_t + MLP(s_t, sum_(j<l) D_j[c_j])
    dense = s_t . v_i + b_i
    loss  = cross-entropy of the dense score + generation * mean over l of the cross-entropy of the codes

Semantic ids generalise and item ids memorise, so a track carries both, and both losses train the same states (LIGER, Yang et al.,
2024; COBRA, 2025). In every step a share of the tracks goes without `id_i`, so that codes and content can stand alone: a track
that nobody has played has no more. Only played tracks are answers of the dense loss; the others are never pushed away.

    >>> model = fit(Sequences.from_lists(lists), ids, vectors, DecoderSettings(), seed=1)
    >>> model.embed(items, gaps) @ model.items.T              # [B, length] int32 twice -> dense scores [B, n_items]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from models.attention import AttentionBlock, cross_entropy, dropout
from models.checkpoints import Checkpoints
from models.generative.semantic_ids import SemanticIds
from models.runtime import deterministic, export
from models.sequence_data import GAPS, Batches, Sequences
from models.settings import DecoderSettings, SequenceSettings
from models.states import StateModule, states_of
from models.training import run_epochs
from transforms.common.arrays import load_arrays, save_arrays

DEFAULTS = DecoderSettings()
_FILE, _ITEMS, _HEADS, _EXPORT, _IDS = "decoder.json", "items.npy", "heads.npz", "saved_model", "semantic_ids.npz"


class _Network(tf.keras.Model):
    """Listens -> states; and the loss of a batch."""

    def __init__(self, ids: SemanticIds, vectors: np.ndarray, played: np.ndarray, s: DecoderSettings) -> None:
        super().__init__()
        n, levels, size, d = len(vectors), ids.levels, ids.size, s.dims
        self.s, self.levels = s, levels
        self.full = int(played.sum()) <= s.full_softmax
        known = np.any(vectors != 0, axis=1)
        length = float(np.linalg.norm(vectors[known], axis=1).mean()) if known.any() else 1.0
        # What is exported stands in variables: constants would be written into the graph, number by number.
        self.facts = tf.Variable((vectors / max(length, 1e-12)).astype(np.float32), trainable=False, name="facts")
        self.codes = tf.Variable(np.maximum(ids.codes[:, :levels], 0), trainable=False, name="codes")
        self.coded = tf.Variable(ids.known.astype(np.float32), trainable=False, name="coded")
        self.played = tf.constant(played)
        self.answers = tf.constant(np.flatnonzero(played).astype(np.int32))
        place = np.zeros(n, np.int32)
        place[played] = np.arange(int(played.sum()))
        self.place = tf.constant(place)
        start = np.zeros((vectors.shape[1], d), np.float32)
        np.fill_diagonal(start, 0.5)
        self.turn = self.add_weight(name="turn", shape=start.shape, initializer=lambda *_, **__: tf.constant(start))
        self.own = self._table("own", [n, d], 0.02)
        self.in_codes = self._table("in_codes", [levels, size, d], 0.02)
        self.prefix = self._table("prefix", [levels, size, d], 0.05)
        self.out_codes = self._table("out_codes", [levels, size, d], 0.05)
        self.out_bias = self.add_weight(name="out_bias", shape=(levels, size), initializer="zeros")
        self.wide = self._table("wide", [levels, 2 * d, s.hidden], (2 * d) ** -0.5)
        self.wide_bias = self.add_weight(name="wide_bias", shape=(levels, s.hidden), initializer="zeros")
        self.narrow = self._table("narrow", [levels, s.hidden, d], s.hidden**-0.5)
        self.gaps = self.add_weight(name="gaps", shape=(GAPS, d), initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=(n,), initializer="zeros")
        self.blocks = [AttentionBlock(s, f"block{i}") for i in range(s.layers)]
        self.norm = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.states(tf.ones([1, 2], tf.int32), tf.ones([1, 2], tf.int32), None)

    def _table(self, name: str, shape: list[int], spread: float) -> tf.Variable:
        first = tf.random.normal(shape, stddev=spread)
        return self.add_weight(name=name, shape=shape, initializer=lambda *_, **__: first)

    def tracks(self, items: tf.Tensor, with_own: tf.Tensor | None = None) -> tf.Tensor:
        """v [..., d] of rows of the vocabulary; `with_own` float32 [n] is 0 for tracks that go without their own vector."""
        codes = tf.gather(self.codes, items)
        summed = tf.add_n([tf.gather(self.in_codes[level], codes[..., level]) for level in range(self.levels)])
        own = tf.gather(self.own, items)
        if with_own is not None:
            own *= tf.gather(with_own, items)[..., None]
        known = tf.gather(self.coded, items)[..., None]
        return known * (summed + tf.matmul(tf.gather(self.facts, items), self.turn)) + own

    def states(
        self, items: tf.Tensor, gaps: tf.Tensor, seed: tf.Tensor | None, with_own: tf.Tensor | None = None
    ) -> tf.Tensor:
        """States [B, L, d] of int32 [B, L] listens; a seed (int32 [2]) turns dropout on."""
        draws = iter(range(1 << 20))

        def drop(x: tf.Tensor) -> tf.Tensor:
            if seed is None or not self.s.dropout:
                return x
            return dropout(x, self.s.dropout, seed + tf.constant([0, next(draws) * 7919], tf.int32))

        known = tf.cast(items > 0, tf.float32)
        x = self.tracks(items, with_own) * self.s.dims**0.5 + tf.gather(self.gaps, gaps)
        x = drop(x * known[:, :, None])
        for block in self.blocks:
            x = block(x, 1 - known, drop)
        return self.norm(x)

    def compute_loss(self, batch: dict[str, tf.Tensor], training: bool = True) -> tf.Tensor:
        """Dense loss and the codes' loss of the targets there are."""
        seed = batch["seed"] if training else None
        with_own = None
        if seed is not None and self.s.id_dropout:
            drawn = tf.random.stateless_uniform([tf.shape(self.own)[0]], seed + tf.constant([1, 0]), alg="philox")
            with_own = tf.cast(drawn >= self.s.id_dropout, tf.float32)
        states = self.states(batch["items"], batch["gaps"], seed, with_own)
        asked = tf.where((batch["targets"] > 0) & (batch["items"] > 0))
        states, target = tf.gather_nd(states, asked), tf.gather_nd(batch["targets"], asked)
        loss = self._dense(states, target, batch, with_own)
        if self.s.generation:
            loss += self.s.generation * self._generation(states, target)
        count = tf.cast(tf.maximum(tf.shape(target)[0], 1), tf.float32)
        return tf.reduce_sum(loss) / count + (tf.add_n(self.losses) if self.losses else 0.0)

    def _dense(
        self, states: tf.Tensor, target: tf.Tensor, batch: dict[str, tf.Tensor], with_own: tf.Tensor | None
    ) -> tf.Tensor:
        if self.full:
            every = tf.concat(
                [self.tracks(self.answers, with_own), tf.gather(self.bias, self.answers)[:, None]], axis=1
            )
            ones = tf.ones([tf.shape(states)[0], 1])
            return cross_entropy(tf.concat([states, ones], axis=1), every, tf.gather(self.place, target))
        drawn = batch["negatives"]
        own = tf.reduce_sum(states * self.tracks(target, with_own), 1) + tf.gather(self.bias, target)
        logits = tf.linalg.matmul(states, self.tracks(drawn, with_own), transpose_b=True)
        logits += tf.gather(self.bias, drawn) - tf.math.log(batch["expected"])
        usable = (target[:, None] != drawn[None, :]) & tf.gather(self.played, drawn)[None, :]
        logits = tf.where(usable, logits, -1e9)
        return tf.reduce_logsumexp(tf.concat([own[:, None], logits], 1), 1) - own

    def _generation(self, states: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Mean cross-entropy [N] of a target's codes, each after those before it; 0 for a target without an id."""
        codes = tf.gather(self.codes, target)
        before, total = tf.zeros_like(states), tf.zeros([tf.shape(states)[0]])
        for level in range(self.levels):
            logits = code_logits(states, before, level, self.heads())
            total += tf.nn.sparse_softmax_cross_entropy_with_logits(labels=codes[:, level], logits=logits)
            before += tf.gather(self.prefix[level], codes[:, level])
        return total * tf.gather(self.coded, target) / self.levels

    def scored(self, states: tf.Tensor, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The dense score [N] of tracks [N] after states [N, d], as `Decoder.items` has it; and log p of their codes [N].

        Tracks that were no answer go without their own vector and bias, and without an id the codes say 0.
        """
        played = tf.cast(self.played, tf.float32)
        least = tf.reduce_min(tf.gather(self.bias, self.answers))
        bias = tf.gather(played, items) * (tf.gather(self.bias, items) - tf.stop_gradient(least))
        dense = tf.reduce_sum(states * self.tracks(items, played), axis=1) + bias
        return dense, -self.levels * self._generation(states, items)

    def heads(self) -> dict[str, tf.Tensor]:
        """What `code_logits` reads."""
        names = ("prefix", "out_codes", "out_bias", "wide", "wide_bias", "narrow")
        return {name: getattr(self, name) for name in names}


def code_logits(states: tf.Tensor, before: tf.Tensor, level: int, heads: dict[str, tf.Tensor]) -> tf.Tensor:
    """Logits [..., k] of the code of a level after states [..., d] and the sum of the codes before it [..., d]."""
    wide = tf.matmul(tf.concat([states, before], axis=-1), heads["wide"][level]) + heads["wide_bias"][level]
    asked = states + tf.matmul(tf.nn.silu(wide), heads["narrow"][level])
    return tf.matmul(asked, heads["out_codes"][level], transpose_b=True) + heads["out_bias"][level]


@dataclass
class Decoder:
    """A fitted decoder.

    Attributes:
        ids: the semantic ids it generates.
        items: float32 [n_items, dims + 1], bias last; zero where nothing is known of a track.
        heads: what `code_logits` reads, as arrays.
        played: bool [n_items], tracks that were an answer while it was trained.
        losses: mean training loss of each epoch.
    """

    settings: DecoderSettings
    ids: SemanticIds
    items: np.ndarray
    heads: dict[str, np.ndarray]
    played: np.ndarray
    losses: list[float]
    module: Any = field(repr=False)

    def embed(self, items: np.ndarray, gaps: np.ndarray | None = None) -> np.ndarray:
        """States float32 [B, dims + 1] after right-aligned listens int32 [B, <= length]; zero without any known listen.

        A dot product with `items` is the dense score of that track coming next.
        """
        return states_of(self.module, items, gaps, self.settings.length, self.items.shape[1])

    def save(self, directory: str | Path) -> None:
        """Write items.npy, heads.npz, semantic_ids.npz, a SavedModel with the signature `embed`, and decoder.json."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / _ITEMS, self.items, allow_pickle=False)
        save_arrays(folder / _HEADS, {**self.heads, "played": self.played})
        self.ids.save(folder / _IDS)
        export(self.module, folder / _EXPORT)
        raw = {"settings": self.settings.model_dump(mode="json"), "losses": self.losses}
        (folder / _FILE).write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, directory: str | Path) -> Decoder:
        """Read what `save` wrote; the item matrix is memory-mapped."""
        folder = Path(directory)
        raw = json.loads((folder / _FILE).read_text())
        heads = load_arrays(folder / _HEADS)
        return cls(
            DecoderSettings.model_validate(raw["settings"]),
            SemanticIds.load(folder / _IDS),
            np.load(folder / _ITEMS, mmap_mode="r", allow_pickle=False),
            {name: array for name, array in heads.items() if name != "played"},
            heads["played"],
            raw["losses"],
            tf.saved_model.load(str(folder / _EXPORT)),
        )


def fit(
    sequences: Sequences,
    ids: SemanticIds,
    vectors: np.ndarray,
    settings: DecoderSettings = DEFAULTS,
    seed: int = 0,
    checkpoints: Checkpoints | str | Path | None = None,
    watch: Callable[[int, Decoder], bool] | None = None,
) -> Decoder:
    """Train on sequences.

    Args:
        ids: of every track of the vocabulary.
        vectors: float32 [n_items, k], what the ids were made of.
        checkpoints: as in `models.two_tower.fit`.
        watch: called after each epoch with its number and the decoder so far; True ends the training.

    Raises:
        ValueError: `heads` does not divide `dims`, or ids and vectors are of different vocabularies.
    """
    if settings.dims % settings.heads:
        raise ValueError(f"dims {settings.dims} must be a multiple of heads {settings.heads}")
    if len(ids.codes) != len(vectors):
        raise ValueError(f"ids of {len(ids.codes)} tracks and vectors of {len(vectors)}: they are of one vocabulary")
    deterministic(seed)
    n = len(vectors)
    played = np.bincount(sequences.items, minlength=n) > 0
    played[0] = False
    network = _Network(ids, vectors, played, settings)
    count = np.bincount(sequences.items, minlength=n).astype(np.float64) + 0.5
    network.bias.assign(np.log(count / count.mean()).astype(np.float32))
    batches = Batches(sequences, n, _as_sequence_settings(settings, n, network.full), seed)
    module = StateModule(network, settings.length)

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
        after_epoch=None if watch is None else lambda epoch: watch(epoch, decoder_of(module, ids, [])),
        clip=1.0,
        warm_up=settings.warm_up,
    )
    return decoder_of(module, ids, losses)


def decoder_of(module: StateModule, ids: SemanticIds, losses: list[float]) -> Decoder:
    """A module's network as it is now, with the tracks' vectors that its states are compared with."""
    network: _Network = module.network
    played, bias = network.played.numpy(), network.bias.numpy()
    items = np.concatenate(list(_every_track(network, len(played), played)), axis=0)
    items[played, -1] = bias[played] - bias[played].min(initial=np.inf)
    items[~np.any(items[:, :-1] != 0, axis=1)] = 0
    items[0] = 0
    heads = {name: np.asarray(tensor) for name, tensor in network.heads().items()}
    return Decoder(network.s, ids, items, heads, played, losses, module)


def copied(decoder: Decoder) -> _Network:
    """A network of its own with the weights of a decoder that was just fitted; training it leaves the decoder as it is.

    Raises:
        ValueError: the decoder was loaded, and holds no network any more.
    """
    network = getattr(decoder.module, "network", None)
    if not isinstance(network, _Network):
        raise ValueError("a decoder that was loaded cannot be trained further; fit it in the same process")
    own = _Network(decoder.ids, network.facts.numpy(), decoder.played, decoder.settings)
    for mine, theirs in zip(own.variables, network.variables, strict=True):
        mine.assign(theirs)
    return own


def _every_track(network: _Network, n: int, played: np.ndarray) -> Iterator[np.ndarray]:
    """Tracks' vectors with an empty place for the bias; tracks that were no answer go without their own."""
    for start in range(0, n, 1 << 14):
        rows = np.arange(start, min(start + (1 << 14), n), dtype=np.int32)
        vectors = network.tracks(tf.constant(rows), tf.constant(played.astype(np.float32))).numpy()
        yield np.concatenate([vectors, np.zeros((len(rows), 1), np.float32)], axis=1)


def _as_sequence_settings(s: DecoderSettings, n: int, full: bool) -> SequenceSettings:
    """How windows are cut and negatives drawn: as for the sequence model."""
    return SequenceSettings(
        length=s.length,
        batch=s.batch,
        windows=s.windows,
        windows_each=0.0,
        positions=1.0,
        negatives=s.negatives,
        full_softmax=n if full else 0,
    )
