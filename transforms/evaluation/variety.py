"""What variety costs and brings on a stored night: relevance against variety, a point for every strength of a shelf's setting.

The night's shelf is put together again from its stored candidates, without draws, with the shelf's own variety at several
strengths. Relevance is NDCG at the shelf's size of what was listened to in the days after, among the tracks that the shelf may
hold: never heard before, heard before, or any. What a shelf reads of its listeners' own plays stands with the candidates; what it
reads of their sessions, and of tracks' embeddings, is made again. The ranker's order is that of the untrained blend. What stood
the night before is not known here, nor whom a listener follows. Variety is told four ways:

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
from transforms.listening.sessions import last_known
from transforms.metrics.beyond import gini
from transforms.shelves.assemble import Given, assemble
from transforms.shelves.evidence.collect import tastes
from transforms.shelves.history import Embeddings, History, TrackSide, aged
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.shelf import ShelfSettings
from transforms.shelves.tracks import Tracks
from transforms.shelves.variety import divergence_of
from transforms.tables.as_of import as_of
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

HORIZON, PAID = 7, 0.02
STRENGTHS = (0.0, 0.5, 1.0, 2.0)  # times what the settings say
SESSION_DAYS = 30
# columns of shelves that candidates hold as features: log(1 + n), and one that is shifted
LOGGED = {"plays": "f_o_plays", "decayed_plays": "f_o_decayed"}
SHIFTED = {"activation": ("f_o_activation", 10.0)}
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
    """One night: candidates, what was listened to after it, tastes.

    Args:
        shelves: that are to be measured: the columns that they name are read.
    """

    def __init__(
        self, warehouse: Warehouse, night: date, listeners: int, shelves: Sequence[ShelfSettings] = ()
    ) -> None:
        who = warehouse.read("candidates", night, ["listener_id"])["listener_id"].unique().sort().head(listeners)
        mine = pl.col("listener_id").is_in(who.implode())
        self.candidates = _candidates(warehouse, night, {c for s in shelves for c in s.columns}).filter(mine)
        labels = warehouse.read(
            "outcomes",
            night + timedelta(HORIZON),
            ["night", "listener_id", "track_id", "horizon", "listened", "heard_before"],
        )
        asked = (pl.col("night") == night) & (pl.col("horizon") == HORIZON) & pl.col("listened")
        self.labels = labels.filter(mine & asked).select("listener_id", "track_id", "heard_before").unique()
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
        times = {"last_heard_at": "last_played_at", "first_heard_at": "first_played_at"}
        self.library = own.select("listener_id", "track_id", heard=pl.lit(True), again=pl.col("heard") > 1, **times)
        self.sessions = _sessions(warehouse, night, mine)
        self.roster = who.to_frame().with_columns(market=pl.lit(None, pl.String), explicit_ok=pl.lit(True))
        self.night = NightContext(night, "variety")

    def listened(self, shelf: ShelfSettings) -> pl.DataFrame:
        """(listener_id, track_id) of what was listened to after the night, of what the shelf may hold."""
        return self.labels.filter(_may_hold(shelf)).select("listener_id", "track_id")

    def measure(self, shelf: ShelfSettings, variety: dict[str, float]) -> tuple[dict[str, float], np.ndarray]:
        """What stands for this setting, and NDCG by listener."""
        return self.measure_each([(shelf, variety)])[0]

    def measure_each(
        self, settings: Sequence[tuple[ShelfSettings, dict[str, float]]]
    ) -> list[tuple[dict[str, float], np.ndarray]]:
        """The same of several shelves, each put together as if it stood alone."""
        shown = self._shown(settings)
        return [self._measured(shelf, shown.filter(shelf_id=shelf.shelf_id)) for shelf, _ in settings]

    def _measured(self, shelf: ShelfSettings, shown: pl.DataFrame) -> tuple[dict[str, float], np.ndarray]:
        listened = self.listened(shelf)
        hit = shown.join(listened.with_columns(hit=pl.lit(1.0)), on=["listener_id", "track_id"], how="left")
        gain = hit.group_by("listener_id").agg((pl.col("hit").fill_null(0) / (pl.col("position") + 1).log(2)).sum())
        most = listened.group_by("listener_id").agg(n=pl.len().clip(upper_bound=shelf.size))
        ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, shelf.size + 2)))])
        scored = most.join(gain, on="listener_id", how="left").sort("listener_id")
        ndcg = scored["hit"].fill_null(0).to_numpy() / ideal[scored["n"].to_numpy()]
        return {"ndcg": float(ndcg.mean()) if len(ndcg) else float("nan"), **self._variety(shown, shelf)}, ndcg

    def _shown(self, settings: Sequence[tuple[ShelfSettings, dict[str, float]]]) -> pl.DataFrame:
        """(shelf_id, listener_id, track_id, position) of everybody's shelves."""
        plain = {"spares": 0, "open_slots": 0, "fallback": (), "refresh": "daily"}
        alone = []
        for shelf, variety in settings:
            of_its_own = {"variety": type(shelf.variety)(**variety), "new_tracks": type(shelf.new_tracks)()}
            alone.append(shelf.model_copy(update={**plain, **of_its_own, "surface": shelf.shelf_id}))
        given = Given(self.tracks, side=self.side, plays=self.plays, library=self.library, sessions=self.sessions)
        shelves = ShelvesSettings(shelves=tuple(alone))
        made = assemble(self.candidates, self.roster, given, night=self.night, settings=shelves)
        rows = made.shelves.select("listener_id", "shelf_id", "items")
        return rows.explode("items", keep_nulls=False).unnest("items")

    def _variety(self, shown: pl.DataFrame, shelf: ShelfSettings) -> dict[str, float]:
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
            if p.any():
                divergences.append(divergence_of(p, q))
        considered = self.candidates.filter(_may_hold(shelf))["track_id"].n_unique()
        counts = np.sort(np.bincount(track, minlength=len(self.tracks)))[-max(considered, 1) :]
        return {
            "distance": float(np.mean(distances)) if distances else float("nan"),
            "divergence": float(np.mean(divergences)) if divergences else float("nan"),
            "coverage": float((counts > 0).mean()),
            "gini": gini(counts),
        }


