"""Does a policy that looks at the long term bring listeners back on more days than one that looks at the moment?

One simulated world is lived twice with the same luck: its nights order by the immediate rewards, or by what is believed to last
(days with a play after the first, explored by Thompson draws). A listener's return days are the lived days with a session; the
difference is paired by listener, with a 95% interval. Luck belongs to listener, day and track, so it is the effect of what was
shown. Each policy is a process of its own; the same command again goes on.

    python -m tests.benchmarks.long_term --work FOLDER --policy immediate
    python -m tests.benchmarks.long_term --work FOLDER --policy long_term
    python -m tests.benchmarks.long_term --work FOLDER                    # compares what was lived
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.live import Plan, live
from pipelines.runtime.config import Settings
from tests.pipelines.world import SETTINGS
from transforms.metrics.intervals import Interval, paired_difference

WEIGHT, TRUTH = 0.5, Path("truth") / "listeners"
POLICIES: dict[str, dict[str, Any]] = {
    "immediate": {"rewards": {"weights": {"immediate": WEIGHT}}},
    "long_term": {
        "rewards": {"weights": {"long_term": WEIGHT}},
        "shelves": {"exploration": {"policy": "thompson"}},
    },
}
HEAVY = ("two_tower", "sequence", "generative", "next_in_session", "adjacent_artists")


def settings(policy: str) -> Settings:
    """Small models, a linear ranker, and the policy."""
    models = {**SETTINGS.models.model_dump(), **{f"use_{name}": False for name in HEAVY}}
    base = {**SETTINGS.model_dump(exclude={"models", "rewards", "shelves", "ranker"}), "models": models}
    return Settings.model_validate({**base, "processes": 1, "ranker": {"kind": "linear"}, **POLICIES[policy]})


def lived(folder: Path, days: list[str]) -> pl.DataFrame:
    """listener_id, days with a session, sessions, mean satisfaction over some lived days."""
    rows = pl.concat([pl.read_parquet(folder / TRUTH / day) for day in days])
    return (
        rows.group_by("listener_id")
        .agg(
            days=(pl.col("sessions") > 0).sum(),
            sessions=pl.col("sessions").sum(),
            satisfaction=pl.col("satisfaction").mean(),
        )
        .sort("listener_id")
    )


def compared(work: Path) -> tuple[int, dict[str, tuple[float, Interval]]]:
    """Days that both lived, and by measure the immediate policy's mean and the long-term one's difference from it."""
    both = [{path.name for path in (work / name / TRUTH).glob("*.parquet")} for name in POLICIES]
    days = sorted(set.intersection(*both))
    one, other = (lived(work / name, days) for name in POLICIES)
    assert one["listener_id"].equals(other["listener_id"])
    return len(days), {
        name: (
            float(one[name].mean() or 0.0),  # type: ignore[arg-type]
            paired_difference(one["listener_id"], other[name].to_numpy(), one[name].to_numpy()),
        )
        for name in ("days", "sessions", "satisfaction")
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--policy", choices=list(POLICIES))
    parser.add_argument("--listeners", type=int, default=120)
    parser.add_argument("--tracks", type=int, default=600)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    if given.policy:
        plan = Plan(given.listeners, given.tracks, given.days, history=42, fit_every=7, seed=given.seed)
        print(live(plan, str(given.work / given.policy), settings=settings(given.policy)))
    else:
        count, found = compared(given.work)
        for name, (mean, gain) in found.items():
            told = f"{gain.value:+.3f} long-term, {gain.low:+.3f} to {gain.high:+.3f}, n {gain.n}"
            print(f"{count} days, {name}: {mean:.3f} immediate, {told}")
