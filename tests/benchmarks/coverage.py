"""Do intervals hold the truth? Replicated small worlds whose truth is known, estimated by the code that nights use.

Open slots: every listener has a shelf of three open slots, each drawn from what is left of a pool of eight by the night's own
policy (epsilon-softmax). A drawn track is heard with a chance that follows how well it truly fits, and a listener may stop
looking after a slot that earned nothing, so earlier slots change what later ones earn. Target policies are `sharper` and
`uniform`. Their truth, a slot (as if each were drawn alone) and a shelf (the policy drawing all of them), comes of 200,000
other listeners. The reward model of the doubly robust estimate is wrong on purpose.

Experiments: listeners' counts (negative binomial, with a habit before that explains part of them), a planted effect of 8% and
none (A/A); the t test with CUPED and the ratio metric once, the always-valid interval looked at on each of 14 days.

    python -m tests.benchmarks.coverage [--worlds 400] [--listeners 250]
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import polars as pl

from transforms.experiments.differences import Arm, always_valid, welch
from transforms.experiments.moments import Moments, theta
from transforms.metrics.counterfactual import estimate
from transforms.metrics.whole_shelf import estimate_shelves
from transforms.shelves.exploration import probabilities

POOL, SLOTS, EPSILON, TAU, STOPS = 8, 3, 0.1, 1.0, 0.25
POLICIES = {"sharper": (0.0, 0.5), "uniform": (1.0, 1.0)}  # epsilon, tau
PEEKS, EFFECT = 14, 0.08


class Listeners:
    """Pools of some listeners: scores and true chances, float[n, POOL], and what a reward model says of them."""

    def __init__(self, rng: np.random.Generator, n: int) -> None:
        fit = rng.normal(size=(n, POOL))
        self.scores = (0.7 * fit + 0.7 * rng.normal(size=(n, POOL))).astype(np.float32)
        self.chance = 1 / (1 + np.exp(1.2 - 0.8 * fit - 0.7 * rng.normal(size=(n, 1))))
        self.model = 0.6 * self.chance + 0.1


def policy(scores: np.ndarray, left: np.ndarray, epsilon: float, tau: float) -> np.ndarray:
    """Probabilities of each track that is left, float[n, POOL]; 0 of the others."""
    lifted = np.where(left, np.exp((scores - scores.max(axis=1, keepdims=True)) / tau), 0.0)
    return (1 - epsilon) * lifted / lifted.sum(axis=1, keepdims=True) + epsilon * left / left.sum(axis=1, keepdims=True)


def draw(rng: np.random.Generator, p: np.ndarray) -> np.ndarray:
    """One place a row by these probabilities."""
    return np.minimum((rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1), p.shape[1] - 1)


def lived(rng: np.random.Generator, who: Listeners, epsilon: float, tau: float) -> pl.DataFrame:
    """One row a listener and slot of a night that draws by this policy: what estimators read, for every target policy."""
    n, rows = len(who.scores), np.arange(len(who.scores))
    left, looks, frames = np.ones((n, POOL), bool), np.ones(n, bool), []
    for slot in range(SLOTS):
        p = policy(who.scores, left, epsilon, tau)
        chosen = draw(rng, p)
        reward = looks & (rng.random(n) < who.chance[rows, chosen])
        columns = {"listener_id": [f"l{i}" for i in rows], "slot": np.full(n, slot + 1), "propensity": p[rows, chosen]}
        columns |= {"reward": reward.astype(float), "shown": looks.copy(), "predicted": who.model[rows, chosen]}
        for name, (e, t) in POLICIES.items():
            q = policy(who.scores, left, e, t)
            columns |= {f"target {name}": q[rows, chosen], f"expected {name}": (q * who.model).sum(axis=1)}
            columns |= {f"true {name}": (q * who.chance).sum(axis=1)}
        frames.append(pl.DataFrame(columns))
        left[rows, chosen] = False
        looks &= reward | (rng.random(n) >= STOPS)
    return pl.concat(frames).with_columns(shelf_id=pl.lit("s"))


def truths(seed: int, n: int = 200_000) -> dict[tuple[str, str], float]:
    """(kind, policy) -> value a shown slot, and a shelf."""
    rng = np.random.default_rng(seed)
    who = Listeners(rng, n)
    seen = lived(rng, who, EPSILON, TAU).filter("shown")
    out = {("slot", name): float(seen[f"true {name}"].to_numpy().mean()) for name in POLICIES}
    for name, (epsilon, tau) in POLICIES.items():
        out["shelf", name] = float(lived(rng, who, epsilon, tau)["reward"].sum()) / n
    return out


def slots_covered(worlds: int, listeners: int, seed: int) -> dict[str, float]:
    """`kind policy estimator` -> share of worlds whose 95% interval holds the truth."""
    true, hits = truths(seed), Counter[str]()
    for world in range(worlds):
        rng = np.random.default_rng([seed, world])
        rows = lived(rng, Listeners(rng, listeners), EPSILON, TAU)
        for name in POLICIES:
            asked = rows.with_columns(target=f"target {name}", expected=f"expected {name}")
            # where a slot was not reached nothing was earned, so a model that knows the chances of what is shown is too high
            for kind, found in (
                ("slot", estimate(asked.filter("shown"))),
                ("shelf", estimate_shelves(asked)),
            ):
                for estimator in ("ips", "snips", "dr"):
                    inside = found[estimator].low <= true[kind, name] <= found[estimator].high
                    hits[f"{kind} {name} {estimator}"] += inside
    return {key: hits[key] / worlds for key in sorted(hits)}


def counts(rng: np.random.Generator, n: int, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """What listeners did since, one column a day, and in as many days before."""
    habit = rng.gamma(1.5, 1 / 1.5, size=n)
    return rng.poisson(habit[:, None] * (1 + effect), size=(n, PEEKS)), rng.poisson(habit * PEEKS)


def experiments(worlds: int, listeners: int, seed: int) -> dict[str, float]:
    """Coverage of the planted effect, and how often an A/A is rejected: once, and looked at on each day."""
    hits = Counter[str]()
    for world in range(worlds):
        for effect in (0.0, EFFECT):
            rng = np.random.default_rng([seed, world, int(effect > 0)])
            sides = [counts(rng, listeners, e) for e in (0.0, effect)]
            arms = [Moments.of(y.sum(axis=1), x=x) for y, x in sides]
            by = theta(arms)
            control, treatment = (Arm(*m.adjusted(by), m.n) for m in arms)
            found = welch(control, treatment)
            name = "effect" if effect else "A/A"
            hits[f"t test with CUPED, {name}, covered"] += found.low <= PEEKS * effect <= found.high
            skips = [rng.binomial(y.sum(axis=1), 0.3) for y, _ in sides]
            ratios = [Moments.of(s, d=y.sum(axis=1)) for s, (y, _) in zip(skips, sides, strict=True)]
            told = welch(*(Arm(m.ratio, m.ratio_variance, m.n) for m in ratios))
            hits[f"ratio metric, {name}, covered"] += told.low <= 0 <= told.high
            if not effect:
                hits["t test with CUPED, A/A, rejected"] += found.p < 0.05
                peeks = []
                for day in range(1, PEEKS + 1):
                    so_far = [Moments.of(y[:, :day].sum(axis=1)) for y, _ in sides]
                    peeks.append([Arm(m.mean, m.variance, m.n) for m in so_far])
                hits["always valid, A/A, rejected on any of 14 days"] += any(always_valid(*a).p < 0.05 for a in peeks)
                hits["t test looked at daily, A/A, rejected on any of 14 days"] += any(
                    welch(*a).p < 0.05 for a in peeks
                )
    return {key: n / worlds for key, n in sorted(hits.items())}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--listeners", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    assert np.allclose(
        policy(np.float32([[1.0, 2.0, 0.5]]), np.ones((1, 3), bool), EPSILON, TAU)[0],
        probabilities(np.float32([1.0, 2.0, 0.5]), EPSILON, TAU),
    ), "the policy of nights"
    for told in (
        slots_covered(given.worlds, given.listeners, given.seed),
        experiments(given.worlds, given.listeners, given.seed),
    ):
        for key, share in told.items():
            print(f"{key}: {share:.3f} (standard error {np.sqrt(share * (1 - share) / given.worlds):.3f})")
