"""Beliefs about a delayed reward on the synthetic setting of "Impatient Bandits" (KDD 2023): how far off on which day.

600 shows of 10,000 activity traces of 59 days: beta-geometric churn, rates that wander around a show's own, a weekly dip.
200 shows teach the prior; of the other 400 the first 1,000 traces, all begun on day 0, are known as far as the day, and the
truth is the mean of all 10,000. The figure is the mean absolute error of the belief's mean, in days with activity; beside it
that of the published formula with the same traces, and of other choices of the 1,000. Then the regret of Thompson draws from the
belief, beside that of an oracle who sees whole traces at once and of one who looks at day two alone.

    python -m tests.benchmarks.beliefs                  # 600 shows; --shows 120 --trials 1 for a quick look
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from transforms.outcomes.beliefs import Posterior, Prior, TraceSums, entries, entries_known, entry_weights, of_days

DAYS, TRACES, KNOWN = 59, 10_000, 1_000
ENTRIES, IN_DAYS = entries_known(DAYS), of_days(DAYS)
LOOKED_AT = (0, 10, 20, 30, 60)


def traces_of(rng: np.random.Generator, chol: np.ndarray, traces: int) -> np.ndarray:
    """Activity of one show's listeners: float32[traces, DAYS]."""
    ts = np.arange(DAYS)
    alpha, k = expit(0.1 * rng.normal() - 0.4), rng.uniform(0.7, 1.5)
    rates = -0.5 + 0.1 * chol @ rng.normal(size=DAYS)
    season = -np.abs(np.sin(np.pi * ts / 7))
    active = rng.binomial(n=1, p=expit(rates + rng.uniform(0.1, 1.0) * season), size=(traces, DAYS))
    last = rng.geometric(rng.beta(k * alpha, k * (1 - alpha), size=traces)) - 1
    return np.where(last[:, None] > ts, active, 0).astype(np.float32)


@dataclass(frozen=True)
class Setting:
    """Shows that teach and shows that are asked of: traces of each, bool[traces, DAYS]."""

    taught: list[TraceSums]
    asked: list[np.ndarray]

    @classmethod
    def draw(cls, shows: int, traces: int, seed: int = 42) -> Setting:
        """As the published notebook draws them; a third of the shows teach."""
        rng, ts = np.random.default_rng(seed), np.arange(DAYS)
        chol = np.linalg.cholesky(1.2 * np.exp(-np.abs(ts[:, None] - ts) / 8.0))
        taught, asked = [], []
        for n in range(shows):
            made = traces_of(rng, chol, traces)
            if 3 * n < shows:
                taught.append(TraceSums.of(entries(made), np.full(traces, ENTRIES)))
            else:
                asked.append(made > 0)
        return cls(taught, asked)

    @property
    def prior(self) -> Prior:
        """What the taught shows say."""
        return Prior.fit(self.taught, entry_weights(np.ones(DAYS)))

    @property
    def truth(self) -> np.ndarray:
        """Mean days with activity of each show that is asked of."""
        return np.array([made.mean(axis=0, dtype=np.float64).sum() for made in self.asked])


def measure(setting: Setting, known: int, subset: int = 0) -> dict[int, tuple[float, float]]:
    """Day -> mean absolute error of our belief, and of the published formula, which reads days alone, with the same traces.

    Args:
        known: traces of each show that are looked at, complete as far as the day.
        subset: 0 = the first ones; else drawn without replacement, by this seed.
    """
    prior, truth, out = setting.prior, setting.truth, {}
    rng = np.random.default_rng(subset)
    chosen = [made[:known] if not subset else made[rng.permutation(len(made))[:known]] for made in setting.asked]
    believe = Posterior(prior)
    for day in LOOKED_AT:
        t = min(day, DAYS)
        seen = np.full(known, entries_known(t))
        ours = [believe.of(TraceSums.of(entries(z.astype(np.float64)), seen)).mean for z in chosen]
        means = np.stack([z[:, :t].mean(axis=0) for z in chosen])
        theirs = published(setting, means, known)
        out[day] = (float(np.abs(ours - truth).mean()), float(np.abs(theirs - truth).mean()))
    return out


def published(setting: Setting, means: np.ndarray, known: int) -> np.ndarray:
    """The belief of arXiv 2307.09943 as its authors compute it (covariance of shows' means, fixed noise), for comparison.

    Args:
        means: float[shows, t], mean activity on the first t days of `known` traces.
    """
    every = np.stack([a.sums[ENTRIES, IN_DAYS] / a.counts[ENTRIES] for a in setting.taught])
    noise = np.mean(
        [
            (a.squares[np.ix_(IN_DAYS, IN_DAYS)] - np.outer(m, m) * a.counts[ENTRIES]) / (a.counts[ENTRIES] - 1)
            for a, m in zip(setting.taught, every, strict=True)
        ],
        axis=0,
    )
    prior, t = np.cov(every.T), means.shape[1]
    gain = prior[:, :t].sum(axis=0) @ np.linalg.inv(prior[:t, :t] + noise[:t, :t] / known) if t else np.zeros(0)
    return every.mean(axis=0).sum() + (means - every.mean(axis=0)[:t]) @ gain


