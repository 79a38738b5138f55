"""Blend on a simulated world's truth: how satisfied each member truly is, and the gap, beside two plain ways of aggregating.

    nightshelf demo --listeners 400 --tracks 4000 --days 30 --out DIR
    python -m tests.benchmarks.blend --world DIR --groups 400

Groups of 2 to 6 are drawn among the world's listeners, half of them of one first genre as friends often are. Each is offered
what the stored night placed or kept as spares, as job `blend` does, and gets a list of 30. What a track is truly worth to a
listener is the chance that a first play of it is not skipped (`truth/model.json`: sigmoid(0.4 + 2.5 z)). A member's true
satisfaction is the discounted sum over the list, over that of the best list that could be made for this member alone of what
the group was offered.

    fair            `blend.fairness` as it is by default
    mean            the track with the largest mean of the members' relevance first
    least misery    the track with the largest minimum first (O'Connor et al., PolyLens, ECSCW 2001)

Reported by half of the groups (validation, test): mean over members, the least satisfied member, and the gap from least to
most, each a mean over groups, and `fair` less each baseline with a 95% interval (bootstrap of groups)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

from pipelines.recommender import blend_plan
from pipelines.runtime.config import Settings
from transforms.metrics.intervals import interval
from transforms.shelves.blend import making
from transforms.shelves.blend.choosing import choose, satisfaction
from transforms.shelves.blend.making import Parts
from transforms.shelves.blend.offers import MODEL, best
from transforms.shelves.blend.settings import BlendSettings
from transforms.tables.as_of import as_of
from transforms.tables.warehouse import Warehouse


class Truth:
    """What listeners truly like, of a world's folder."""

    def __init__(self, world: Path, days: float) -> None:
        self.model = json.loads((world / "truth/model.json").read_text())
        listeners, tracks = (pl.read_parquet(world / f"truth/{name}.parquet") for name in ("listeners", "tracks"))
        self.people = {row["listener_id"]: row for row in listeners.iter_rows(named=True)}
        self.track = {track: n for n, track in enumerate(tracks["track_id"])}
        self.vectors = np.array(tracks["vector"].to_list())
        self.appeal = tracks["appeal"].to_numpy()
        self.shift = (days - self.model["middle_day"]) / self.model["drift_days"]

    def worth(self, listener: str, tracks: list[str]) -> np.ndarray:
        """float64 by track: the chance that a first play is not skipped."""
        one, beta = self.people[listener], self.model["beta"]
        known = [n for n, w in enumerate(one["log_weights"]) if w is not None]
        weight = np.array([one["log_weights"][n] + one["drift"][n] * self.shift for n in known])
        weight = np.exp(weight - weight.max())
        interests = np.array([one["interests"][n] for n in known])
        at = np.array([self.track[t] for t in tracks])
        fits = (weight / weight.sum()) @ np.exp(beta * interests @ self.vectors[at].T)
        affinity = np.log(fits) / beta + self.model["appeal"] * self.appeal[at]
        return 1 / (1 + np.exp(-0.4 - 2.5 * (affinity - self.model["centre"]) / self.model["scale"]))


def drawn(truth: Truth, known: pl.Series, count: int, seed: int) -> pl.DataFrame:
    """blend_id, listener_id of groups; every other one of listeners of one first genre."""
    rng, rows = np.random.default_rng(seed), []
    ids = sorted(known)
    genre = {i: truth.people[i]["genres"][0] for i in ids}
    for n in range(count):
        size = int(rng.choice([2, 3, 4, 5, 6], p=[0.5, 0.2, 0.15, 0.1, 0.05]))
        first = ids[rng.integers(len(ids))]
        others = [i for i in ids if i != first and (n % 2 or genre[i] == genre[first])]
        if len(others) >= size - 1:
            chosen = [first, *(others[k] for k in rng.choice(len(others), size - 1, replace=False))]
            rows += [(f"g{n:05d}", one) for one in chosen]
    return pl.DataFrame(rows, schema={"blend_id": pl.String, "listener_id": pl.String}, orient="row")


