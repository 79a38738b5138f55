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
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from transforms.shelves.assemble import Given, assemble
from transforms.shelves.evidence.collect import tastes
from transforms.shelves.history import Embeddings, History, TrackSide
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.tracks import Tracks
from transforms.shelves.variety import SMOOTHING
from transforms.tables.warehouse import Warehouse

SIZE, HORIZON, MOST_PAID = 30, 7, 0.02
FAMILIES: dict[str, list[dict[str, float]]] = {
    "none": [{}],
    "mmr": [{"mmr": w} for w in (0.05, 0.1, 0.2, 0.4)],
    "calibration": [{"calibration": w} for w in (0.05, 0.1, 0.2, 0.4)],
    "popularity": [{"popularity": w} for w in (0.05, 0.1, 0.2, 0.4)],
    "artist_decay": [{"artist_decay": w} for w in (0.95, 0.9, 0.8, 0.6)],
}


class StoredNight:
    """One night: candidates, labels, tastes."""

    def __init__(self, warehouse: Warehouse, night: date, listeners: int) -> None:
        who = warehouse.read("candidates", night, ["listener_id"])["listener_id"].unique().sort().head(listeners)
        mine = pl.col("listener_id").is_in(who.implode())
        columns = ["listener_id", "track_id", "heard_before", "f_blend"]
        self.candidates = warehouse.read("candidates", night, columns).filter(mine & ~pl.col("heard_before"))
        self.candidates = self.candidates.rename({"f_blend": "ranker_score"})
        labels = warehouse.read(
            "outcomes",
            night + timedelta(HORIZON),
            ["night", "listener_id", "track_id", "horizon", "listened", "heard_before"],
        )
        asked = (
            (pl.col("night") == night) & (pl.col("horizon") == HORIZON) & pl.col("listened") & ~pl.col("heard_before")
        )
        self.listened = labels.filter(mine & asked).select("listener_id", "track_id").unique()
        catalog = warehouse.read_newest("tracks", night)
        self.tracks = Tracks.build(catalog, self.candidates["track_id"])
        vectors = warehouse.read("track_embeddings", night).filter(pl.col("model") == "als")
        matrix = np.array(vectors["vector"].to_list(), np.float32)
        length = np.linalg.norm(matrix, axis=1, keepdims=True)
        place = np.full(len(self.tracks), -1, np.int32)
        rows = self.tracks.rows(vectors["track_id"])
        place[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
        library = warehouse.read("library", night, ["listener_id", "track_id", "heard"]).filter(
            mine & (pl.col("heard") > 0)
        )
        audience = library.group_by("track_id").len()
        heard = np.zeros(len(self.tracks), np.float32)
        heard[self.tracks.rows(audience["track_id"])] = audience["len"].to_numpy()
        self.side = TrackSide.of(self.tracks, Embeddings(matrix / np.where(length > 0, length, 1), place), heard)
        self.plays = library.select("listener_id", "track_id", decayed_plays=pl.col("heard").cast(pl.Float32))
        self.roster = who.to_frame().with_columns(market=pl.lit(None, pl.String), explicit_ok=pl.lit(True))
        self.night = NightContext(night, "bench")

    def shelves(self, variety: dict[str, float]) -> pl.DataFrame:
        """(listener_id, track_id, position) of everybody's Discover."""
        shelf: dict[str, Any] = {
            "shelf_id": "discover",
            "title": "Discover",
            "size": SIZE,
            "spares": 0,
            "open_slots": 0,
        }
        settings = ShelvesSettings.model_validate({"shelves": [{**shelf, "variety": variety, "fallback": []}]})
        given = Given(self.tracks, side=self.side, plays=self.plays)
        made = assemble(self.candidates, self.roster, given, night=self.night, settings=settings)
        return made.shelves.select("listener_id", "items").explode("items", keep_nulls=False).unnest("items")

    def measure(self, variety: dict[str, float]) -> tuple[dict[str, float], np.ndarray]:
        """What stands for this setting, and NDCG by listener."""
        shown = self.shelves(variety)
        hit = shown.join(self.listened.with_columns(hit=pl.lit(1.0)), on=["listener_id", "track_id"], how="left")
        gain = hit.group_by("listener_id").agg((pl.col("hit").fill_null(0) / (pl.col("position") + 1).log(2)).sum())
        most = self.listened.group_by("listener_id").agg(n=pl.len().clip(upper_bound=SIZE))
        ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, SIZE + 2)))])
        scored = most.join(gain, on="listener_id", how="left").sort("listener_id")
        ndcg = scored["hit"].fill_null(0).to_numpy() / ideal[scored["n"].to_numpy()]
        return {"ndcg": float(ndcg.mean()), **self._variety(shown)}, ndcg

    def _variety(self, shown: pl.DataFrame) -> dict[str, float]:
        track = self.tracks.rows(shown["track_id"])
        of, at = self.side.embeddings, self.roster["listener_id"].search_sorted(shown["listener_id"])
        history = History.of(
            self.plays, None, self.roster.with_columns(time_zone=pl.lit(None, pl.String)), self.tracks, self.side
        )
        mixes = tastes(history, self.roster.height).mix
        distances, divergences = [], []
        bounds = np.flatnonzero(np.r_[True, np.diff(np.asarray(at)) != 0, True])
        for first, last in pairwise(bounds.tolist()):
            rows = track[first:last]
            vectors = of.vectors[of.of_track[rows][of.of_track[rows] >= 0]]
            n = len(vectors)
            if n > 1:
                distances.append(1 - (np.square(vectors.sum(axis=0)).sum() - n) / (n * (n - 1)))
            p, group = mixes[int(np.asarray(at)[first])], self.side.group[rows]
            q = np.bincount(group[group >= 0], minlength=len(p)) / len(rows)
            some = p > 0
            if some.any():
                divergences.append(
                    float((p[some] * np.log(p[some] / ((1 - SMOOTHING) * q[some] + SMOOTHING * p[some]))).sum())
                )
        counts = np.sort(np.bincount(track, minlength=len(self.tracks)))[-self.candidates["track_id"].n_unique() :]
        ranks = np.arange(1, len(counts) + 1)
        return {
            "distance": float(np.mean(distances)),
            "divergence": float(np.mean(divergences)) if divergences else float("nan"),
            "coverage": float((counts > 0).mean()),
            "gini": float(
                (2 * (ranks * counts).sum() / (len(counts) * counts.sum())) - (len(counts) + 1) / len(counts)
            ),
        }


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
    *earlier, last = [StoredNight(warehouse, d, listeners) for d in dates]
    validation: dict[str, list[tuple[dict[str, float], float]]] = {}
    for family, settings in FAMILIES.items():
        for setting in settings:
            found = [night.measure(setting)[0] for night in earlier]
            mean = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
            validation.setdefault(family, []).append((setting, mean["ndcg"]))
            print(
                json.dumps({"nights": "validation", "setting": setting, **{k: round(v, 4) for k, v in mean.items()}}),
                flush=True,
            )
    choice = chosen(validation, validation["none"][0][1])
    together = {name: value for setting in choice.values() for name, value in setting.items()}
    plain, plain_by_listener = last.measure({})
    print(json.dumps({"nights": "last", "setting": {}, **{k: round(v, 4) for k, v in plain.items()}}))
    for setting in [*choice.values(), together]:
        found, by_listener = last.measure(setting)
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
