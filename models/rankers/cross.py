"""The cross ranker: DCN v2 with a listwise order and one head a label.

Standardised features go through TFRS cross layers, x_(l+1) = x_0 * (W x_l + b) + x_l (Wang et al., WWW 2021), and a
small dense tower. The order's score is a linear ranker's, fitted first, plus what the network adds; its last layer
starts at zero, so training begins at the linear answer and can only be asked to improve on it. Heads are logits of
listened, completed, saved, returned (masked cross-entropy: an unknown label has no loss) and, where shelves were shown,
attributed, whose position bias exists in training only. An epoch keeps all positives of a group and a new draw of its
negatives, each standing for those left out (its logit shifted by the log of how many), so 3 million rows train in
seconds.

    >>> ranker = fit_cross(examples, held_out, inputs, RankerSettings(kind="cross"), seed=1)
    >>> sorted(ranker.heads(features))[:2]
    ['p_completed', 'p_listened']
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models.rankers.calibration import Platt
from models.rankers.examples import ATTRIBUTED, Examples
from models.rankers.linear import fit_linear
from models.rankers.ranker import Inputs, Ranker, untrained
from models.runtime import deterministic
from models.settings import CrossSettings, Kind, RankerSettings

_FILE = "cross.npz"
_BLOCK = 8192
_POSITIONS = 64
_PATH_STEPS = 8


class _Network(tf.keras.Model):
    """Standardised features [n, f] -> order's score [n] and heads' logits [n, h]."""

    def __init__(self, features: int, heads: int, settings: CrossSettings) -> None:
        super().__init__()
        l2 = tf.keras.regularizers.L2(settings.weight_decay)
        low_rank = features // 4 if features > 128 else None
        self.crosses = [
            tfrs.layers.dcn.Cross(projection_dim=low_rank, kernel_regularizer=l2) for _ in range(settings.cross_layers)
        ]
        self.tower = [tf.keras.layers.Dense(w, activation="relu", kernel_regularizer=l2) for w in settings.hidden]
        self.drop = tf.keras.layers.Dropout(settings.dropout)
        self.wide = tf.keras.layers.Dense(1, use_bias=False)
        self.added = tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        self.heads = tf.keras.layers.Dense(heads)
        self.positions = self.add_weight(name="positions", shape=(_POSITIONS,), initializer="zeros")
        self(tf.zeros([1, features]))

    def call(self, x: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Both outputs; `training` turns dropout on."""
        crossed = x
        for layer in self.crosses:
            crossed = layer(x, crossed)
        # Products of clipped features can still be large; what the tower needs is their sign and rank.
        deep = tf.math.asinh(crossed)
        for layer in self.tower:
            deep = self.drop(layer(deep), training=training)
        order = self.wide(x) + self.added(deep)
        return order[:, 0], self.heads(tf.concat([deep, order], axis=1))