def least_misery(worth: np.ndarray, *given: Any) -> tuple[np.ndarray, np.ndarray]:
    """`choose` by the minimum over the members."""
    (recording, bounds, artists, size, spares, _, cap) = given
    out, _ = choose(worth.min(axis=0)[None], recording, bounds, artists, size, spares, 0.0, cap)
    return out, satisfaction(worth, out[:size])


def true_satisfaction(rows: pl.DataFrame, offers: pl.DataFrame, truth: Truth) -> pl.DataFrame:
    """blend_id, mean, least, gap over the members."""
    found = []
    for (blend,), group in rows.group_by("blend_id", maintain_order=True):
        items = [item["track_id"] for item in group["items"][0]]
        if not items:
            continue
        w = 1 / np.log2(np.arange(len(items)) + 2)
        offered = (
            offers.filter(pl.col("listener_id").is_in(group["listener_id"].implode()))["track_id"].unique().to_list()
        )
        of_each = [
            float(w @ truth.worth(one, items) / (w @ np.sort(truth.worth(one, offered))[::-1][: len(items)]))
            for one in group["listener_id"]
        ]
        found.append((blend, float(np.mean(of_each)), min(of_each), max(of_each) - min(of_each)))
    return pl.DataFrame(found, schema=["blend_id", "mean", "least", "gap"], orient="row")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--groups", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guess", type=float, nargs="+", default=[BlendSettings().guess])
    parser.add_argument("--fairness", type=float, nargs="+", default=[BlendSettings().fairness])
    given = parser.parse_args()
    url = str(given.world / "warehouse")
    warehouse = Warehouse(url)
    night = as_of(url, max(warehouse.dates("shelves")))
    work = blend_plan.blending(night, Settings(), "")
    offers = best(warehouse.read("candidates", night.day), BlendSettings().candidates)
    vectors = (
        warehouse.read("listener_embeddings", night.day)
        .filter(pl.col("model") == MODEL)
        .select("listener_id", "vector")
    )
    first = pl.read_parquet(given.world / "tracks.parquet").height
    truth = Truth(given.world, json.loads((given.world / "truth/model.json").read_text())["settings"]["days"] - 7)
    groups = drawn(truth, vectors["listener_id"], given.groups, given.seed)
    people = warehouse.read_newest("listeners", night.day, ["listener_id", "market", "explicit_ok"])
    nothing = pl.DataFrame(schema={"listener_id": pl.String, "kind": pl.String, "target": pl.String})
    parts = Parts(groups.join(people, on="listener_id", how="left"), offers, vectors, nothing)
    print(f"{groups['blend_id'].n_unique()} groups, {groups.height} members, {first} tracks, night {night.day}")
    blender = work.blender()
    for guess in given.guess:
        lists = {}
        for fairness in given.fairness:
            lists[f"fair {fairness:g}"] = _made(blender, parts, BlendSettings(guess=guess, fairness=fairness))
        lists["mean"] = _made(blender, parts, BlendSettings(guess=guess, fairness=0.0))
        with mock.patch.object(making, "choose", least_misery):
            lists["least misery"] = _made(blender, parts, BlendSettings(guess=guess))
        measured = {name: true_satisfaction(rows, offers, truth) for name, rows in lists.items()}
        for half in ("validation", "test"):
            mine = pl.col("blend_id").str.slice(1).cast(pl.Int32) // 2 % 2 == (half == "test")
            own = measured[f"fair {given.fairness[0]:g}"].filter(mine)
            for name, found in measured.items():
                here = found.filter(mine)
                line = f"guess {guess:g} {half:<10} {name:<12} n {here.height}"
                for metric in ("mean", "least", "gap"):
                    line += f"  {metric} {here[metric].mean():.4f}"
                    if name in ("mean", "least misery"):
                        ahead = interval(own["blend_id"], (own[metric] - here[metric]).to_numpy())
                        line += f" (fair {ahead.value:+.4f}, {ahead.low:+.4f} to {ahead.high:+.4f})"
                print(line, flush=True)


def _made(blender: blend_plan.Blender, parts: Parts, settings: BlendSettings) -> pl.DataFrame:
    return blend_plan.Blender(blender.tracks, blender.embeddings, settings, blender.night).rows(parts)


if __name__ == "__main__":
    main()
