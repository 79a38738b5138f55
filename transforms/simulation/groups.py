"""Groups of listeners who want a blend, drawn inside a block: rows of table `blends`.

Two of five listeners are in a group of 2 to 10, mostly 2. Half of them are grouped with people whose first interest is of the
same genre, as friends often are, the others with whom chance brings, as colleagues are. One membership in twenty ends again.

    >>> from transforms.simulation.catalog_build import build_catalog
    >>> from transforms.simulation.tastes import draw_tastes
    >>> settings = SimulationSettings(listeners=40, tracks=100, days=7)
    >>> rows = groups_frame(settings, draw_tastes(settings, build_catalog(settings), np.arange(40)))
    >>> rows["blend_id"].n_unique() > 3
    True
"""

from __future__ import annotations

import numpy as np
import polars as pl

from transforms.simulation.draws import child, geometric, ids, root, uniform
from transforms.simulation.settings import SimulationSettings
from transforms.simulation.tastes import Tastes

SHARE, LEAVES = 0.4, 0.05
LEAST, MOST, MORE = 2, 10, 0.8


def groups_frame(settings: SimulationSettings, tastes: Tastes) -> pl.DataFrame:
    """Table `blends` of a block, sorted by its key; everybody joined in the first half of the world's time."""
    people = np.flatnonzero((uniform(tastes.key, "blend/any") < SHARE) & ~tastes.bot)
    key = tastes.key[people]
    alike = uniform(key, "blend/alike") < 0.5
    order = np.lexsort((uniform(key, "blend/order"), np.where(alike, tastes.genre[people, 0], -1)))
    people = people[order]
    first = int(tastes.key[0] >> np.uint64(2)) if len(tastes.key) else 0
    seats = child(root(settings.seed, "blend"), np.array([first]))
    sizes = np.minimum(LEAST + geometric(child(seats, np.arange(len(people) + 1)), "size", MORE), MOST)
    ends = np.cumsum(sizes)
    number = np.searchsorted(ends, np.arange(len(people)), side="right")
    whole = number < np.searchsorted(ends, len(people), side="right")  # a group that is cut short is none
    people, number = people[whole], number[whole]
    names = ids("b", child(seats, 1_000_000 + np.arange(len(ends))))
    low, high = settings.window_ms
    at = low + (uniform(child(seats, 2_000_000 + number), "at") * (high - low) / 2).astype(np.int64)
    later = at + ((high - at) * uniform(tastes.key[people], "blend/later")).astype(np.int64)
    rows = pl.DataFrame(
        {
            "listener_id": pl.Series(tastes.listener_id[people], dtype=pl.String),
            "blend_id": pl.Series(names[number], dtype=pl.String),
            "at": _times(at),
            "left": np.zeros(len(people), np.bool_),
        }
    )
    leaving = uniform(tastes.key[people], "blend/leaves") < LEAVES
    gone = rows.with_columns(_times(later).alias("at"), left=pl.lit(True)).filter(pl.Series(leaving))
    return pl.concat([rows, gone]).sort("listener_id", "blend_id", "at")


def _times(ms: np.ndarray) -> pl.Series:
    return pl.Series(ms * 1000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
