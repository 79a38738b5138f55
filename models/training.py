"""The training loop every gradient-trained model shares: batches by (seed, epoch), a checkpoint at each epoch's end.

A worker may die, and a runner may start the same step twice. Because an epoch's batches are a function of its number,
going on from the last checkpoint, or doing it all again, ends with the same values.

    >>> losses = run_epochs(model, batches, signature, epochs=3, steps=100, learning_rate=1e-3, checkpoints=None)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from models.checkpoints import Checkpoints


def run_epochs(
    model: Any,
    batches: Callable[[int], Iterator[Any]],
    signature: Any,
    epochs: int,
    steps: int,
    learning_rate: float,
    checkpoints: Checkpoints | str | Path | None,
    after_epoch: Callable[[int], bool] | None = None,
    clip: float | None = None,
    warm_up: int = 0,
) -> list[float]:
    """Train `model.compute_loss` with Adam.

    Args:
        model: has `compute_loss(batch, training=True)` and `trainable_variables`.
        batches: epoch number -> that epoch's batches (nested numpy arrays).
        signature: `tf.TensorSpec` of a batch, nested alike.
        steps: batches an epoch; the rate falls linearly to zero over epochs * steps.
        checkpoints: `Checkpoints`, a folder or URL, or None for none; training goes on from the latest found there.
        after_epoch: called with the epoch's number; True ends the training.
        clip: largest global norm of a gradient.
        warm_up: steps over which the rate rises from zero.

    Returns:
        mean loss of each epoch.
    """
    rate = _Rate(learning_rate, warm_up, max(epochs * steps, 1))
    optimizer = tf.keras.optimizers.Adam(rate)
    state = tf.train.Checkpoint(
        model=model, optimizer=optimizer, losses=tf.Variable(tf.zeros([epochs])), done=tf.Variable(0, dtype=tf.int64)
    )
    optimizer.build(model.trainable_variables)
    keep = Checkpoints.of(checkpoints)
    prefix = None if keep is None else f"{keep.folder.rstrip('/')}/epoch"
    last = _latest(prefix, epochs)
    if last:
        state.read(f"{prefix}-{last:03d}").assert_existing_objects_matched()

    # With autograph: TFRS's retrieval task cannot be traced without it.
    @tf.function(input_signature=[signature])
    def step(batch: Any) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(batch, training=True)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        if clip is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, clip)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    for epoch in range(int(state.done.numpy()), epochs):
        total, count = 0.0, 0
        data = tf.data.Dataset.from_generator(lambda e=epoch: batches(e), output_signature=signature).prefetch(2)
        for batch in data:
            total, count = total + float(step(batch)), count + 1
        state.losses.scatter_nd_update([[epoch]], [total / max(count, 1)])
        state.done.assign(epoch + 1)
        if prefix is not None:
            state.write(f"{prefix}-{epoch + 1:03d}")
            if keep is not None and keep.saved is not None:
                keep.saved()
        if after_epoch is not None and after_epoch(epoch):
            break
    return [float(x) for x in state.losses.numpy()[: int(state.done.numpy())]]


class _Rate(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly over the warm-up, then falls linearly to zero."""

    def __init__(self, peak: float, warm_up: int, steps: int) -> None:
        self.peak, self.warm_up, self.steps = peak, warm_up, steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        at = tf.cast(step, tf.float32)
        rising = (at + 1) / max(self.warm_up, 1)
        falling = (self.steps - at) / max(self.steps - self.warm_up, 1)
        return self.peak * tf.clip_by_value(tf.minimum(rising, falling), 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal schedule."""
        return {"peak": self.peak, "warm_up": self.warm_up, "steps": self.steps}


def _latest(prefix: str | None, epochs: int) -> int:
    """Number of the latest epoch whose checkpoint is complete (its index is written last); 0 = none."""
    if prefix is None:
        return 0
    return max((e for e in range(1, epochs + 1) if tf.io.gfile.exists(f"{prefix}-{e:03d}.index")), default=0)
