"""A world small enough to reckon by hand: four listeners, eight tracks, a night on 2024-03-10."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from pipelines.recommender.registry import parts, sources
from pipelines.recommender.settings import ModelSettings
from transforms.candidates.adjacent_artists import Adjacency
from transforms.candidates.base import Source, SourceInputs, made_of
from transforms.candidates.blocks import Block, Catalog, build_blocks
from transforms.candidates.ease import fit_ease
from transforms.candidates.learned import Learned
from transforms.candidates.neighbours import NeighbourSettings, fit_neighbours
from transforms.candidates.popular import Audience, fit_popularity, recency
from transforms.candidates.settings import SourceSettings
from transforms.candidates.similar_listeners import ProfileSettings, fit_clusters
from transforms.common.hashing import stable_hash
from transforms.listening import co_listens, track_stats
from transforms.listening.library import day_library

NIGHT = date(2024, 3, 10)
KINDS = {kind.name: kind for kind in parts()}
FILES = {  # part -> its file, in the order of `World`
    "neighbours": "neighbours.npz",
    "popularity": "popularity.npz",
    "clusters": "clusters.npz",
    "ease": "ease.npz",
    "adjacent_artists": "artists.npz",
}
DAYS = {
    ("ann", 9): ["a", "b", "c"],
    ("ann", 10): ["a", "b"],
    ("bob", 8): ["a", "b", "d"],
    ("bob", 10): ["b", "d", "e"],
    ("cat", 10): ["f", "g"],
    ("dan", 9): ["f", "g", "h"],
}
ROSTER = ["ann", "bob", "cat", "dan", "eve"]


def listens(days: dict[tuple[str, int], list[str]] | None = None) -> pl.DataFrame:
    """Plays four minutes apart from 08:00, lengths unknown."""
    rows = [
        (who, track, datetime(2024, 3, day, 8, tzinfo=UTC) + timedelta(minutes=4 * i), date(2024, 3, day))
        for (who, day), tracks in (DAYS if days is None else days).items()
        for i, track in enumerate(tracks)
    ]
    return pl.DataFrame(
        rows,
        schema={
            "listener_id": pl.String,
            "track_id": pl.String,
            "started_at": pl.Datetime("us", "UTC"),
            "date": pl.Date,
        },
        orient="row",
    ).with_columns(
        ms_played=pl.lit(None, pl.Int32),
        skipped=pl.lit(None, pl.Boolean),
        completed=pl.lit(None, pl.Boolean),
        country=pl.lit("SE"),
    )


def sessions(plays: pl.DataFrame) -> pl.DataFrame:
    """One session a listener and date."""
    return (
        plays.sort("listener_id", "started_at")
        .group_by("listener_id", "date", maintain_order=True)
        .agg(
            started_at=pl.col("started_at").min(),
            tracks=pl.struct("track_id", "started_at", "ms_played", "skipped", "completed"),
            plays=pl.len().cast(pl.Int32),
        )
        .with_columns(new_share=pl.lit(0.5, pl.Float32), open=pl.lit(False), session_id=pl.col("date").cast(pl.String))
    )


def vocabulary(ids: list[str]) -> list[str]:
    """Rows by hash, row 0 a placeholder."""
    hashes = stable_hash(ids)
    return ["", *(ids[i] for i in np.argsort(hashes))]


def catalog_of(plays: pl.DataFrame, tracks: pl.DataFrame | None = None) -> Catalog:
    """Catalog over the tracks played."""
    ids = sorted(plays["track_id"].unique().to_list())
    return Catalog.build(vocabulary(ids), pl.DataFrame({"track_id": ids}) if tracks is None else tracks)


def blocks_of(plays: pl.DataFrame, catalog: Catalog, as_of: date = NIGHT, size: int = 256) -> list[Block]:
    """Blocks of the roster as of a night: only what had been played by then."""
    known = plays.filter(pl.col("date") <= as_of)
    roster = pl.DataFrame({"listener_id": ROSTER, "market": ["SE", "SE", "NO", "NO", None]})
    return list(build_blocks(roster, day_library(known), sessions(known), catalog, as_of, size=size))


@dataclass(frozen=True)
class World(Learned):
    """What the features read, and two parts that are not fitted by default."""

    ease: sparse.csr_matrix | None = None
    adjacency: Adjacency | None = None

    def parts(self) -> dict[str, Any]:
        """By the name of the part."""
        found = zip(FILES, (self.neighbours, self.popularity, self.clusters, self.ease, self.adjacency), strict=True)
        return {name: part for name, part in found if part is not None}

    def save(self, folder: Path) -> None:
        """Each part by its own code."""
        folder.mkdir(exist_ok=True)
        for name, part in self.parts().items():
            KINDS[name](ModelSettings()).save(part, folder)

    @classmethod
    def load(cls, folder: Path) -> World:
        """What `save` wrote."""
        back = {name: KINDS[name](ModelSettings()).load(folder) for name in FILES}
        return cls(*back.values())


def learned_from(plays: pl.DataFrame, catalog: Catalog, as_of: date = NIGHT) -> World:
    """Artefacts fitted on plays up to a date; clusters are {ann, bob} and {cat, dan}."""
    known = plays.filter(pl.col("date") <= as_of)
    ids = catalog.track_ids.tolist()
    pairs = co_listens.sum_window(by_date(co_listens.day_partials(sessions(known))), as_of, half_life_days=None)
    stats = by_date(track_stats.day_partials(known))
    histories = blocks_of(plays, catalog, as_of)[0].matrix("heard")
    neighbours = fit_neighbours(pairs, ids, NeighbourSettings(power=0.5))
    return World(
        neighbours,
        fit_popularity(
            track_stats.sum_window(stats, as_of, None),
            track_stats.sum_window(stats, as_of, half_life_days=2.0),
            ids,
            audience_of(known, catalog, as_of),
        ),
        fit_clusters(histories, np.int32([[0], [0], [1], [1], [-1]]), ProfileSettings(overlap=1)),
        fit_ease(neighbours.shared.T.tocsr(), neighbours.own),
    )


def default_sources(
    learned: World, catalog: Catalog, as_of: date, settings: SourceSettings | None = None
) -> list[Source]:
    """Every source that these artefacts and this catalog allow."""
    return made_of(sources(), SourceInputs(catalog, as_of, learned.parts(), settings or SourceSettings()))


def audience_of(known: pl.DataFrame, catalog: Catalog, as_of: date) -> Audience:
    """Reach with a half-life of a day; ann and bob are of SE, cat and dan of NO."""
    pairs = day_library(known).with_columns(recency=recency(as_of, 1.0, 90)).sort("listener_id", "track_id")
    rows = {track: row for row, track in enumerate(catalog.track_ids.tolist())}
    items = np.array([rows.get(t, 0) for t in pairs["track_id"]], np.int32)
    market = pairs.select(pl.col("listener_id").is_in(["ann", "bob"]).cast(pl.Int32)).to_series().to_numpy()
    return Audience.of(items, pairs["recency"].to_numpy(), market, ["NO", "SE"], len(catalog))


def by_date(frame: pl.DataFrame) -> list[tuple[date, pl.DataFrame]]:
    """Day partials as pairs."""
    return [(day, part) for (day,), part in frame.partition_by("date", as_dict=True).items()]


def item(catalog: Catalog, track_id: str) -> int:
    """Row of a track."""
    return catalog.track_ids.tolist().index(track_id)
