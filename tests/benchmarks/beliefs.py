"""Beliefs about a delayed reward on the synthetic setting of "Impatient Bandits" (KDD 2023): how far off on which day.

600 shows of 10,000 activity traces of 59 days: beta-geometric churn, rates that wander around a show's own, a weekly dip.
200 shows teach the prior; of the other 400 the first 1,000 traces, all begun on day 0, are known as far as the day, and the
truth is the mean of all 10,000. The figure is the mean absolute error of the belief's mean, in days with activity.

    python -m tests.benchmarks.beliefs                  # 600 shows; --shows 120 for a quick look
"""

from __future__ import annotations

import argparse

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


def measure(shows: int, traces: int = TRACES, known: int = KNOWN, seed: int = 42) -> dict[int, float]:
    """Day -> mean absolute error; a third of the shows teach the prior."""
    rng, ts = np.random.default_rng(seed), np.arange(DAYS)
    chol = np.linalg.cholesky(1.2 * np.exp(-np.abs(ts[:, None] - ts) / 8.0))
    taught, asked = [], []
    for n in range(shows):
        made = traces_of(rng, chol, traces)
        if 3 * n < shows:
            taught.append(TraceSums.of(made, np.full(traces, DAYS)))
        else:
            asked.append((made[:known], float(made.mean(axis=0, dtype=np.float64).sum())))
    believe = Posterior(Prior.fit(taught, np.ones(DAYS)))
    out = {}
    for day in LOOKED_AT:
        seen = np.full(known, min(day, DAYS))
        out[day] = float(np.mean([abs(believe.of(TraceSums.of(made, seen)).mean - truth) for made, truth in asked]))
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--shows", type=int, default=600)
    for day, error in measure(parser.parse_args().shows).items():
        print(f"day {day}: mean absolute error {error:.3f}")
