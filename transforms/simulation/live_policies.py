"""Shelves that no recommender made: the worst and the best that a live world can be shown, to judge others between.

    random   any track that may be played, in an order of luck
    oracle   the tracks that truly please most: by chance of a play, of its end, and what it is worth then

Both fill the same shelves, item for item, as a layout says, so that only the choice of tracks differs.

    >>> [shelf for shelf, *_ in LAYOUT]
    ['discover-weekly', 'on-repeat', 'rediscover', 'popular-now', 'now-playing']
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

import numpy as np
import polars as pl

from transforms.simulation.draws import child, uniform
from transforms.simulation.listening import sigmoid
from transforms.simulation.live import LiveWorld
from transforms.simulation.live_state import State
from transforms.simulation.settings import EPOCH

Policy = Literal["random", "oracle"]
# shelf, surface, place on it, items: as the default settings have them
LAYOUT = (
    ("discover-weekly", "home", 1, 30),
    ("on-repeat", "home", 2, 20),
    ("rediscover", "home", 3, 20),
    ("popular-now", "home", 4, 20),
    ("now-playing", "now-playing", 1, 20),
)


def policy_shelves(
    world: LiveWorld, state: State, day: date, policy: Policy, layout: Sequence[tuple[str, str, int, int]] = LAYOUT
) -> pl.DataFrame:
    """The shelves of a day under a policy, in the columns that `LiveWorld.day` reads."""
    who = world.who
    number, tracks = who.settings.number(day), np.arange(who.tracks)
    sizes: dict[str, int] = {}
    for _, surface, _, size in layout:
        sizes[surface] = sizes.get(surface, 0) + size
    rows = []
    ids, people = who.catalog.track_id, who.tastes.listener_id
    for listener in range(len(people)):
        row = np.full(who.tracks, listener)
        market = who.tastes.market[row]
        days = np.full(who.tracks, who.settings.first_day + number)
        able = who.catalog.playable(tracks, days, market, who.tastes.explicit_ok[row])
        code = row * who.tracks + tracks
        worth = (
            _pleases(world, state, row, tracks, code, number) if policy == "oracle" else _luck(world, row, tracks, day)
        )
        order = np.argsort(-np.where(able, worth, -np.inf), kind="stable")[: min(max(sizes.values()), int(able.sum()))]
        taken = dict.fromkeys(sizes, 0)
        for shelf, surface, place, size in layout:
            chosen = order[taken[surface] : taken[surface] + size]
            taken[surface] += size
            items = [{"position": n + 1, "track_id": ids[t]} for n, t in enumerate(chosen.tolist())]
            rows.append((people[listener], surface, shelf, policy, place, items))
    item = pl.Struct({"position": pl.Int32, "track_id": pl.String})
    names = {"listener_id": pl.String, "surface": pl.String, "shelf_id": pl.String, "version": pl.String}
    return pl.DataFrame(rows, schema={**names, "home_position": pl.Int32, "items": pl.List(item)}, orient="row")


def _luck(world: LiveWorld, row: np.ndarray, track: np.ndarray, day: date) -> np.ndarray:
    return uniform(child(child(world.who.tastes.key[row], 6_000_000 + (day - EPOCH).days), track), "random shelf")


def _pleases(
    world: LiveWorld, state: State, row: np.ndarray, track: np.ndarray, code: np.ndarray, number: int
) -> np.ndarray:
    """Expected satisfaction of each track, were it seen."""
    who, live = world.who, world.who.live
    fit, catch, lasting = who.fit(row, track, number), who.worth.catch[track], who.worth.lasting[track]
    known, tired = state.known.of(code) > 0, state.tired.of(code)
    play = sigmoid(live.play + live.play_fit * fit + live.play_catch * catch - live.play_fatigue * tired)
    skip = sigmoid(
        -0.4 - 2.5 * fit - who.tastes.patience[row] - 1.2 * known - live.skip_catch * catch + live.skip_fatigue * tired
    )
    joy = live.pleasure + live.pleasure_fit * fit + live.pleasure_lasting * lasting * ~known
    gone = state.blocked.of(code) > 0
    return np.where(gone, -np.inf, play * ((1 - skip) * joy - skip * live.annoyance))
