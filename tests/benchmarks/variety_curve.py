"""What variety costs and brings: relevance against variety of every shelf on stored nights, a setting a line.

    .venv/bin/python -m tests.benchmarks.variety_curve --warehouse W [--listeners 600] [--shelf discover-weekly ...]

Each stored night with candidates and outcomes of 7 days is assembled again from its candidates, in the order of the untrained
blend, without draws, each shelf as if it stood alone. Shelves that are the same for everybody are left out. Relevance is NDCG
at the shelf's size of what was listened to in the 7 days after, among the tracks that the shelf may hold. Variety is the mean
distance of pairs on a shelf (1 - cosine of iALS vectors), the share of recommendable tracks shown to anybody (coverage), the
Gini coefficient of how often tracks are shown, and the divergence of the shelf's tags from the listener's own.

Settings are chosen on all nights but the last, by the rule: of one family the strongest that costs less than 2% of NDCG. The
last night then says what the choice costs, with a 95% interval of the paired difference over listeners.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from transforms.evaluation.variety import HORIZON, PAID, ReassembledNight, reassembled_shelves
from transforms.metrics.intervals import interval
from transforms.shelves.defaults import DEFAULT
from transforms.shelves.shelf import ShelfSettings
from transforms.tables.warehouse import Warehouse

Setting = dict[str, float]
FAMILIES: dict[str, list[Setting]] = {
    "none": [{}],
    "mmr": [{"mmr": w} for w in (0.05, 0.1, 0.2, 0.4)],
    "calibration": [{"calibration": w} for w in (0.05, 0.1, 0.2, 0.4)],
    "popularity": [{"popularity": w} for w in (0.05, 0.1, 0.2, 0.4)],
    "artist_decay": [{"artist_decay": w} for w in (0.95, 0.9, 0.8, 0.6)],
}
SHELVES = {shelf.shelf_id: shelf for shelf in reassembled_shelves(DEFAULT)}


def chosen(validation: dict[str, list[tuple[Setting, float]]], plain: float) -> dict[str, Setting]:
    """Of each family the last (strongest) setting that costs less than 2% of the plain order's NDCG."""
    out = {}
    for family, found in validation.items():
        cheap = [setting for setting, ndcg in found if ndcg >= (1 - PAID) * plain]
        if cheap and family != "none":
            out[family] = cheap[-1]
    return out


def rounded(found: dict[str, float]) -> dict[str, float]:
    """Four digits each."""
    return {name: round(value, 4) for name, value in found.items()}


def tried(nights: Sequence[ReassembledNight], shelves: Sequence[ShelfSettings]) -> dict[str, dict[str, Setting]]:
    """The choice of each shelf and family on some nights; prints a line a shelf and setting."""
    validation: dict[str, dict[str, list[tuple[Setting, float]]]] = {shelf.shelf_id: {} for shelf in shelves}
    for family, settings in FAMILIES.items():
        for setting in settings:
            by_night = [night.measure_each([(shelf, setting) for shelf in shelves]) for night in nights]
            for shelf, found in zip(shelves, zip(*by_night, strict=True), strict=True):
                mean = {name: float(np.mean([one[name] for one, _ in found])) for name in found[0][0]}
                validation[shelf.shelf_id].setdefault(family, []).append((setting, mean["ndcg"]))
                say(shelf, "validation", setting, mean)
    return {shelf: chosen(found, found["none"][0][1]) for shelf, found in validation.items()}


def say(shelf: ShelfSettings, nights: str, setting: Setting, found: dict[str, float], **more: Any) -> None:
    """Print a JSON line."""
    print(
        json.dumps({"shelf": shelf.shelf_id, "nights": nights, "setting": setting, **rounded(found), **more}),
        flush=True,
    )


def main(url: str, listeners: int, asked: Sequence[str]) -> None:
    """Print a JSON line a shelf, setting and night, and what each choice costs on the last night."""
    shelves = [SHELVES[name] for name in asked]
    warehouse = Warehouse(url)
    dates = [d for d in warehouse.dates("candidates") if warehouse.current("outcomes", d + timedelta(HORIZON))]
    *earlier, last = [ReassembledNight(warehouse, d, listeners, shelves) for d in dates]
    choices = tried(earlier, shelves)
    for shelf in shelves:
        plain, plain_by_listener = last.measure(shelf, {})
        say(shelf, "last", {}, plain, listeners=len(plain_by_listener))
        choice = list(choices[shelf.shelf_id].values())
        together = {name: value for setting in choice for name, value in setting.items()}
        for setting in [*choice, *([together] if len(choice) > 1 else [])]:
            found, by_listener = last.measure(shelf, setting)
            gap = interval([str(n) for n in range(len(by_listener))], by_listener - plain_by_listener)
            paid = {"paid": round(1 - found["ndcg"] / plain["ndcg"], 4)} if plain["ndcg"] else {}
            say(shelf, "last", setting, found, **paid, difference=[round(gap.low, 5), round(gap.high, 5)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--warehouse", required=True)
    parser.add_argument("--listeners", type=int, default=600)
    parser.add_argument("--shelf", choices=tuple(SHELVES), nargs="+", default=tuple(SHELVES))
    given = parser.parse_args()
    main(given.warehouse, given.listeners, given.shelf)
