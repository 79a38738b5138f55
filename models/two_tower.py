"""Two-tower retrieval with TFRS: a listener's vector from their history, a track's from its id and its content.

    track    v_i = unit(id_i + sum over bags of the mean of the bag's embeddings)   bags: artists, tags, album, ...
    listener q   = unit(m + MLP(m) + contexts), m = weighted mean of the history's v_i
    score    s   = e^t q . v_i + b_i

A track without an id embedding (released after the fit) still has a vector from its bags. Both towers share v, so a
history of such tracks says something too. The loss is softmax cross-entropy over the whole catalog up to
`full_softmax` tracks, and beyond over shared negatives drawn with known probability p_j = (uniform + popularity^0.75)
/ 2: a negative's logit is lowered by log(expected draws of j), so that the sum estimates the whole catalog's; the
positive's own is left alone, since it is always there (arXiv 2507.09331). The loss is `tfrs.tasks.Retrieval`, used so
that its clipping of probabilities at 1e-6 and at 1 is never reached, averaged over targets, without in-batch negatives.

    >>> model = fit(histories, targets, Content({}), TwoTowerSettings(), seed=1)      # csr [m, n], csr [m, n]
    >>> model.embed(histories[:300]).shape, model.items.shape                  # float32, item bias as last dimension
    ((300, 65), (n, 65))
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
from scipy.sparse import csr_matrix

from models.checkpoints import Checkpoints
from models.runtime import deterministic, export, padded
from models.settings import TwoTowerSettings
from models.two_tower_data import Content, Data, heaviest

BLOCK = 256
_LENGTH_BIAS = 0.2
_FILE, _ITEMS, _EXPORT = "two_tower.json", "items.npy", "saved_model"


NO_CONTENT = Content()
DEFAULTS = TwoTowerSettings()


class _Towers(tfrs.models.Model):
    """Variables of both towers, and the loss of one batch."""

    def __init__(self, n_items: int, bags: Mapping[str, int], contexts: Mapping[str, int], s: TwoTowerSettings) -> None:
        super().__init__()

        def table(name: str, rows: int) -> tf.Variable:
            start = tf.random.normal([rows, s.dims], stddev=s.dims**-0.5)
            return self.add_weight(name=name, shape=(rows, s.dims), initializer=lambda *_, **__: start)

        self.ids = table("ids", n_items)
        self.bag_tables = {name: table(f"bag_{name}", size) for name, size in sorted(bags.items())}
        self.context_tables = {name: table(f"context_{name}", size) for name, size in sorted(contexts.items())}
        self.bias = self.add_weight(name="bias", shape=(n_items,), initializer="zeros")
        self.log_scale = self.add_weight(name="log_scale", shape=(), initializer="zeros")
        self.log_scale.assign(np.log(s.first_scale))
        self.hidden = tf.keras.layers.Dense(s.hidden, activation="relu")
        self.out = tf.keras.layers.Dense(s.dims, kernel_initializer="zeros")
        self.task = tfrs.tasks.Retrieval(
            loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True, reduction=tf.keras.losses.Reduction.SUM)
        )
        self.out(self.hidden(tf.zeros([1, s.dims])))
        self.pull = s.pull
        self.ids_start: tf.Tensor | None = None

    def start_from(self, vectors: np.ndarray, bags: Mapping[str, csr_matrix]) -> None:
        """Start at given vectors: a bag's value at the mean of its tracks', an id at what bags leave unsaid."""
        dims = self.ids.shape[1]
        _, axes = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)
        turned = (vectors @ axes[:, ::-1][:, :dims]).astype(np.float32)
        turned = np.pad(turned, ((0, 0), (0, dims - turned.shape[1])))
        norm = np.linalg.norm(turned, axis=1, keepdims=True)
        known = norm[:, 0] > 1e-6
        unit = np.where(known[:, None], turned / np.maximum(norm, 1e-6), 0)
        rest = unit.copy()
        for name, table in self.bag_tables.items():
            bag = csr_matrix(bags[name], dtype=np.float32)
            mass = np.maximum(np.asarray(bag[known].sum(axis=0)).ravel(), 1e-9)
            means = (bag.T @ unit) / mass[:, None] / len(self.bag_tables)
            table.assign(means)
            rest -= bag @ means / np.maximum(np.asarray(bag.sum(axis=1)), 1e-9)
        self.ids.assign(np.where(known[:, None], rest, 0))
        # A long vector is a track heard by many: what scaling to length 1 takes away comes back as the bias.
        length = np.log(np.maximum(norm[:, 0], 1e-6))
        typical = length[known].mean() if known.any() else 0.0
        self.bias.assign(np.where(known, _LENGTH_BIAS * float(tf.exp(self.log_scale)) * (length - typical), 0))
        self.ids_start = tf.constant(self.ids.numpy())

    def tracks(self, items: tf.Tensor, bags: Mapping[str, tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor:
        """unit vectors [u, d] of items int32 [u] (negative: no id embedding); bags: name -> values, weights [u, w]."""
        vector = tf.gather(self.ids, tf.maximum(items, 0)) * tf.cast(items >= 0, tf.float32)[:, None]
        for name, table in self.bag_tables.items():
            values, weights = bags[name]
            mean = tf.reduce_sum(tf.gather(table, values) * weights[:, :, None], 1)
            vector += mean / tf.maximum(tf.reduce_sum(weights, 1, keepdims=True), 1e-9)
        return tf.math.l2_normalize(vector, axis=1, epsilon=1e-12)

    def listeners(self, mean: tf.Tensor, contexts: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """unit vectors [B, d] from histories' weighted means [B, d] and contexts name -> int32 [B]."""
        for name, table in self.context_tables.items():
            known = tf.cast(contexts[name] > 0, tf.float32)[:, None]
            mean += tf.gather(table, contexts[name]) * known
        return tf.math.l2_normalize(mean + self.out(self.hidden(mean)), axis=1, epsilon=1e-12)

    def compute_loss(self, inputs: dict[str, Any], training: bool = False) -> tf.Tensor:
        """Mean loss of a batch's targets; see `_batches` for its tensors."""
        vectors = self.tracks(inputs["unique"], inputs["bags"])
        mean = _weighted_mean(tf.gather(vectors, inputs["history"]), inputs["history_weight"])
        queries = tf.exp(self.log_scale) * self.listeners(mean, inputs["contexts"])
        pairs = tf.gather(queries, inputs["example"])
        bias = tf.gather(self.bias, inputs["unique"])
        one = tf.ones([tf.shape(pairs)[0], 1])
        candidates = tf.concat([inputs["target"], inputs["negative"]], 0)
        # A pair meets its own positive and the shared negatives, never other pairs' positives: those would come with
        # a probability nobody knows. Negatives that are the positive are masked too.
        own = tf.eye(tf.shape(pairs)[0], dtype=tf.bool)
        others = inputs["target"][:, None] != inputs["negative"][None, :]
        loss = self.task(
            tf.concat([pairs, one], 1),
            tf.gather(tf.concat([vectors, bias[:, None]], 1), candidates),
            candidate_sampling_probability=tf.concat(
                [tf.fill([tf.shape(pairs)[0]], inputs["positive_probability"]), inputs["negative_probability"]], 0
            ),
            score_mask=tf.concat([own, others], 1),
            compute_metrics=False,
            compute_batch_metrics=False,
        )
        loss /= tf.cast(tf.maximum(tf.shape(pairs)[0], 1), tf.float32)
        if self.ids_start is not None:
            items = tf.maximum(inputs["unique"], 0)
            moved = tf.gather(self.ids, items) - tf.gather(self.ids_start, items)
            loss += self.pull * tf.reduce_mean(tf.reduce_sum(tf.square(moved), 1))
        return loss


