"""The one sample of listeners: who is kept, measured and learned from where everyone would be too many.

A listener stands at a hash of seed and id in [0, 1), and every share takes those below it. So samples are nested: whoever is in a
sample of 1% is in one of 2%, and a sample of a sample is the smaller of the two and not their product.

>>> one, two = (in_sample(pl.Series(["ann", "bob", "cat"]), share, 1) for share in (0.3, 0.6))
>>> bool((one <= two).all())
True
"""

from __future__ import annotations

import numpy as np
import polars as pl

from transforms.common.hashing import uniform


def in_sample(listener_ids: pl.Series, share: float | np.ndarray, seed: int) -> pl.Series:
    """Which listeners are in the sample of this share (or of one each): the same in every job, shard and night."""
    return pl.Series(uniform(seed, "inclusion", listener_ids) < share)
