"""States of sequences, as the sequence model and the decoder export and ask for them: a function of right-aligned listens."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

BLOCK = 256


class StateModule(tf.Module):
    """What is exported: a network's states of BLOCK listeners at once, a 1 behind each for the items' bias."""

    def __init__(self, network: Any, length: int) -> None:
        super().__init__(name="_module")
        self.network = network
        signature = [tf.TensorSpec([BLOCK, length], tf.int32)] * 2
        self.embed = tf.function(self._embed, input_signature=signature, autograph=False)

    def _embed(self, items: tf.Tensor, gaps: tf.Tensor) -> tf.Tensor:
        return tf.concat([self.network.states(items, gaps, None)[:, -1], tf.ones([BLOCK, 1])], axis=1)


def states_of(module: Any, items: np.ndarray, gaps: np.ndarray | None, length: int, size: int) -> np.ndarray:
    """States float32 [B, size] after right-aligned listens int32 [B, <= length]; zero without any known listen.

    Args:
        module: a `StateModule`, as fitted or as loaded.
        gaps: as `items`, buckets of the time since the listen before; None = none is known.
    """
    gaps = np.zeros_like(items) if gaps is None else gaps
    out = np.zeros((len(items), size), np.float32)
    for start in range(0, len(items), BLOCK):
        rows = len(items[start : start + BLOCK])
        block = _aligned(items[start : start + BLOCK], gaps[start : start + BLOCK], length)
        states = module.embed(tf.constant(block[0]), tf.constant(block[1])).numpy()[:rows]
        states[block[0, :rows, -1] == 0] = 0
        out[start : start + rows] = states
    return out


def _aligned(items: np.ndarray, gaps: np.ndarray, width: int) -> np.ndarray:
    """int32 [2, BLOCK, width]: items and gaps at the right end; a state always stands at a known listen.

    Unknown tracks are taken out, the rest moved up.
    """
    block = np.zeros((2, BLOCK, width), np.int32)
    for table, given in zip(block, (items, gaps), strict=True):
        part = given[:, -width:]
        table[: len(part), width - part.shape[1] :] = part
    order = np.argsort(block[0] > 0, axis=1, kind="stable")
    return np.take_along_axis(block, np.broadcast_to(order, block.shape), axis=2)
