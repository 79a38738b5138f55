"""Where each shelf stands on its surface.

Shelves stand in the order of the settings. What would happen in another order can only be learned if the order varies
by chance, so for a small share of listeners one pair of neighbours, chosen by hash, swaps. `home_propensity` is the
probability that this shelf stands at this position:

    swapped here by chance      swap / (n - 1)
    in its own place            1 - neighbours * swap / (n - 1), neighbours = 1 at the ends and 2 inside

Example: four shelves, swap 0.1: an end shelf is in place with 1 - 0.1/3 = 0.967, an inner one with 0.933.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl

from transforms.common.hashing import uniform
from transforms.shelves.settings import ShelfSettings


def home_order(
    listener_ids: Sequence[str], shelves: Sequence[ShelfSettings], swap: float, seed: int, date: dt.date
) -> pl.DataFrame:
    """Position of every shelf for every listener.

    Args:
        listener_ids: listeners.
        shelves: the settings' shelves, in order.
        swap: share of listeners for whom two neighbours of a surface swap.
        seed: the run's seed.
        date: the night.

    Returns:
        listener_id, shelf_id, home_position (from 1), home_score (n for the first of n down to 1: the order before the
        swap), home_propensity (null where nothing is randomised).
    """
    listeners = pl.Series("listener_id", list(listener_ids), dtype=pl.String)
    parts = []
    for surface in dict.fromkeys(shelf.surface for shelf in shelves):
        ids = [shelf.shelf_id for shelf in shelves if shelf.surface == surface]
        n = len(ids)
        position = np.tile(np.arange(n, dtype=np.int32), (len(listeners), 1))
        propensity = np.full(position.shape, np.nan, dtype=np.float32)
        if n > 1 and swap > 0:
            key = f"{surface}/{date.isoformat()}"
            swaps = np.flatnonzero(uniform(seed, f"home-swap/{key}", listeners) < swap)
            first = (uniform(seed, f"home-pair/{key}", listeners)[swaps] * (n - 1)).astype(np.int32)
            position[swaps, first], position[swaps, first + 1] = first + 1, first
            neighbours = np.array([1 if i in (0, n - 1) else 2 for i in range(n)])
            stays = 1 - neighbours * swap / (n - 1)
            propensity = np.where(position == np.arange(n), stays, swap / (n - 1)).astype(np.float32)
        for i, shelf_id in enumerate(ids):
            parts.append(
                pl.DataFrame(
                    {
                        "listener_id": listeners,
                        "shelf_id": pl.repeat(shelf_id, len(listeners), dtype=pl.String, eager=True),
                        "home_position": position[:, i] + 1,
                        "home_score": np.full(len(listeners), n - i, dtype=np.float32),
                        "home_propensity": pl.Series(propensity[:, i]).fill_nan(None),
                    },
                    schema_overrides={"home_position": pl.Int32, "home_propensity": pl.Float32},
                )
            )
    return pl.concat(parts)
