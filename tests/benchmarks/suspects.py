"""Precision and recall of what tells machines by their behaviour, against the truth of a simulated world.

    python -m tests.benchmarks.suspects [--listeners 4000] [--days 30] [--every 25] [--seed 11]

Every 25th listener is also played for by a program (`transforms.simulation.machines`): a quarter each by regular gaps, round
the clock, one track looped, impossible breadth. A person who is called a machine is a false positive. Intervals are Wilson's,
95%. Accounts that play more than a day holds are left out: ingest refuses these days before. Thresholds were set on seed 1,
by hand, so that no person of that world is a suspect; the figures are of another seed.
"""

from __future__ import annotations

import argparse
import json
from math import sqrt

import polars as pl

from transforms.listening.suspects import REASONS, SuspectSettings, suspects
from transforms.simulation.block import simulate_block
from transforms.simulation.catalog_build import build_catalog
from transforms.simulation.settings import Dirt, SimulationSettings


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95% interval of a share.

    >>> tuple(round(x, 3) for x in wilson(10, 10))
    (0.722, 1.0)
    """
    if not n:
        return 0.0, 1.0
    p, below = hits / n, 1 + z * z / n
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / below), min(1.0, (middle + half) / below)


def judged(settings: SimulationSettings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Table `suspects` of the world's whole log, and the truth: listener_id, machine (null for a person)."""
    catalog = build_catalog(settings)
    found, truth = [], []
    first, end = settings.window_ms
    for number in range(settings.blocks):
        block = simulate_block(settings, catalog, number)
        log = pl.concat([block.log, block.late]).filter(pl.col("ts").is_between(first, end - 1)).unique()
        at = pl.from_epoch("ts", time_unit="ms").dt.replace_time_zone("UTC").dt.cast_time_unit("us")
        listens = log.select(listener_id="user", track_id="track", started_at=at, date=at.dt.date())
        people = block.truth.filter(~pl.col("bot")).select("listener_id", "machine")
        found.append(suspects(listens.join(people, on="listener_id", how="semi"), SuspectSettings()))
        truth.append(people)
    return pl.concat(found), pl.concat(truth)


def measured(found: pl.DataFrame, truth: pl.DataFrame) -> list[dict[str, object]]:
    """Precision over all, and recall over all and by kind of machine."""
    called = found["listener_id"].unique()
    hit = truth.with_columns(called=pl.col("listener_id").is_in(called.implode()))
    right = int((hit["called"] & hit["machine"].is_not_null()).sum())
    rows: list[dict[str, object]] = [share("precision", "all", right, int(hit["called"].sum()))]
    machines = hit.drop_nulls("machine")
    rows.append(share("recall", "all", right, machines.height))
    for kind in REASONS:
        mine = machines.filter(pl.col("machine") == kind)
        rows.append(share("recall", kind, int(mine["called"].sum()), mine.height))
    return rows


def share(metric: str, kind: str, hits: int, n: int) -> dict[str, object]:
    """A share with its interval."""
    low, high = wilson(hits, n)
    value = round(hits / n, 3) if n else None
    return {"metric": metric, "machines": kind, "value": value, "low": round(low, 3), "high": round(high, 3), "n": n}


def main() -> None:
    """Measure and print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("listeners", 4000), ("tracks", 20_000), ("days", 30), ("every", 25), ("seed", 11)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    settings = SimulationSettings(
        listeners=given.listeners,
        tracks=given.tracks,
        days=given.days,
        seed=given.seed,
        dirt=Dirt(machine_every=given.every),
    )
    found, truth = judged(settings)
    for row in measured(found, truth):
        print(json.dumps({"benchmark": "suspects", "seed": given.seed, **row}))


if __name__ == "__main__":
    main()
