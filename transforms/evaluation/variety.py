"""What variety costs and brings on a stored night: relevance against variety, a point for every strength of a shelf's setting.

The night's shelf is put together again from its stored candidates, without draws, with the shelf's own variety at several
strengths. Relevance is NDCG at the shelf's size of what was listened to in the days after, among tracks never heard before.
Variety is told four ways:

    distance     mean over pairs on a shelf of 1 - cosine of their iALS vectors
    divergence   of the shelf's tags from the listener's own (Steck, RecSys 2018): 0 = as mixed as what they play
    coverage     share of the tracks that could be recommended which anybody is shown
    gini         of how often they are shown: 0 = all alike, towards 1 = a few take all

A default is chosen where less than 2% of NDCG is paid (`PAID`), on nights before the one that is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import polars as pl

from transforms.listening.library import merge
from transforms.metrics.beyond import gini
from transforms.shelves.assemble import Given, assemble
from transforms.shelves.evidence.collect import tastes
from transforms.shelves.history import Embeddings, History, TrackSide
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.shelf import ShelfSettings
from transforms.shelves.tracks import Tracks
from transforms.shelves.variety import SMOOTHING
from transforms.tables.as_of import as_of
from transforms.tables.warehouse import Warehouse

HORIZON, PAID = 7, 0.02
STRENGTHS = (0.0, 0.5, 1.0, 2.0)  # times what the settings say
PLAIN = {"mmr": 0.2}  # tried where a shelf has no variety of its own
ORDER, MOST = "ranker_score", 2.0


@dataclass(frozen=True)
class Point:
    """One strength.

    Attributes:
        setting: the weights; strength: times those of the settings.
        ndcg, paid: relevance, and the share of it that is lost against no variety.
    """

    setting: dict[str, float]
    strength: float
    ndcg: float
    paid: float
    distance: float
    divergence: float
    coverage: float
    gini: float


class ReassembledNight:
    """One night: candidates, what was listened to after it, tastes."""

    def __init__(self, warehouse: Warehouse, night: date, listeners: int) -> None:
        who = warehouse.read("candidates", night, ["listener_id"])["listener_id"].unique().sort().head(listeners)
        mine = pl.col("listener_id").is_in(who.implode())
        columns = ["listener_id", "track_id", "heard_before", "f_blend"]
        self.candidates = warehouse.read("candidates", night, columns).filter(mine & ~pl.col("heard_before"))
        self.candidates = self.candidates.rename({"f_blend": ORDER})
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
        parts = as_of(warehouse.url, night).library()
        library = merge([warehouse.read_manifest(part) for part in parts]).filter(pl.col("heard") > 0)
        audience = library.group_by("track_id").len()
        heard = np.zeros(len(self.tracks), np.float32)
        at = self.tracks.rows(audience["track_id"])
        heard[at[at >= 0]] = audience["len"].to_numpy()[at >= 0]
        self.side = TrackSide.of(self.tracks, Embeddings(matrix / np.where(length > 0, length, 1), place), heard)
        own = library.filter(mine)
        self.plays = own.select("listener_id", "track_id", decayed_plays=pl.col("heard").cast(pl.Float32))
        self.roster = who.to_frame().with_columns(market=pl.lit(None, pl.String), explicit_ok=pl.lit(True))
        self.night = NightContext(night, "variety")

    def measure(self, shelf: ShelfSettings, variety: dict[str, float]) -> tuple[dict[str, float], np.ndarray]:
        """What stands for this setting, and NDCG by listener."""
        shown = self._shown(shelf, variety)
        hit = shown.join(self.listened.with_columns(hit=pl.lit(1.0)), on=["listener_id", "track_id"], how="left")
        gain = hit.group_by("listener_id").agg((pl.col("hit").fill_null(0) / (pl.col("position") + 1).log(2)).sum())
        most = self.listened.group_by("listener_id").agg(n=pl.len().clip(upper_bound=shelf.size))
        ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, shelf.size + 2)))])
        scored = most.join(gain, on="listener_id", how="left").sort("listener_id")
        ndcg = scored["hit"].fill_null(0).to_numpy() / ideal[scored["n"].to_numpy()]
        return {"ndcg": float(ndcg.mean()) if len(ndcg) else float("nan"), **self._variety(shown)}, ndcg

    def _shown(self, shelf: ShelfSettings, variety: dict[str, float]) -> pl.DataFrame:
        """(listener_id, track_id, position) of everybody's shelf."""
        plain = {"spares": 0, "open_slots": 0, "fallback": (), "refresh": "daily", "sources": {}, "requires": ()}
        weights = type(shelf.variety)(**variety)
        alone = shelf.model_copy(update={**plain, "variety": weights, "new_tracks": type(shelf.new_tracks)()})
        given = Given(self.tracks, side=self.side, plays=self.plays)
        settings = ShelvesSettings(shelves=(alone,))
        made = assemble(self.candidates, self.roster, given, night=self.night, settings=settings)
        return made.shelves.select("listener_id", "items").explode("items", keep_nulls=False).unnest("items")

    def _variety(self, shown: pl.DataFrame) -> dict[str, float]:
        track = self.tracks.rows(shown["track_id"])
        of, at = self.side.embeddings, self.roster["listener_id"].search_sorted(shown["listener_id"])
        history = History.of(
            self.plays, None, self.roster.with_columns(time_zone=pl.lit(None, pl.String)), self.tracks, self.side
        )
        mixes = tastes(history, self.roster.height).mix
        distances, divergences = [], []
        bounds = np.flatnonzero(np.r_[True, np.diff(np.asarray(at)) != 0, True]) if len(track) else np.zeros(0, int)
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
        return {
            "distance": float(np.mean(distances)) if distances else float("nan"),
            "divergence": float(np.mean(divergences)) if divergences else float("nan"),
            "coverage": float((counts > 0).mean()),
            "gini": gini(counts),
        }


def curve(night: ReassembledNight, shelf: ShelfSettings, strengths: Sequence[float] = STRENGTHS) -> list[Point]:
    """The points of a shelf, weakest first; strength 1 is what the settings say (or `PLAIN`, where they say nothing)."""
    own = {name: float(getattr(shelf.variety, name)) for name in ("mmr", "calibration", "popularity")}
    weights = {name: value for name, value in own.items() if value} or PLAIN
    out: list[Point] = []
    for strength in strengths:
        setting = {name: min(MOST, value * strength) for name, value in weights.items()}
        found, _ = night.measure(shelf, setting)
        plain = out[0].ndcg if out else found["ndcg"]
        paid = 1 - found["ndcg"] / plain if plain else 0.0
        out.append(Point(setting, strength, paid=paid, **found))
    return out


def reassembled_shelves(shelves: Sequence[ShelfSettings]) -> list[ShelfSettings]:
    """Shelves of unheard tracks in the ranker's order: what stored candidates suffice for."""
    return [shelf for shelf in shelves if shelf.pool == "unheard" and set(shelf.order) == {ORDER}]


def measured_night(warehouse: Warehouse, day: date) -> date | None:
    """The newest night up to `day` whose days after are known by then, with candidates, vectors and outcomes; None without."""
    known = [d for d in warehouse.dates("outcomes") if d <= day]
    for joined in sorted(known, reverse=True):
        night = joined - timedelta(HORIZON)
        horizons = warehouse.need("outcomes", joined).settings.get("horizons", [])
        there = all(warehouse.current(table, night) for table in ("candidates", "track_embeddings", "library"))
        if HORIZON in horizons and there:
            return night
    return None
