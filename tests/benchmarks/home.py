"""Home's order as a night learns it, in a world whose truth is known: the night's own functions, delayed by a night.

    python -m tests.benchmarks.home [--listeners 2000] [--nights 40] [--seeds 1 2 3 4 5]

Seven shelves, the default ones of Home. The chance that a listener who looks at one plays from it is sigmoid of: its own
appeal (the same for all, whatever the order of the settings), what the listener's newness and activity add, and a liking of
their own. A listener looks from the top, goes on to the next shelf with chance `--patience`, and stops where they play.
A tenth of shelves are empty. The app logs the page as a whole, so an impression of every shelf that is not empty. After each
night its looks are counted as `transforms.outcomes.looks` counts them; the next night's order is learned from all before it.

    settings     the shelves in the order of the settings
    fixed        the best fixed order, known in hindsight
    pointwise    the same beliefs, every displayed shelf counted as looked at, the best estimates first, no exploration
    greedy       the same beliefs from what was surely looked at, the best estimates first, no exploration
    learned      what a night does (`transforms.shelves.home_learning`)
    oracle       knows every chance

Reported is the chance that a listener plays from anything, exact given the order, over the last quarter of the nights; intervals
are 95%, of the paired difference, bootstrap over listeners and seeds.
"""

from __future__ import annotations

import argparse
import datetime as dt

import numpy as np
import polars as pl

from transforms.common.typed_names import LOOKS, PLAYS, LooksAt
from transforms.metrics.intervals import interval
from transforms.shelves.bandit import looked_at, orders, places, sigmoid
from transforms.shelves.defaults import DEFAULT
from transforms.shelves.home_learning import HomeSettings, believed, contexts, counted, ordered, vectors

IDS = [shelf.shelf_id for shelf in DEFAULT if shelf.surface == "home"]
FIRST = dt.date(2026, 1, 1)


