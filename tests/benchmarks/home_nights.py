"""Home's order in a closed loop of whole nights: the live world meets the shelves that the pipeline makes, under several orders.

    python -m tests.benchmarks.home_nights --work DIR [--logs page] [--leaves 0.5] [--listeners 200] [--tracks 800] [--days 21]

Each order has a world of its own with equal luck, in which everything is done as `nightshelf live` does it: nights, ingest of
what was logged, a learned order from table `looks`. Models are those without TensorFlow, fitted anew every seventh night;
shelves, pools and rules are the defaults.

    settings     `shelves.home.learned: false`
    fixed        the best order for everybody, known in hindsight from the world of `settings`, in place of the stored one
    pointwise    `shelves.home: {visible: null, exploration: 0}`: all that is logged counts as looked at, the best estimates first
    learned      the defaults
    oracle       knows every chance, in place of the stored order

The measure is `any` of `tests.benchmarks.home_live`, exact given what stands on the shelves and how the listener was left by
the evening before: by listener and day, over the last half of the days. Intervals are 95%, of the paired difference,
bootstrap over listeners and seeds. A world that was lived is not lived again: the same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.ingest import ingest
from pipelines.live import SHOWN, Plan
from pipelines.nightly import night
from pipelines.runtime.config import Settings
from tests.benchmarks.home_live import IDS, any_play, chances_of, figures_of, say
from transforms.shelves.bandit import orders
from transforms.simulation.live import LiveWorld
from transforms.simulation.live_files import Folder
from transforms.simulation.live_state import State
from transforms.tables.warehouse import Warehouse

ORDERS = ("settings", "fixed", "pointwise", "learned", "oracle")
OWN: dict[str, dict[str, Any]] = {
    "settings": {"learned": False},
    "fixed": {"learned": False},
    "oracle": {"learned": False},
    "pointwise": {"visible": None, "exploration": 0.0},
    "learned": {},
}
NO_TENSORFLOW = dict.fromkeys(("use_two_tower", "use_sequence", "use_generative"), False)


def settings_of(how: str, logs: str, leaves: float) -> Settings:
    """The settings of one order's world."""
    return Settings.model_validate(
        {
            "shards": 1,
            "models": {**NO_TENSORFLOW, "als": {"factors": 32, "iterations": 5}},
            "ranker": {"kind": "linear"},
            "live": {"leaves": leaves, "logs": logs, "opens": {"home": 0.7}},
            "shelves": {"home": OWN[how]},
        }
    )


class Stands:
    """What stands on Home on a day: tracks int64 [listeners, shelves, most], -1 after the last, and the stored places."""

    def __init__(self, world: LiveWorld, shelves: pl.DataFrame) -> None:
        who = world.who
        row = {name: n for n, name in enumerate(who.tastes.listener_id.tolist())}
        number = {name: n for n, name in enumerate(who.catalog.track_id.tolist())}
        home = shelves.filter((pl.col("surface") == "home") & pl.col("shelf_id").is_in(IDS))
        most = int(home["items"].list.len().max() or 0)  # type: ignore[arg-type]
        self.tracks = np.full((len(row), len(IDS), max(most, 1)), -1)
        self.place = np.full((len(row), len(IDS)), len(IDS))
        for listener, shelf, position, items in home.select(
            "listener_id", "shelf_id", "home_position", "items"
        ).iter_rows():
            at = row[listener], IDS.index(shelf)
            self.tracks[at][: len(items)] = [number[item["track_id"]] for item in items]
            if items and position is not None:
                self.place[at] = position

    @property
    def there(self) -> np.ndarray:
        """bool [listeners, shelves]: which shelves hold anything."""
        return np.asarray((self.tracks >= 0).any(axis=2))


