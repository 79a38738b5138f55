"""Where each shelf stands on its surface.

Home's order is learned from what people looked at and played (`transforms.shelves.home_learning`), once enough of that is known.
Until then, and on other surfaces, shelves stand in the order of the settings. What would happen in another order can only be
learned if the order varies by chance, so for a small share of listeners one pair of neighbours, chosen by hash, swaps.
`home_propensity` is the probability that this shelf stands at this position:

    learned                     counted over the samples that a listener may be dealt
    swapped here by chance      swap / (n - 1)
    in its own place            1 - neighbours * swap / (n - 1), neighbours = 1 at the ends and 2 inside

Example: four shelves, swap 0.1: an end shelf is in place with 1 - 0.1/3 = 0.967, an inner one with 0.933.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from transforms.common.hashing import uniform
from transforms.shelves.home_learning import believed, contexts, counted, ordered
from transforms.shelves.settings import NightContext, ShelvesSettings

HOME = "home"
_NONE = -1


@dataclass(frozen=True)
class Looks:
    """What Home's order is learned from.

    Attributes:
        heard: listener, heard, last_heard_at, first_heard_at of what each listener heard; None = nothing is known.
        looks: rows of table `looks` of these listeners; None = none.
        counts: looks and plays of everybody by `LooksAt`.
    """

    heard: pl.DataFrame | None = None
    looks: pl.DataFrame | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


def home_order(
    listener_ids: Sequence[str],
    there: Mapping[str, np.ndarray],
    looks: Looks,
    settings: ShelvesSettings,
    night: NightContext,
) -> pl.DataFrame:
    """Position of every shelf for every listener.

    Args:
        there: by shelf, bool by listener: whether it is not empty.
        looks: what is learned from.

    Returns:
        listener_id, shelf_id, home_position (from 1), home_score (n for the first of n down to 1: the order before the
        swap; where it is learned, the chance of a play that is believed most likely), home_propensity (null where nothing is
        randomised), home_context (null where nothing is learned).
    """
    listeners = pl.Series("listener_id", list(listener_ids), dtype=pl.String)
    swap = 0.0 if night.greedy else settings.home_swap
    parts = []
    for surface in dict.fromkeys(shelf.surface for shelf in settings.shelves):
        ids = [shelf.shelf_id for shelf in settings.shelves if shelf.surface == surface]
        context = np.full((len(listeners), len(ids)), _NONE, np.int64)
        learned = surface == HOME and settings.home.learned
        if learned:
            context = contexts(listener_ids, ids, looks.heard, looks.looks, night.date)
        seen, played = counted(looks.counts, ids)
        if learned and not night.greedy and 0 < seen.sum() >= settings.home.least_looks:
            here = np.column_stack([there[shelf_id] for shelf_id in ids])
            beliefs = believed(seen, played, settings.home)
            placed = ordered(listener_ids, here, context, beliefs, settings.home, night.seed, night.date)
            place, score, chance = placed
        else:
            place, chance = _swapped(listeners, len(ids), swap, night.seed, f"{surface}/{night.date.isoformat()}")
            score = np.tile(np.arange(len(ids), 0, -1, dtype=np.float64), (len(listeners), 1))
        n = len(listeners)
        parts.append(
            pl.DataFrame(
                {
                    "listener_id": listeners.gather(np.tile(np.arange(n), len(ids))),
                    "shelf_id": pl.Series(ids, dtype=pl.String).gather(np.repeat(np.arange(len(ids)), n)),
                    "home_position": (place.T.ravel() + 1).astype(np.int32),
                    "home_score": score.T.ravel().astype(np.float32),
                    "home_propensity": pl.Series(chance.T.ravel().astype(np.float32)).fill_nan(None),
                    "home_context": pl.Series(context.T.ravel().astype(np.int32)).replace(_NONE, None),
                }
            )
        )
    return pl.concat(parts)


def _swapped(listeners: pl.Series, n: int, swap: float, seed: int, key: str) -> tuple[np.ndarray, np.ndarray]:
    """int64 place from 0 and float64 chance, [listeners, n], in the order of the settings with one hashed swap."""
    place = np.tile(np.arange(n), (len(listeners), 1))
    chance = np.full(place.shape, np.nan)
    if n > 1 and swap > 0:
        swaps = np.flatnonzero(uniform(seed, f"home-swap/{key}", listeners) < swap)
        first = (uniform(seed, f"home-pair/{key}", listeners)[swaps] * (n - 1)).astype(np.int64)
        place[swaps, first], place[swaps, first + 1] = first + 1, first
        neighbours = np.array([1 if i in (0, n - 1) else 2 for i in range(n)])
        stays = 1 - neighbours * swap / (n - 1)
        chance = np.where(place == np.arange(n), stays, swap / (n - 1))
    return place, chance