def _weighted_mean(vectors: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    total = tf.reduce_sum(weights, axis=1, keepdims=True)
    return tf.reduce_sum(vectors * weights[:, :, None], axis=1) / tf.maximum(total, 1e-9)


@dataclass
class TwoTower:
    """A fitted model: item vectors as an array, the listener tower as a function of padded histories.

    Attributes:
        items: float32 [n_items, dims + 1], the bias last; row 0 is zero.
        losses: mean training loss of each epoch.
    """

    settings: TwoTowerSettings
    items: np.ndarray
    contexts: dict[str, int]
    losses: list[float]
    module: Any = field(repr=False)

    def embed(self, histories: csr_matrix, contexts: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Listeners' vectors float32 [B, dims + 1] from histories [B, n_items]; a zero vector without history.

        A dot product with `items` is the model's score. Contexts that are not given are unknown.
        """
        given = contexts or {}
        out = np.zeros((histories.shape[0], self.items.shape[1]), np.float32)
        for start in range(0, histories.shape[0], BLOCK):
            part = heaviest(histories[start : start + BLOCK], self.settings.history)
            rows = part.shape[0]
            values, weights = padded(part, np.arange(rows), self.settings.history)
            pad = ((0, BLOCK - rows), (0, 0))
            context = np.zeros((BLOCK, len(self.contexts)), np.int32)
            for column, name in enumerate(sorted(self.contexts)):
                if name in given:
                    context[:rows, column] = np.asarray(given[name])[start : start + rows]
            block = self.module.embed(
                tf.constant(np.pad(values, pad)), tf.constant(np.pad(weights, pad)), tf.constant(context)
            )
            out[start : start + rows] = block.numpy()[:rows]
            out[start : start + rows][np.diff(part.indptr) == 0] = 0
        return out

    def cold_items(self, bags: Mapping[str, csr_matrix]) -> np.ndarray:
        """Vectors float32 [m, dims + 1] of tracks unknown at the fit, from their bags alone; zero without any."""
        names = sorted(bags)
        m = bags[names[0]].shape[0] if names else 0
        out = np.zeros((m, self.items.shape[1]), np.float32)
        for start in range(0, m, 1 << 14):
            flat = []
            for name in names:
                part = csr_matrix(bags[name][start : start + (1 << 14)])
                values, weights = padded(
                    part, np.arange(part.shape[0]), max(1, int(np.diff(part.indptr).max(initial=1)))
                )
                flat += [tf.constant(values), tf.constant(weights)]
            out[start : start + (1 << 14), :-1] = self.module.cold(*flat).numpy()
        return out

    def save(self, directory: str | Path) -> None:
        """Write items.npy, a SavedModel with the signature `embed`, and two_tower.json."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / _ITEMS, self.items, allow_pickle=False)
        export(self.module, folder / _EXPORT)
        raw = {"settings": self.settings.model_dump(mode="json"), "contexts": self.contexts, "losses": self.losses}
        (folder / _FILE).write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, directory: str | Path) -> TwoTower:
        """Read what `save` wrote; the item matrix is memory-mapped."""
        folder = Path(directory)
        raw = json.loads((folder / _FILE).read_text())
        items = np.load(folder / _ITEMS, mmap_mode="r", allow_pickle=False)
        settings = TwoTowerSettings.model_validate(raw["settings"])
        return cls(settings, items, raw["contexts"], raw["losses"], tf.saved_model.load(str(folder / _EXPORT)))


def fit(
    histories: csr_matrix,
    targets: csr_matrix,
    content: Content = NO_CONTENT,
    settings: TwoTowerSettings = DEFAULTS,
    seed: int = 0,
    checkpoints: Checkpoints | str | Path | None = None,
    contexts: Mapping[str, np.ndarray] | None = None,
    start: np.ndarray | None = None,
) -> TwoTower:
    """Train on examples (see `models.histories.examples`).

    Args:
        histories: sparse [m, n_items], weights of each example's history.
        targets: sparse [m, n_items], each example's targets.
        checkpoints: folder or URL for a checkpoint at each epoch's end; a fit that finds one there goes on from it and
            ends with the same values as one that was never interrupted.
        contexts: name -> int32 [m] for the names in `content.contexts`.
        start: float32 [n_items, k], vectors to start from (iALS item factors): small logs are far too short to
            find their way from random ones.
    """
    from models.training import run_epochs

    deterministic(seed)
    n_items = histories.shape[1]
    sizes = {name: bag.shape[1] for name, bag in content.bags.items()}
    towers = _Towers(n_items, sizes, content.contexts, settings)
    if start is not None:
        towers.start_from(start, content.bags)
    data = Data(histories, targets, content, settings, seed, contexts or {})
    losses = run_epochs(
        towers, data.batches, data.signature(), settings.epochs, data.steps, settings.learning_rate, checkpoints
    )
    vectors = np.zeros((n_items, settings.dims + 1), np.float32)
    for first in range(0, n_items, 1 << 14):
        rows = np.arange(first, min(first + (1 << 14), n_items), dtype=np.int32)
        bags = {name: tuple(map(tf.constant, pair)) for name, pair in data.bags(rows).items()}
        vectors[rows, :-1] = towers.tracks(tf.constant(rows), bags).numpy()
    vectors[:, -1] = towers.bias.numpy()
    # An id that was neither heard nor a target was never trained: without content it must not be retrieved by chance.
    unseen = np.bincount(np.concatenate([histories.indices, targets.indices]), minlength=n_items) == 0
    vectors[unseen] = 0
    if unseen.any() and content.bags:
        rest = np.flatnonzero(unseen)
        bags = {name: tuple(map(tf.constant, pair)) for name, pair in data.bags(rest).items()}
        vectors[rest, :-1] = towers.tracks(tf.fill([len(rest)], -1), bags).numpy()
    vectors[0] = 0
    module = _Module(towers, vectors, settings, dict(content.contexts))
    return TwoTower(settings, vectors, dict(content.contexts), losses, module)


class _Module(tf.Module):
    """What is exported: frozen item vectors and the listener tower."""

    def __init__(self, towers: _Towers, items: np.ndarray, s: TwoTowerSettings, contexts: dict[str, int]) -> None:
        super().__init__()
        self.items = tf.Variable(items[:, :-1], trainable=False)
        self.hidden, self.out = towers.hidden, towers.out
        self.scale = tf.Variable(tf.exp(towers.log_scale), trainable=False)
        self.context_tables = {name: tf.Variable(t, trainable=False) for name, t in towers.context_tables.items()}
        self.bag_tables = {name: tf.Variable(t, trainable=False) for name, t in towers.bag_tables.items()}
        pair = (tf.TensorSpec([BLOCK, s.history], tf.int32), tf.TensorSpec([BLOCK, s.history], tf.float32))
        context = tf.TensorSpec([BLOCK, len(contexts)], tf.int32, name="contexts")
        self.embed = tf.function(self._embed, input_signature=[*pair, context], autograph=False)
        bag = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.float32)] * len(self.bag_tables)
        if bag:
            self.cold = tf.function(self._cold, input_signature=bag, autograph=False)

    def _embed(self, items: tf.Tensor, weights: tf.Tensor, contexts: tf.Tensor) -> tf.Tensor:
        mean = _weighted_mean(tf.gather(self.items, items), weights)
        for column, name in enumerate(sorted(self.context_tables)):
            known = tf.cast(contexts[:, column] > 0, tf.float32)[:, None]
            mean += tf.gather(self.context_tables[name], contexts[:, column]) * known
        vector = tf.math.l2_normalize(mean + self.out(self.hidden(mean)), axis=1, epsilon=1e-12)
        return tf.concat([self.scale * vector, tf.ones([BLOCK, 1])], axis=1)

    def _cold(self, *flat: tf.Tensor) -> tf.Tensor:
        vector = tf.constant(0.0)
        for i, name in enumerate(sorted(self.bag_tables)):
            values, weights = flat[2 * i], flat[2 * i + 1]
            vector += _weighted_mean(tf.gather(self.bag_tables[name], values), weights)
        return tf.math.l2_normalize(vector, axis=1, epsilon=1e-12)