class World:
    """Listeners with a truth."""

    def __init__(self, listeners: int, patience: float, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        n, k = listeners, len(IDS)
        self.ids, self.patience = [f"u{i}" for i in range(n)], patience
        self.level = 9 * self.rng.integers(0, 3, n) + 3 * self.rng.integers(0, 3, n)
        appeal = self.rng.normal(-2.0, 0.8, k)
        added = self.rng.normal(0, 0.6, (k, 7))
        added[:, 0], added[:, 5:] = appeal, 0
        self.chance = sigmoid((added @ vectors().T)[:, self.level].T + self.rng.normal(0, 0.8, (n, k)))

    def any_play(self, order: np.ndarray, there: np.ndarray) -> np.ndarray:
        """float64 [n]: the chance of a play from anything."""
        p = np.take_along_axis(np.where(there, self.chance, 0), order, axis=1)
        reach = self.patience ** np.arange(p.shape[1])
        return (np.cumprod(np.hstack([np.ones((len(p), 1)), 1 - p[:, :-1]]), axis=1) * p * reach).sum(axis=1)

    def visit(self, order: np.ndarray, there: np.ndarray, luck: np.random.Generator) -> np.ndarray:
        """bool [n, places]: played from, by place."""
        p = np.take_along_axis(np.where(there, self.chance, 0), order, axis=1)
        sees = np.cumprod(luck.random(p.shape) < np.where(np.arange(p.shape[1]) == 0, 1, self.patience), axis=1) > 0
        won = sees & (luck.random(p.shape) < p)
        return won & (np.cumsum(won, axis=1) == 1)


class Policy:
    """What is learned from, and how it orders."""

    def __init__(self, world: World, settings: HomeSettings, cascade: bool, explores: bool, seed: int) -> None:
        self.world, self.settings, self.cascade, self.explores, self.seed = world, settings, cascade, explores, seed
        self.counts: dict[str, int] = {}
        self.history: list[pl.DataFrame] = []

    def order(self, day: dt.date, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int64 [n, places] the shelf at each place; int64 [n, shelves] the contexts."""
        own = pl.concat(self.history[-28:]) if self.history else None
        known = contexts(self.world.ids, IDS, None, own, day) % 3 + self.world.level[:, None]
        beliefs = believed(*counted(self.counts, IDS), self.settings)
        if self.explores:
            placed = ordered(self.world.ids, there, known, beliefs, self.settings, self.seed, day)
            return orders(-placed.place.astype(float), np.True_), known
        likely = (beliefs.mean @ vectors().T)[np.arange(len(IDS))[None, :], known]
        return orders(likely, there), known

    def learn(self, day: dt.date, order: np.ndarray, known: np.ndarray, there: np.ndarray, played: np.ndarray) -> None:
        """Count a night's looks."""
        looked = np.take_along_axis(there, order, axis=1)
        if self.cascade:
            looked = looked & looked_at(played, self.settings.visible or played.shape[1])
        who, place = np.nonzero(looked)
        shelf = order[who, place]
        won = played[who, place]
        for k, code, hit in zip(shelf.tolist(), known[who, shelf].tolist(), won.tolist(), strict=True):
            for what in (LOOKS, PLAYS)[: 1 + hit]:
                name = str(LooksAt(IDS[k], code, what))
                self.counts[name] = self.counts.get(name, 0) + 1
        rows = {
            "listener_id": pl.Series(self.world.ids).gather(who),
            "shelf_id": pl.Series(IDS).gather(shelf),
            "night": pl.repeat(day, len(who), eager=True),
            "played": won,
        }
        self.history.append(pl.DataFrame(rows))


def run(listeners: int, nights: int, patience: float, seed: int) -> dict[str, np.ndarray]:
    """By policy, the chance of a play: float64 [nights, listeners]."""
    world, settings = World(listeners, patience, seed), HomeSettings(least_looks=0)
    policies = {
        "pointwise": Policy(world, settings, cascade=False, explores=False, seed=seed),
        "greedy": Policy(world, settings, cascade=True, explores=False, seed=seed),
        "learned": Policy(world, settings, cascade=True, explores=True, seed=seed),
    }
    best = orders(world.chance.mean(axis=0), np.True_)
    out: dict[str, list[np.ndarray]] = {name: [] for name in ("settings", "fixed", *policies, "oracle")}
    for night in range(nights):
        day = FIRST + dt.timedelta(days=night)
        there = world.rng.random((listeners, len(IDS))) < 0.9
        luck = int(world.rng.integers(1 << 60))
        rank = {"settings": -np.arange(len(IDS)), "fixed": -places(best), "oracle": world.chance}
        for name, by in rank.items():
            order = orders(np.broadcast_to(by, there.shape).astype(float), there)
            out[name].append(world.any_play(order, there))
        for name, policy in policies.items():
            order, known = policy.order(day, there)
            out[name].append(world.any_play(order, there))
            played = world.visit(order, there, np.random.default_rng(luck))
            policy.learn(day, order, known, there, played)
    return {name: np.array(rows) for name, rows in out.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listeners", type=int, default=2000)
    parser.add_argument("--nights", type=int, default=40)
    parser.add_argument("--patience", type=float, default=0.8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    given = parser.parse_args()
    found = {seed: run(given.listeners, given.nights, given.patience, seed) for seed in given.seeds}
    last = max(1, given.nights // 4)
    late = {
        name: np.concatenate([of[name][-last:].mean(axis=0) for of in found.values()]) for name in found[given.seeds[0]]
    }
    whole = {name: np.mean([of[name].mean() for of in found.values()]) for name in late}
    people = [f"{seed}/{n}" for seed in given.seeds for n in range(given.listeners)]
    for name, values in late.items():
        ahead = interval(people, late["learned"] - values)
        line = f"{name:<10} last {last} nights {values.mean():.4f} ({values.mean() / late['oracle'].mean():.1%} of the oracle)"
        line += f", all nights {whole[name]:.4f}"
        if name not in ("learned", "oracle"):
            line += f"; learned ahead by {ahead.value:.4f} ({ahead.low:.4f} to {ahead.high:.4f}), by seed "
            line += " ".join(f"{(of['learned'][-last:] - of[name][-last:]).mean():+.4f}" for of in found.values())
        print(line, flush=True)


if __name__ == "__main__":
    main()