def ordered_by(world: LiveWorld, shelves: pl.DataFrame, score: np.ndarray, there: np.ndarray) -> pl.DataFrame:
    """Shelves with Home in the order of a score [listeners, shelves], the largest first."""
    place = np.argsort(orders(score, there), axis=1) + 1
    names = world.who.tastes.listener_id.tolist()
    new = pl.DataFrame(
        {
            "listener_id": np.repeat(names, len(IDS)),
            "surface": "home",
            "shelf_id": IDS * len(names),
            "own": place.ravel().astype(np.int32),
        }
    )
    shelves = shelves.join(new, on=["listener_id", "surface", "shelf_id"], how="left")
    return shelves.with_columns(home_position=pl.coalesce("own", "home_position")).drop("own")


def lived(plan: Plan, out: Path, settings: Settings, how: str, fixed: np.ndarray) -> dict[str, np.ndarray]:
    """Live a world under one order: `any` float64 [days, listeners], `chances` [days, listeners, shelves]."""
    world, folder = plan.world(settings.live), Folder(out)
    folder.begin(world, {**vars(plan), "days": None, "order": how, "fixed": fixed.tolist()}, plan.days)
    if not Warehouse(folder.warehouse).dates("listens"):
        history = folder.delivered(world.first_live - timedelta(1))
        ingest(folder.warehouse, "parquet", settings=settings, **folder.world_tables(), **history)
    state: State = world.morning()
    found: dict[str, list[np.ndarray]] = {"any": [], "chances": []}
    for n in range(plan.days):
        day, eve = world.first_live + timedelta(n), world.first_live + timedelta(n - 1)
        if Warehouse(folder.warehouse).current("shelves", eve) is None:
            fit = world.first_live + timedelta(n - n % plan.fit_every - 1)
            # in so small a world new releases run out, and the check on fewer personal shelves would end it
            night(folder.warehouse, eve, settings, fit_date=fit, accept_gates=True)
        shelves = Warehouse(folder.warehouse).read("shelves", eve, SHOWN)
        stands = Stands(world, shelves)
        chance = chances_of(world, state, stands.tracks, day)
        if how in ("fixed", "oracle"):
            score = chance if how == "oracle" else np.broadcast_to(fixed, chance.shape)
            shelves = ordered_by(world, shelves, score, stands.there)
            stands = Stands(world, shelves)
        found["any"].append(any_play(world, chance, stands.place))
        found["chances"].append(np.where(stands.there, chance, np.nan))
        after = folder.state(day)
        if after is None:
            after, logged, truth = world.day(state, day, shelves)
            folder.keep(day, logged, truth, after)
        state = after
        if day not in Warehouse(folder.warehouse).dates("listens"):
            ingest(folder.warehouse, "parquet", settings=settings, **folder.delivered(day))
    return {name: np.array(values) for name, values in found.items()}


def run(
    plan: Plan, work: Path, logs: str, leaves: float, asked: Sequence[str] = ORDERS
) -> dict[str, dict[str, np.ndarray]]:
    """The worlds of the orders that are asked for; `fixed` needs `settings` before it."""
    found: dict[str, dict[str, np.ndarray]] = {}
    fixed = np.zeros(len(IDS))
    for how in asked:
        settings = settings_of(how, logs, leaves)
        one = lived(plan, work / f"{logs}-{plan.seed}" / how, settings, how, fixed if how == "fixed" else fixed * 0)
        found[how] = one
        if how == "settings":
            fixed = np.nan_to_num(np.nanmean(one["chances"], axis=(0, 1)))
    return found


def main() -> None:
    """One JSON line an order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", required=True)
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--tracks", type=int, default=800)
    parser.add_argument("--days", type=int, default=21)
    parser.add_argument("--history", type=int, default=28)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--leaves", type=float, default=0.5)
    parser.add_argument("--logs", choices=("displayed", "page"), default="page")
    parser.add_argument("--orders", choices=ORDERS, nargs="+", default=ORDERS)
    given = parser.parse_args()
    plans = [Plan(given.listeners, given.tracks, given.days, given.history, seed=seed) for seed in given.seeds]
    found = [run(plan, Path(given.work), given.logs, given.leaves, given.orders) for plan in plans]
    people = [f"{seed}/{n}" for seed in given.seeds for n in range(given.listeners)]
    say(figures_of(found, "any", given.days), people, {"logs": given.logs})


if __name__ == "__main__":
    main()
