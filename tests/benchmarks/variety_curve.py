"""What variety costs and brings: relevance against variety of Discover on stored nights, a setting a line.

    .venv/bin/python -m tests.benchmarks.variety_curve --warehouse W [--listeners 600]

Each stored night with candidates and outcomes of 7 days is assembled again from its candidates, in the order of the untrained
blend, as Discover of 30 without draws. Relevance is NDCG@30 of what was listened to in the 7 days after, among unheard tracks.
Variety is the mean distance of pairs on a shelf (1 - cosine of iALS vectors), the share of recommendable tracks shown to anybody
(coverage), the Gini coefficient of how often tracks are shown, and the divergence of the shelf's tags from the listener's own.

Settings are chosen on all nights but the last, by the rule: of one family the strongest that costs less than 2% of NDCG. The last
night then says what the choice costs, with a 95% interval of the paired difference over listeners (10,000 bootstrap draws).
"""

from __future__ import annotations

import argparse
import json
from datetime import timedelta

import numpy as np

from transforms.evaluation.variety import HORIZON, ReassembledNight
from transforms.shelves.shelf import ShelfSettings
from transforms.tables.warehouse import Warehouse

SIZE, MOST_PAID = 30, 0.02
FAMILIES: dict[str, list[dict[str, float]]] = {
    "none": [{}],
    "mmr": [{"mmr": w} for w in (0.05, 0.1, 0.2, 0.4)],
    "calibration": [{"calibration": w} for w in (0.05, 0.1, 0.2, 0.4)],
    "popularity": [{"popularity": w} for w in (0.05, 0.1, 0.2, 0.4)],
    "artist_decay": [{"artist_decay": w} for w in (0.95, 0.9, 0.8, 0.6)],
}


DISCOVER = ShelfSettings(shelf_id="discover", title="Discover", size=SIZE)


def chosen(validation: dict[str, list[tuple[dict[str, float], float]]], plain: float) -> dict[str, dict[str, float]]:
    """Of each family the last (strongest) setting that costs less than 2% of the plain order's NDCG."""
    out = {}
    for family, found in validation.items():
        cheap = [setting for setting, ndcg in found if ndcg >= (1 - MOST_PAID) * plain]
        if cheap and family != "none":
            out[family] = cheap[-1]
    return out


def interval(differences: np.ndarray) -> tuple[float, float]:
    """95% bootstrap interval of the mean over listeners."""
    rng = np.random.default_rng(0)
    means = [differences[rng.integers(0, len(differences), len(differences))].mean() for _ in range(10_000)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def main(url: str, listeners: int) -> None:
    """Print a JSON line a setting and night, the choice, and what it costs on the last night."""
    warehouse = Warehouse(url)
    dates = [d for d in warehouse.dates("candidates") if warehouse.current("outcomes", d + timedelta(HORIZON))]
    *earlier, last = [ReassembledNight(warehouse, d, listeners) for d in dates]
    validation: dict[str, list[tuple[dict[str, float], float]]] = {}
    for family, settings in FAMILIES.items():
        for setting in settings:
            found = [night.measure(DISCOVER, setting)[0] for night in earlier]
            mean = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
            validation.setdefault(family, []).append((setting, mean["ndcg"]))
            print(
                json.dumps({"nights": "validation", "setting": setting, **{k: round(v, 4) for k, v in mean.items()}}),
                flush=True,
            )
    choice = chosen(validation, validation["none"][0][1])
    together = {name: value for setting in choice.values() for name, value in setting.items()}
    plain, plain_by_listener = last.measure(DISCOVER, {})
    print(json.dumps({"nights": "last", "setting": {}, **{k: round(v, 4) for k, v in plain.items()}}))
    for setting in [*choice.values(), together]:
        found, by_listener = last.measure(DISCOVER, setting)
        low, high = interval(by_listener - plain_by_listener)
        paid = {"paid": round(1 - found["ndcg"] / plain["ndcg"], 4), "difference": [round(low, 5), round(high, 5)]}
        print(
            json.dumps({"nights": "last", "setting": setting, **{k: round(v, 4) for k, v in found.items()}, **paid}),
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--warehouse", required=True)
    parser.add_argument("--listeners", type=int, default=600)
    arguments = parser.parse_args()
    main(arguments.warehouse, arguments.listeners)
