"""Counterfactual estimates on a public log: what a uniform policy would have earned, from what a Thompson sampler drew.

The Open Bandit Dataset's small logs come with the package `obp` 0.4.1 (10,000 rows a campaign). Its own estimators give, for the
uniform policy: all .00236 (IPW), .00233 (SNIPW), 340 effective rows; men .0030, .0032, 656; women 2 effective rows.

    python -m tests.benchmarks.open_bandit --data SITE-PACKAGES/obp/dataset/obd/bts
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl

from transforms.metrics.counterfactual import estimate, evidence
from transforms.metrics.policies import LEAST_EFFECTIVE

CAMPAIGNS = ("all", "men", "women")


def logged(folder: Path, campaign: str) -> pl.DataFrame:
    """A campaign's log, as `estimate` reads it: every row is a listener of its own."""
    rows = pl.read_csv(folder / campaign / f"{campaign}.csv", columns=["click", "propensity_score"])
    items = pl.read_csv(folder / campaign / "item_context.csv").height
    return rows.select(
        listener_id=pl.int_range(pl.len()).cast(pl.String),
        reward=pl.col("click").cast(pl.Float64),
        propensity=pl.col("propensity_score"),
        target=pl.lit(1.0 / items),
    )


def estimates(folder: Path, campaign: str) -> str:
    """A line: the estimates, or why there are none."""
    rows = logged(folder, campaign)
    left = evidence(rows)
    if left.effective < LEAST_EFFECTIVE:
        return f"{campaign}: cannot be told: {left.slots:,} rows are worth {left.effective:.0f} of the uniform policy's own"
    got = estimate(rows)
    ends = {name: f"{i.value:.5f} ({i.low:.5f} to {i.high:.5f})" for name, i in got.items()}
    return f"{campaign}: IPS {ends['ips']}, SNIPS {ends['snips']}, {left.effective:.0f} effective rows"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    chosen = parser.parse_args().data
    for name in CAMPAIGNS:
        print(estimates(chosen, name))
