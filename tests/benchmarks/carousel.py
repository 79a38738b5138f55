"""Ordering a carousel with a known best order, after the published setting: 862 playlists, 12 slots, 3 visible, batches.

    python -m tests.benchmarks.carousel --data ../shared/data/carousel-bandits

A playlist's row in the data is its true theta: a user with features x who looks at it streams with chance sigmoid(theta x).
The published users are not part of what is here, so they are drawn: eight tastes along the playlists' main directions, scaled
so that the logit of a playlist varies among users by `--spread`; the policies see all 97 features and reduce them by the
principal components of users alone. A batch of users is shown 12 playlists each, looks from the top and stops at the first
stream; nothing is learned before the batch has ended. A policy sees streams only.

    fixed        the twelve that are best on average, known in hindsight: no fixed order can be better
    pointwise    the same model, every displayed playlist counted as looked at, the best estimates first, no exploration
    bandit       `transforms.shelves.bandit`: cascade, ensemble Thompson sampling
    oracle       knows theta

Reported is the chance that a user streams anything, exact given what is shown, over the last tenth of the batches and over all,
with a 95% interval of the paired difference (bootstrap of users).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from transforms.metrics.intervals import interval
from transforms.shelves.bandit import Beliefs, looked_at, orders, sigmoid

SLOTS, VISIBLE, TASTES = 12, 3, 8


class World:
    """Playlists, and users who are drawn."""

    def __init__(self, theta: np.ndarray, spread: float, seed: int) -> None:
        self.theta, self.rng = theta, np.random.default_rng(seed)
        _, _, axes = np.linalg.svd(theta[:, :-1] - theta[:, :-1].mean(axis=0), full_matrices=False)
        self.axes = axes[:TASTES]
        self.scale = spread / np.linalg.norm(theta[:, :-1] @ self.axes.T, axis=1).mean()

    def users(self, n: int) -> np.ndarray:
        """float64 [n, 97]."""
        tastes = self.rng.standard_normal((n, TASTES)) @ self.axes * self.scale
        return np.hstack([tastes, np.ones((n, 1))])

    def chance(self, users: np.ndarray) -> np.ndarray:
        """float64 [n, 862]."""
        return sigmoid(users @ self.theta.T)


def streamed(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """bool [n, slots]: the first stream down the slots, if any."""
    won = rng.random(p.shape) < p
    return won & (np.cumsum(won, axis=1) == 1)


class Learner:
    """A policy that learns from batches."""

    def __init__(
        self,
        axes: np.ndarray,
        mean: np.ndarray,
        cards: int,
        cascade: bool,
        draws: int,
        seed: int,
        prior: tuple[float, ...],
    ) -> None:
        self.axes, self.middle, self.cascade, self.draws = axes, mean, cascade, draws
        self.rng = np.random.default_rng(seed)
        start, shared, deviation = prior
        self.beliefs = Beliefs.prior(np.full(cards, start), len(axes) + 1, deviation, shared)

    def context(self, users: np.ndarray) -> np.ndarray:
        """float64 [n, 1 + components], of unit variance."""
        return np.hstack([np.ones((len(users), 1)), (users - self.middle) @ self.axes.T])

    def show(self, users: np.ndarray) -> np.ndarray:
        """int64 [n, slots]."""
        x = self.context(users)
        if self.draws:
            theta = self.beliefs.sampled(self.draws, self.rng)
            dealt = self.rng.integers(0, self.draws, len(users))
            scores = np.empty((len(users), len(self.beliefs.mean)))
            for m in range(self.draws):
                here = dealt == m
                scores[here] = x[here] @ theta[m].T
        else:
            scores = x @ self.beliefs.mean.T
        return orders(scores, np.ones(scores.shape[1], np.bool_))[:, :SLOTS]

    def learn(self, users: np.ndarray, shown: np.ndarray, played: np.ndarray) -> None:
        """One batch."""
        seen = looked_at(played, VISIBLE) if self.cascade else np.ones(played.shape, np.bool_)
        row, slot = np.nonzero(seen)
        sums = self.beliefs.sums(shown[row, slot], self.context(users)[row], played[row, slot])
        self.beliefs = self.beliefs.updated(*sums)


def run(
    world: World, batches: int, batch: int, draws: int, prior: tuple[float, ...], seed: int
) -> dict[str, np.ndarray]:
    """By policy, the chance that each user streams anything: float64 [batches, batch]."""
    sample = world.users(5000)
    middle = sample[:, :-1].mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(sample[:, :-1], rowvar=False))
    kept = values > 1e-9 * values.max()
    axes = (axes[:, kept] / np.sqrt(values[kept])).T
    axes = np.hstack([axes, np.zeros((len(axes), 1))])
    middle = np.append(middle, 0.0)
    cards = len(world.theta)
    best = orders(world.chance(sample).mean(axis=0), np.ones(cards, np.bool_))[:SLOTS]
    learners = {
        "pointwise": Learner(axes, middle, cards, False, 0, seed, prior),
        "bandit": Learner(axes, middle, cards, True, draws, seed, prior),
    }
    out: dict[str, list[np.ndarray]] = {name: [] for name in ("fixed", *learners, "oracle")}
    for _ in range(batches):
        users = world.users(batch)
        p = world.chance(users)
        luck = np.random.default_rng(world.rng.integers(1 << 60))
        shown = {"fixed": np.tile(best, (batch, 1)), "oracle": orders(p, np.ones(cards, np.bool_))[:, :SLOTS]}
        shown |= {name: learner.show(users) for name, learner in learners.items()}
        for name, cards_of in shown.items():
            chance = np.take_along_axis(p, cards_of, axis=1)
            out[name].append(1 - np.prod(1 - chance, axis=1))
            if name in learners:
                learners[name].learn(users, cards_of, streamed(chance, luck))
    return {name: np.array(rows) for name, rows in out.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--batch", type=int, default=5000)
    parser.add_argument("--draws", type=int, default=64)
    parser.add_argument("--spread", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--prior",
        type=float,
        nargs=3,
        default=[-5.0, 1.0, 1.0],
        help="mean and deviation of the first component, deviation of others",
    )
    given = parser.parse_args()
    theta = pl.read_csv(given.data / "playlist_features.csv").to_numpy()
    last = max(1, given.batches // 10)
    for seed in given.seeds:
        found = run(World(theta, given.spread, seed), given.batches, given.batch, given.draws, tuple(given.prior), seed)
        oracle = found["oracle"][-last:]
        for name, rows in found.items():
            of_oracle = rows[-last:].mean() / oracle.mean()
            line = f"seed {seed}  {name:<10} last {rows[-last:].mean():.4f} ({of_oracle:6.1%} of the oracle)"
            line += f", all {rows.mean():.4f}"
            if name in ("fixed", "pointwise"):
                ahead = (found["bandit"][-last:] - rows[-last:]).ravel()
                found_ahead = interval([f"u{n}" for n in range(len(ahead))], ahead)
                line += f"; bandit ahead by {found_ahead.value:.4f} ({found_ahead.low:.4f} to {found_ahead.high:.4f})"
            print(line, flush=True)


if __name__ == "__main__":
    main()
