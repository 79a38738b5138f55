"""Beliefs about a delayed reward on the synthetic setting of "Impatient Bandits" (KDD 2023): how far off on which day.

600 shows of 10,000 activity traces of 59 days: beta-geometric churn, rates that wander around a show's own, a weekly dip.
200 shows teach the prior; of the other 400 the first 1,000 traces, all begun on day 0, are known as far as the day, and the
truth is the mean of all 10,000. The figure is the mean absolute error of the belief's mean, in days with activity; beside it
that of the published formula with the same traces, and of other choices of the 1,000. Then the regret of Thompson draws.

    python -m tests.benchmarks.beliefs                  # 600 shows; --shows 120 --trials 1 for a quick look
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from transforms.outcomes.beliefs import Posterior, Prior, TraceSums

DAYS, TRACES, KNOWN = 59, 10_000, 1_000
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
                taught.append(TraceSums.of(made, np.full(traces, DAYS)))
            else:
                asked.append(made > 0)
        return cls(taught, asked)

    @property
    def prior(self) -> Prior:
        """What the taught shows say."""
        return Prior.fit(self.taught, np.ones(DAYS))

    @property
    def truth(self) -> np.ndarray:
        """Mean days with activity of each show that is asked of."""
        return np.array([made.mean(axis=0, dtype=np.float64).sum() for made in self.asked])


def measure(setting: Setting, known: int, subset: int = 0) -> dict[int, tuple[float, float]]:
    """Day -> mean absolute error of our belief, and of the published formula with the same traces.

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
        ours = [believe.of(TraceSums.of(z.astype(np.float64), np.full(len(z), t))).mean for z in chosen]
        means = np.stack([z[:, :t].mean(axis=0) for z in chosen])
        theirs = published(setting, means, known)
        out[day] = (float(np.abs(ours - truth).mean()), float(np.abs(theirs - truth).mean()))
    return out


def published(setting: Setting, means: np.ndarray, known: int) -> np.ndarray:
    """The belief of arXiv 2307.09943 as its authors compute it (covariance of shows' means, fixed noise), for comparison.

    Args:
        means: float[shows, t], mean activity on the first t days of `known` traces.
    """
    every = np.stack([a.sums[DAYS] / a.counts[DAYS] for a in setting.taught])
    noise = np.mean(
        [
            (a.squares - np.outer(m, m) * a.counts[DAYS]) / (a.counts[DAYS] - 1)
            for a, m in zip(setting.taught, every, strict=True)
        ],
        axis=0,
    )
    prior, t = np.cov(every.T), means.shape[1]
    gain = prior[:, :t].sum(axis=0) @ np.linalg.inv(prior[:t, :t] + noise[:t, :t] / known) if t else np.zeros(0)
    return every.mean(axis=0).sum() + (means - every.mean(axis=0)[:t]) @ gain


def regret(
    setting: Setting, days: int = 180, a_day: int = 10, arms: int = 200, trials: int = 10, seed: int = 1
) -> tuple[float, float]:
    """Mean regret of a day's actions on the last day, and its standard error over trials, of Thompson draws from the belief.

    Every day so many actions are chosen, each the largest of one draw from every show's belief; each gives one trace, whose days
    become known one a day.
    """
    rng, truth, believe = np.random.default_rng(seed), setting.truth[:arms], Posterior(setting.prior)
    found = []
    for _ in range(trials):
        order = [rng.permutation(len(made)) for made in setting.asked[:arms]]
        begun: list[list[tuple[int, int]]] = [[] for _ in range(arms)]  # of each show, (day, trace)
        chosen = np.zeros(0, int)
        for day in range(days):
            told = []
            for arm, made in enumerate(setting.asked[:arms]):
                rows = [row for _, row in begun[arm]]
                known = np.minimum([day - at for at, _ in begun[arm]], DAYS).astype(int)
                told.append(believe.of(TraceSums.of(made[rows].astype(np.float64).reshape(-1, DAYS), known)))
            mean, spread = (np.array([getattr(one, f) for one in told]) for f in ("mean", "variance"))
            chosen = (mean + np.sqrt(spread) * rng.standard_normal((a_day, arms))).argmax(axis=1)
            for arm in chosen.tolist():
                begun[arm].append((day, int(order[arm][len(begun[arm]) % len(order[arm])])))
        found.append(float(truth.max() - truth[chosen].mean()))
    return float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(trials)) if trials > 1 else float("nan")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--shows", type=int, default=600)
    parser.add_argument(
        "--subsets", type=int, default=5, help="random choices of the 1,000 traces, beside the first ones"
    )
    parser.add_argument("--trials", type=int, default=10, help="of the regret; 0 = not measured")
    parser.add_argument("--actions", type=int, nargs="+", default=[10, 200], help="a day, of the regret")
    given = parser.parse_args()
    world = Setting.draw(given.shows, TRACES)
    runs = [measure(world, KNOWN, subset) for subset in range(given.subsets + 1)]
    for day in LOOKED_AT:
        ours, theirs = np.array([run[day] for run in runs]).T
        spread = f"; over {given.subsets} subsets {ours[1:].mean():.4f} (sd {ours[1:].std():.4f}) and {theirs[1:].mean():.4f}"
        print(
            f"day {day}: mean absolute error {ours[0]:.4f}, published formula {theirs[0]:.4f}{spread if given.subsets else ''}"
        )
    for a_day in given.actions if given.trials else ():
        mean, error = regret(world, a_day=a_day, trials=given.trials)
        told = f"{mean:.3f} (standard error {error:.3f}, {given.trials} trials)"
        print(f"regret on day 180, {a_day} actions a day among 200 shows: {told}")