def _may_hold(shelf: ShelfSettings) -> pl.Expr:
    """Whether the shelf may hold a row's track, by `heard_before`."""
    return {"unheard": ~pl.col("heard_before"), "heard": pl.col("heard_before")}.get(shelf.pool, pl.lit(True))


def _candidates(warehouse: Warehouse, night: date, named: set[str]) -> pl.DataFrame:
    """Stored candidates with those columns that shelves name, as far as they are stored."""
    manifest = warehouse.need("candidates", night)
    stored = set(warehouse.open_parquet(manifest.files[0].path).schema_arrow.names) if manifest.files else set()
    features = {name: LOGGED.get(name) or SHIFTED[name][0] for name in (*LOGGED, *SHIFTED)}
    plain = (named - set(features) - {ORDER}) & stored
    own = {name: feature for name, feature in features.items() if name in named and feature in stored}
    base = ["listener_id", "track_id", "heard_before", "f_blend"]
    rows = warehouse.read_manifest(manifest, [*base, *sorted(plain | set(own.values()) - set(base))])
    played = pl.col("f_o_plays") > 0 if "f_o_plays" in rows.columns else pl.lit(True)
    back = {
        name: pl.col(feature) - SHIFTED[name][1] if name in SHIFTED else pl.col(feature).exp() - 1
        for name, feature in own.items()
    }
    return rows.with_columns(
        pl.col("f_blend").alias(ORDER), *(pl.when(played).then(value).alias(name) for name, value in back.items())
    ).drop("f_blend", *(f for f in set(own.values()) if f in rows.columns))


def _sessions(warehouse: Warehouse, night: date, mine: pl.Expr) -> pl.DataFrame:
    """Sessions of the days before the end of a night, with their age."""
    found = as_of(warehouse.url, night).window("sessions", SESSION_DAYS)
    rows = [warehouse.read_manifest(part).filter(mine) for part in found]
    return aged(last_known(pl.concat(rows or [TABLES["sessions"].empty()])), NightContext(night).data_cutoff)


def curve(night: ReassembledNight, shelf: ShelfSettings, strengths: Sequence[float] = STRENGTHS) -> list[Point]:
    """The points of a shelf, weakest first; strength 1 is what the settings say (or `PLAIN`, where they say nothing)."""
    return curves(night, [shelf], strengths)[0]


def curves(
    night: ReassembledNight, shelves: Sequence[ShelfSettings], strengths: Sequence[float] = STRENGTHS
) -> list[list[Point]]:
    """The points of each shelf; all shelves of one strength are put together at once."""
    weights = []
    for shelf in shelves:
        own = {name: float(getattr(shelf.variety, name)) for name in ("mmr", "calibration", "popularity")}
        weights.append({name: value for name, value in own.items() if value} or PLAIN)
    out: list[list[Point]] = [[] for _ in shelves]
    for strength in strengths:
        settings = [{name: min(MOST, value * strength) for name, value in one.items()} for one in weights]
        found = night.measure_each(list(zip(shelves, settings, strict=True)))
        for points, setting, (measured, _) in zip(out, settings, found, strict=True):
            plain = points[0].ndcg if points else measured["ndcg"]
            paid = 1 - measured["ndcg"] / plain if plain else 0.0
            points.append(Point(setting, strength, paid=paid, **measured))
    return out


def reassembled_shelves(shelves: Sequence[ShelfSettings]) -> list[ShelfSettings]:
    """Shelves that are somebody's own: what is popular in a market is the same for everybody, and variety would not be."""
    return [shelf for shelf in shelves if shelf.pool != "popular"]


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