class Cross(Ranker):
    """A fitted network; see `models.ranker.Ranker`."""

    kind: Kind = "cross"

    def __init__(
        self,
        inputs: Inputs,
        calibrations: dict[str, Platt],
        network: _Network,
        head_names: list[str],
        shape: CrossSettings,
    ) -> None:
        super().__init__(inputs, calibrations)
        self.network, self.head_names, self.shape = network, head_names, shape
        # Blocks of one size: one graph, and the same row gets the same bits whatever it is scored with.
        signature = [tf.TensorSpec([_BLOCK, len(inputs.names)], tf.float32)]
        self._forward = tf.function(network.call, input_signature=signature, autograph=False)
        self._path = tf.function(self._gradient, input_signature=signature, autograph=False)

    def _gradient(self, x: tf.Tensor) -> tf.Tensor:
        """Mean gradient along the straight path from the average candidate, times x (integrated gradients)."""
        total = tf.zeros_like(x)
        for step in range(_PATH_STEPS):
            point = x * ((step + 0.5) / _PATH_STEPS)
            with tf.GradientTape() as tape:
                tape.watch(point)
                order, _ = self.network(point)
            total += tape.gradient(order, point)
        return total * x / _PATH_STEPS

    def _blocks(self, function: Any, x: np.ndarray) -> list[Any]:
        def cut(tensor: tf.Tensor, rows: int) -> np.ndarray:
            return tensor.numpy()[:rows]

        out = []
        for start in range(0, len(x), _BLOCK):
            rows = len(x[start : start + _BLOCK])
            block = np.zeros((_BLOCK, x.shape[1]), np.float32)
            block[:rows] = x[start : start + _BLOCK]
            result = function(tf.constant(block))
            out.append(tuple(cut(t, rows) for t in result) if isinstance(result, tuple) else cut(result, rows))
        return out

    def _order(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([order for order, _ in self._blocks(self._forward, x)])

    def _logit(self, head: str, x: np.ndarray) -> np.ndarray:
        column = self.head_names.index(head)
        return np.concatenate([heads[:, column] for _, heads in self._blocks(self._forward, x)])

    def heads(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """As in `Ranker`, all heads from one pass."""
        logits = [heads for _, heads in self._blocks(self._forward, self.inputs.standardise(features))]
        joined = np.concatenate(logits) if logits else np.zeros((0, len(self.head_names)), np.float32)
        return {f"p_{n}": c(joined[:, self.head_names.index(n)]) for n, c in self.calibrations.items()}

    def _shares(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate(self._blocks(self._path, x))

    def _parameters(self, folder: Path) -> dict[str, Any]:
        np.savez(folder / _FILE, **{f"w{i:02d}": w for i, w in enumerate(self.network.get_weights())})
        return {"heads": self.head_names, "shape": self.shape.model_dump(mode="json")}


def load_cross(folder: Path, raw: dict[str, Any], inputs: Inputs, calibrations: dict[str, Platt]) -> Cross:
    """The ranker that `Cross.save` wrote."""
    shape = CrossSettings.model_validate(raw["shape"])
    network = _Network(len(inputs.names), len(raw["heads"]), shape)
    with np.load(folder / _FILE, allow_pickle=False) as arrays:
        network.set_weights([arrays[name] for name in sorted(arrays.files)])
    return Cross(inputs, calibrations, network, raw["heads"], shape)


def fit_cross(data: Examples, held: np.ndarray, inputs: Inputs, settings: RankerSettings, seed: int) -> Cross:
    """Fit on the groups that are not held out.

    Args:
        data: standardised examples.
        held: bool [n], rows of the groups kept for calibration.

    Returns:
        a ranker whose heads are not calibrated yet.
    """
    deterministic(seed)
    train, shape = data.take(~held), settings.cross
    head_names = list(train.labels)
    network = _Network(len(inputs.names), len(head_names), shape)
    network.wide.set_weights([fit_linear(train, settings, untrained(inputs.names, settings))[:, None]])
    a_pass = max(sum(1 for _ in _batches(train, settings, seed, 0)), 1)
    epochs = max(shape.epochs, min(30, -(-shape.steps // a_pass)))
    steps = epochs * a_pass
    rate = tf.keras.optimizers.schedules.PolynomialDecay(shape.learning_rate, max(steps, 1), 0.0)
    optimizer = tf.keras.optimizers.Adam(rate)
    step = _step(network, optimizer, shape, _head_bias(network, train, head_names))
    for epoch in range(epochs):
        for batch in _batches(train, settings, seed, epoch):
            step(*(tf.constant(part) for part in batch))
    return Cross(inputs, {}, network, head_names, shape)


def _head_bias(network: _Network, train: Examples, head_names: list[str]) -> list[str]:
    """Start each head at its base rate, so that the first steps do not go into learning that listens are rare."""
    kernel, bias = network.heads.get_weights()
    for i, name in enumerate(head_names):
        label, weight = train.labels[name], train.head_weight(name)
        known = np.isfinite(label)
        rate = (label[known] * weight[known]).sum() / max(weight[known].sum(), 1e-9)
        rate = float(np.clip(rate, 1e-4, 1 - 1e-4))
        bias[i] = np.log(rate / (1 - rate))
    network.heads.set_weights([kernel * 0, bias])
    return head_names


def _step(network: _Network, optimizer: Any, shape: CrossSettings, head_names: list[str]) -> Any:
    """One training step over a batch of whole groups."""
    attributed = tf.constant([float(n == ATTRIBUTED) for n in head_names])

    def step(
        x: tf.Tensor,
        group: tf.Tensor,
        shift: tf.Tensor,
        target: tf.Tensor,
        group_weight: tf.Tensor,
        labels: tf.Tensor,
        label_weight: tf.Tensor,
        position: tf.Tensor,
    ) -> tf.Tensor:
        with tf.GradientTape() as tape:
            order, logits = network(x, training=True)
            shifted = order + shift
            groups = tf.shape(group_weight)[0]
            highest = tf.stop_gradient(tf.math.unsorted_segment_max(shifted, group, groups))
            mass = tf.math.unsorted_segment_sum(tf.exp(shifted - tf.gather(highest, group)), group, groups)
            gain = tf.math.unsorted_segment_sum(target * order, group, groups)
            listwise = group_weight * (tf.math.log(tf.maximum(mass, 1e-30)) + highest - gain)
            # Groups without a positive have weight 0, and an empty segment's maximum is the lowest float.
            listwise = tf.reduce_sum(tf.where(group_weight > 0, listwise, 0.0))
            loss = listwise / tf.maximum(tf.reduce_sum(group_weight), 1e-9)
            biased = logits + tf.gather(network.positions, position)[:, None] * attributed
            each = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=biased) * label_weight
            per_head = tf.reduce_sum(each, 0) / tf.maximum(tf.reduce_sum(label_weight, 0), 1e-9)
            loss += shape.heads_weight * tf.reduce_sum(per_head) + tf.add_n(network.losses)
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    f, h = len(network.wide.get_weights()[0]), len(head_names)
    n, rows = tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.int32)
    table, matrix = tf.TensorSpec([None, h], tf.float32), tf.TensorSpec([None, f], tf.float32)
    return tf.function(step, input_signature=[matrix, rows, n, n, n, table, table, rows], autograph=False)


def _batches(data: Examples, settings: RankerSettings, seed: int, epoch: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches of whole groups in an order, and with negatives, that are functions of seed and epoch."""
    rng = np.random.default_rng((seed, epoch))
    positive = np.zeros(len(data.weight), bool)
    for head in data.labels:
        positive |= data.positives(head)
    draw = np.where(positive, -1.0, rng.random(len(data.weight), dtype=np.float32))
    # Rank of each row in its group by the draw: positives first, then negatives in random order.
    order = np.lexsort((draw, data.group_of))
    size = np.diff(np.append(data.starts, len(order)))
    positives = data.sum(positive.astype(np.int64))
    kept_negatives = np.minimum(size - positives, settings.cross.negatives)
    rank = np.arange(len(order)) - np.repeat(data.starts, size)
    kept = order[rank < np.repeat(positives + kept_negatives, size)]
    stands_for = np.where(positive, 1.0, ((size - positives) / np.maximum(kept_negatives, 1))[data.group_of])
    mass = (data.weight * stands_for).astype(np.float32)

    wanted = data.positives(settings.label) & np.isfinite(data.labels[settings.label])
    target = (wanted * data.weight).astype(np.float64)
    total = data.sum(target)
    target = (target / np.maximum(total, 1e-12)[data.group_of]).astype(np.float32)
    count = data.sum(wanted.astype(np.float64))
    group_weight = (total / np.maximum(count, 1) * count**settings.linear.group_power).astype(np.float32)
    # A row whose label is unknown is in no comparison.
    shift = np.where(np.isfinite(data.labels[settings.label]), np.log(mass), -1e9).astype(np.float32)

    kept_size = positives + kept_negatives
    kept_starts = np.concatenate([[0], np.cumsum(kept_size)])
    groups = rng.permutation(len(size))
    steps = np.cumsum(kept_size[groups]) // settings.cross.batch_rows
    for chosen in np.split(groups, np.flatnonzero(np.diff(steps)) + 1):
        sizes = kept_size[chosen]
        rows = kept[np.repeat(kept_starts[chosen] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())]
        labels = np.stack([data.labels[h][rows] for h in data.labels], axis=1)
        weights = np.stack([data.head_weight(h)[rows] * stands_for[rows] for h in data.labels], axis=1)
        known = np.isfinite(labels)
        yield (
            data.features[rows],
            np.repeat(np.arange(len(chosen), dtype=np.int32), sizes),
            shift[rows],
            target[rows],
            group_weight[chosen],
            np.where(known, labels, 0).astype(np.float32),
            np.where(known, weights, 0).astype(np.float32),
            np.minimum(data.position[rows], _POSITIONS - 1),
        )
