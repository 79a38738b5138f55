"""What the sequence model and the decoder share: an attention block with a bias by distance, dropout by seed, cross-entropy.

    block(x) = y + FFN(norm(y)),   y = x + out(softmax(q k / sqrt(d) + bias[t - s]) v) of norm(x),   s <= t

Dropout draws are a function of a seed that the batch brings, so that a fit which was interrupted ends with the same values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from models.settings import DecoderSettings, SequenceSettings


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Dropout with the rate rounded to 1/256: one random number serves four activations."""
    cut = max(1, round(rate * 256))
    count = (tf.size(x) + 3) // 4
    drawn = tf.random.stateless_uniform([count], seed, minval=None, maxval=None, dtype=tf.int32, alg="philox")
    kept = tf.reshape(tf.reshape(tf.bitcast(drawn, tf.uint8), [-1])[: tf.size(x)], tf.shape(x)) >= cut
    return tf.where(kept, x * (256 / (256 - cut)), 0.0)


@tf.custom_gradient
def cross_entropy(states: tf.Tensor, items: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
    """Softmax cross-entropy [N] of states [N, d] against all items [V, d].

    Keeps the probabilities and nothing else of size [N, V]; the general operation passes over that many three times
    more often, which was a third of a step.
    """
    share = tf.nn.softmax(tf.linalg.matmul(states, items, transpose_b=True))
    own = tf.gather_nd(share, tf.stack([tf.range(tf.shape(target)[0]), target], axis=1))

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, None]:
        scaled = states * upstream[:, None]
        to_states = (tf.linalg.matmul(share, items) - tf.gather(items, target)) * upstream[:, None]
        to_items = tf.linalg.matmul(share, scaled, transpose_a=True)
        return to_states, to_items - tf.math.unsorted_segment_sum(scaled, target, tf.shape(items)[0]), None

    return -tf.math.log(tf.maximum(own, 1e-30)), gradient


class AttentionBlock(tf.keras.layers.Layer):
    """One attention block with its feed-forward layer."""

    def __init__(self, s: SequenceSettings | DecoderSettings, name: str) -> None:
        super().__init__(name=name)
        self.s = s
        l2 = tf.keras.regularizers.L2(s.weight_decay) if s.weight_decay else None
        self.norm, self.norm2 = (tf.keras.layers.LayerNormalization(epsilon=1e-6) for _ in range(2))
        self.mix = tf.keras.layers.Dense(3 * s.dims, use_bias=False, kernel_regularizer=l2)
        self.out = tf.keras.layers.Dense(s.dims, kernel_regularizer=l2)
        self.wide = tf.keras.layers.Dense(4 * s.dims, activation=tf.nn.silu, kernel_regularizer=l2)
        self.narrow = tf.keras.layers.Dense(s.dims, kernel_regularizer=l2)
        self.distance = self.add_weight(name="distance", shape=(s.heads, s.length), initializer="zeros")

    def call(self, x: tf.Tensor, hidden: tf.Tensor, drop: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """x [B, L, d]; hidden [B, L] is 1 where there is no listen."""
        batch, length = tf.shape(x)[0], tf.shape(x)[1]
        size = self.s.dims // self.s.heads
        mixed = tf.reshape(self.mix(self.norm(x)), [batch, length, 3, self.s.heads, size])
        q, k, v = tf.unstack(tf.transpose(mixed, [2, 0, 3, 1, 4]))
        logits = tf.linalg.matmul(q * size**-0.5, k, transpose_b=True)
        ago = tf.range(length)[:, None] - tf.range(length)[None, :]
        bias = tf.gather(self.distance, tf.clip_by_value(ago, 0, self.s.length - 1), axis=1)
        bias = tf.where(ago[None] >= 0, bias, -1e9)
        weights = tf.nn.softmax(logits + bias[None] - 1e9 * hidden[:, None, None, :], axis=-1)
        seen = tf.reshape(tf.transpose(tf.linalg.matmul(weights, v), [0, 2, 1, 3]), [batch, length, self.s.dims])
        x += drop(self.out(seen))
        return x + drop(self.narrow(drop(self.wide(self.norm2(x)))))
