"""Machines among the listeners: four behaviours that no person has, so that what finds them can be measured.

Every so many listeners one is also played for by a program, on up to three days, beside what the person plays:

    regular_gaps      a track every 180 s from six in the morning, to the second
    round_the_clock   a track every 200 s or so, all day and night
    one_track         one track again and again, for most of a day
    breadth           1,200 different tracks a day, half a minute of each

Whose account it is and which behaviour stands in the truth beside the world (`machine`), never in the log.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from transforms.simulation.catalog import MARKETS, SimulatedCatalog
from transforms.simulation.draws import child, uniform
from transforms.simulation.settings import DAY_MS, SimulationSettings
from transforms.simulation.tastes import MACHINES, Tastes

PLAYS = {"regular_gaps": 300, "round_the_clock": 420, "one_track": 330, "breadth": 1200}
DAYS = 3


def machine_rows(settings: SimulationSettings, catalog: SimulatedCatalog, tastes: Tastes) -> pl.DataFrame:
    """What the block's machines add to the log, under the service's column names, with `key` and `late`."""
    parts = [_of_kind(settings, catalog, tastes, kind) for kind in range(len(MACHINES))]
    return pl.concat(parts)


def _of_kind(settings: SimulationSettings, catalog: SimulatedCatalog, tastes: Tastes, kind: int) -> pl.DataFrame:
    name = MACHINES[kind]
    mine, days, plays = np.flatnonzero(tastes.machine == kind), min(DAYS, settings.days), PLAYS[name]
    row = np.repeat(mine, days * plays)
    nth = np.tile(np.arange(days * plays), len(mine))
    key = child(child(tastes.key[row], 3_000_000), nth)
    first = np.floor(uniform(tastes.key[row], "machine day") * (settings.days - days + 1)).astype(np.int64)
    day = settings.first_day + first + nth // plays
    at, luck = nth % plays, uniform(key, "machine second")
    within = {
        "regular_gaps": 6 * 3_600_000 + at * 180_000,
        "round_the_clock": (at + luck) * DAY_MS / plays,
        "one_track": 3_600_000 + (at + 0.2 * luck) * 240_000,
        "breadth": (at + luck) * 20 * 3_600_000 / plays,
    }[name]
    track = (uniform(key, "machine track") * len(catalog.track_id)).astype(np.int64)
    if name == "one_track":
        track = (uniform(tastes.key[row], "machine loop") * len(catalog.track_id)).astype(np.int64)
    length = catalog.duration_ms[track]
    short = name == "breadth"
    count = len(row)
    return pl.DataFrame(
        {
            "user": pl.Series(tastes.listener_id, dtype=pl.String).gather(row),
            "track": pl.Series(catalog.track_id, dtype=pl.String).gather(track),
            "ts": day * DAY_MS + np.asarray(within).astype(np.int64),
            "ms_played": pl.Series(np.minimum(length, 31_000 if short else 170_000).astype(np.int32)),
            "reason_end": pl.Series(["fwdbtn" if short else "trackdone"] * count, dtype=pl.String),
            "skipped": np.full(count, short),
            "finished": np.full(count, not short),
            "source": pl.Series(["radio"] * count, dtype=pl.String),
            "shelf": pl.Series([None] * count, dtype=pl.String),
            "device": pl.Series(tastes.listener_id, dtype=pl.String).gather(row) + "-m",
            "shuffle": np.zeros(count, dtype=bool),
            "platform": pl.Series(["web"] * count, dtype=pl.String),
            "country": pl.Series(MARKETS, dtype=pl.String).gather(tastes.market[row]),
            "key": key,
            "late": np.zeros(count, dtype=bool),
        }
    )