Told = Callable[[int, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def of_beliefs(prior: Prior) -> Told:
    """Our belief: mean and variance of every arm's reward on a day, from what was begun on the days before.

    Equals `Posterior.of` for each arm (tests/benchmarks/test_beliefs.py), computed for all of them at once.
    """
    precision, blocks = np.linalg.inv(prior.between), np.zeros((DAYS + 1, ENTRIES, ENTRIES))
    for t in range(1, DAYS + 1):
        n = entries_known(t)
        blocks[t, :n, :n] = np.linalg.inv(prior.within[:n, :n])
    flat = blocks.reshape(DAYS + 1, -1)

    def estimates(day: int, begun: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        arms = begun.shape[1]
        counts, known = np.zeros((arms, DAYS + 1)), np.zeros((DAYS + 1, arms, ENTRIES))
        for at in range(day):
            t = min(day - at, DAYS)
            counts[:, t] += begun[at]
            known[t, :, : entries_known(t)] += sums[at, :, : entries_known(t)]
        information = np.broadcast_to(precision @ prior.mean, (arms, ENTRIES)).copy()
        for t in np.flatnonzero(counts.any(axis=0)):
            information += known[t] @ blocks[t]
        right = np.stack([information, np.broadcast_to(prior.weights, information.shape)], axis=2)
        solved = np.linalg.solve(precision + (counts @ flat).reshape(arms, ENTRIES, ENTRIES), right)
        found = np.einsum("i,aij->ja", prior.weights, solved)
        return found[0], found[1]

    return estimates


def of_sums(prior: Prior, days: int) -> Told:
    """A belief about the sum of the first days alone, known on the next day: all 59 = an oracle, 1 = the day-two proxy."""
    first = IN_DAYS[:days]
    mean, between, within = (
        prior.mean[first].sum(),
        *(x[np.ix_(first, first)].sum() for x in (prior.between, prior.within)),
    )

    def estimates(day: int, begun: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n, total = begun[:day].sum(axis=0), sums[:day][:, :, first].sum(axis=(0, 2))
        variance = 1 / (1 / between + n / within)
        return variance * (mean / between + total / within), variance

    return estimates


def regret(
    setting: Setting, tell: Told, a_day: int, days: int = 180, arms: int = 200, trials: int = 10, seed: int = 1
) -> tuple[float, float]:
    """Mean regret of a day's actions on the last day, and its standard error over trials, of Thompson draws from a belief.

    Every day so many actions are chosen, each the largest of one draw from every show's belief; each gives one trace, whose days
    become known one a day.
    """
    rng, truth, found = np.random.default_rng(seed), setting.truth[:arms], []
    for _ in range(trials):
        order = [rng.permutation(len(made)) for made in setting.asked[:arms]]
        begun, sums, used = np.zeros((days, arms)), np.zeros((days, arms, ENTRIES)), np.zeros(arms, int)
        for day in range(days):
            mean, variance = tell(day, begun, sums)
            chosen = (mean + np.sqrt(variance) * rng.standard_normal((a_day, arms))).argmax(axis=1)
            for arm, n in zip(*np.unique(chosen, return_counts=True), strict=True):
                made = setting.asked[arm]
                rows = order[arm][(used[arm] + np.arange(n)) % len(made)]
                begun[day, arm], sums[day, arm] = n, entries(made[rows].astype(np.float32)).sum(axis=0)
                used[arm] += n
        found.append(float(truth.max() - truth[chosen].mean()))
    return float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(trials)) if trials > 1 else float("nan")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--shows", type=int, default=600)
    parser.add_argument(
        "--subsets", type=int, default=5, help="random choices of the 1,000 traces, beside the first ones"
    )
    parser.add_argument("--trials", type=int, default=10, help="of the regret; 0 = not measured")
    parser.add_argument("--actions", type=int, nargs="+", default=[10, 50, 100, 200], help="a day, of the regret")
    given = parser.parse_args()
    world = Setting.draw(given.shows, TRACES)
    runs = [measure(world, KNOWN, subset) for subset in range(given.subsets + 1)]
    for day in LOOKED_AT:
        ours, theirs = np.array([run[day] for run in runs]).T
        spread = f"; over {given.subsets} subsets {ours[1:].mean():.4f} (sd {ours[1:].std():.4f}) and {theirs[1:].mean():.4f}"
        print(
            f"day {day}: mean absolute error {ours[0]:.4f}, published formula {theirs[0]:.4f}{spread if given.subsets else ''}"
        )
    ways = {"belief": of_beliefs(world.prior), "oracle": of_sums(world.prior, DAYS), "day two": of_sums(world.prior, 1)}
    for a_day in given.actions if given.trials else ():
        for name, tell in ways.items():
            mean, error = regret(world, tell, a_day, trials=given.trials)
            figure = f"{mean:.3f} (standard error {error:.3f}, {given.trials} trials)"
            print(f"regret on day 180, {a_day} actions a day among 200 shows, {name}: {figure}", flush=True)
