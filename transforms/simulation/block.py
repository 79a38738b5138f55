"""One block of listeners, simulated: their log and the tables beside it, a function of settings and block number only.

>>> settings = SimulationSettings(listeners=30, tracks=100, days=7)
>>> block = simulate_block(settings, build_catalog(settings), 0)
>>> block.listeners.height
25
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.simulation.catalog import MARKETS, SimulatedCatalog
from transforms.simulation.catalog_table import genre_names
from transforms.simulation.draws import child, geometric, uniform
from transforms.simulation.groups import groups_frame
from transforms.simulation.listening import Plays, chart_item, listen, shelf_item
from transforms.simulation.machines import machine_rows
from transforms.simulation.raw_log import add_dirt, bot_rows, clean_rows, delivered
from transforms.simulation.settings import SimulationSettings
from transforms.simulation.tastes import INTERESTS, MACHINES, Tastes, draw_tastes
from transforms.simulation.visits import CHART, SHELF, Visits, draw_visits

SHELF_ITEMS = 30
OLDER = "older-recommender"  # the version that impressions name: these shelves are not the pipeline's
_TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class SimulatedBlock:
    """What one block adds to the world.

    `log` and `late` hold the service's columns and `key`; the other frames are as in transforms/tables/schema.py.
    """

    log: pl.DataFrame
    late: pl.DataFrame
    listeners: pl.DataFrame
    feedback: pl.DataFrame
    impressions: pl.DataFrame
    blends: pl.DataFrame
    truth: pl.DataFrame
    counts: dict[str, int]


def simulate_block(settings: SimulationSettings, catalog: SimulatedCatalog, number: int) -> SimulatedBlock:
    """Everything about the listeners of one block."""
    tastes = draw_tastes(settings, catalog, settings.block(number))
    visits = draw_visits(settings, tastes)
    plays = listen(settings, catalog, tastes, visits)
    rows, counts = add_dirt(
        settings,
        clean_rows(settings, catalog, tastes, visits, plays),
        pl.concat([bot_rows(settings, catalog, tastes), machine_rows(settings, catalog, tastes)]),
    )
    return SimulatedBlock(
        log=delivered(rows, late=False),
        late=delivered(rows, late=True),
        listeners=listeners_frame(settings, tastes),
        feedback=feedback_frame(settings, catalog, tastes, visits, plays),
        impressions=impressions_frame(settings, catalog, tastes, visits, plays),
        blends=groups_frame(settings, tastes),
        truth=truth_frame(catalog, tastes),
        counts=counts,
    )


def _times(ms: np.ndarray) -> pl.Series:
    return pl.Series(ms * 1000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def listeners_frame(settings: SimulationSettings, tastes: Tastes) -> pl.DataFrame:
    """Table `listeners`, sorted by listener_id."""
    return (
        pl.DataFrame(
            {
                "listener_id": pl.Series(tastes.listener_id, dtype=pl.String),
                "market": pl.Series(MARKETS, dtype=pl.String).gather(tastes.market),
                "time_zone": pl.Series(tastes.time_zone, dtype=pl.String),
                "explicit_ok": tastes.explicit_ok,
                "joined_on": pl.Series((settings.first_day + tastes.joined).astype(np.int32)).cast(pl.Date),
            }
        )
        .with_columns(pl.when(pl.Series(tastes.explicit_known | ~tastes.explicit_ok)).then(pl.col("explicit_ok")))
        .sort("listener_id")
    )


def feedback_frame(
    settings: SimulationSettings, catalog: SimulatedCatalog, tastes: Tastes, visits: Visits, plays: Plays
) -> pl.DataFrame:
    """Table `feedback`: saves, likes and dislikes, follows of artists played often, blocks, and speakers left out."""
    key, row = plays.key, plays.row
    artist = catalog.artist_of[plays.track].astype(np.int64)
    pleased = plays.completed & (plays.match > 0)
    saves = pleased & (uniform(key, "save") < 0.01 + 0.15 * tastes.saver[row] * plays.fresh)
    likes = pleased & (uniform(key, "like") < 0.01)
    dislikes = plays.skipped & (plays.match < -0.5) & (uniform(key, "dislike") < 0.01)
    follows = _sixth(row * len(catalog.artist_id) + artist, plays.completed)
    pair = child(tastes.key[row], 3_000_000 + artist)
    follows &= uniform(pair, "follow") < 0.25
    tracks, artists = pl.Series(catalog.track_id, dtype=pl.String), pl.Series(catalog.artist_id, dtype=pl.String)
    people = pl.Series(tastes.listener_id, dtype=pl.String)
    ends = plays.started + plays.elapsed

    def acts(kind: str, mark: np.ndarray, targets: pl.Series, of: np.ndarray) -> pl.DataFrame:
        which = np.flatnonzero(mark)
        return pl.DataFrame(
            {
                "listener_id": people.gather(row[which]),
                "kind": pl.Series([kind] * len(which), dtype=pl.String),
                "target": targets.gather(of[which]),
                "at": _times(ends[which]),
            }
        )

    on_speaker = (visits.session_device[plays.session] == 2) & (uniform(tastes.key, "excludes") < 0.4)[row]
    high = settings.window_ms[1]
    return (
        pl.concat(
            [
                acts("save", saves, tracks, plays.track),
                acts("like", likes, tracks, plays.track),
                acts("dislike", dislikes, tracks, plays.track),
                acts("follow_artist", follows, artists, artist),
                acts("block_track", plays.blocks_track, tracks, plays.track),
                acts("block_artist", plays.blocks_artist, artists, artist),
                acts("exclude_from_taste", on_speaker, people + "-speaker", row),
            ]
        )
        .filter(pl.col("at") < pl.lit(high * 1000).cast(_TIME))
        .sort("listener_id", "at", "kind", "target")
        .unique(["listener_id", "kind", "target"], keep="first", maintain_order=True)
    )


def _sixth(code: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Marks the sixth counted play of each code."""
    mine = np.flatnonzero(counts)
    order = mine[np.argsort(code[mine], kind="stable")]
    first = np.searchsorted(code[order], code[order])
    out = np.zeros(len(code), dtype=bool)
    out[order[np.arange(len(order)) - first == 5]] = True
    return out


def impressions_frame(
    settings: SimulationSettings, catalog: SimulatedCatalog, tastes: Tastes, visits: Visits, plays: Plays
) -> pl.DataFrame:
    """Table `impressions`: a shelf that a session plays from was shown at its start; some are shown and not played."""
    sessions = np.unique(plays.session)
    row, day, key = visits.session_row[sessions], visits.session_day[sessions], visits.session_key[sessions]
    parts = []
    for kind, shelf_id, item, unplayed in (
        (SHELF, "discover-weekly", shelf_item, 0.15),
        (CHART, "popular-now", chart_item, 0.08),
    ):
        deepest = np.zeros(len(visits.session_row), dtype=np.int64)
        mine = plays.kind == kind
        np.maximum.at(deepest, plays.session[mine], plays.at[mine] + 1)
        played = deepest[sessions]
        shown = (played > 0) | (uniform(key, shelf_id) < unplayed)
        depth = np.maximum(played, np.minimum(1 + geometric(key, shelf_id + "/depth", 6.0), SHELF_ITEMS)) * shown
        which = np.repeat(np.arange(len(sessions)), depth)
        at = np.arange(len(which)) - np.repeat(np.cumsum(depth) - depth, depth)
        track = item(settings, catalog, tastes, row=row[which], day=day[which], at=at)
        able = catalog.playable(
            track, settings.first_day + day[which], tastes.market[row[which]], tastes.explicit_ok[row[which]]
        )
        which, at, track = which[able], at[able], track[able]
        parts.append(
            pl.DataFrame(
                {
                    "listener_id": pl.Series(tastes.listener_id, dtype=pl.String).gather(row[which]),
                    "surface": pl.Series(["home"] * len(which), dtype=pl.String),
                    "shelf_id": pl.Series([shelf_id] * len(which), dtype=pl.String),
                    "version": pl.Series([OLDER] * len(which), dtype=pl.String),
                    "track_id": pl.Series(catalog.track_id, dtype=pl.String).gather(track),
                    "position": (at + 1).astype(np.int32),
                    "item_or_spare": pl.Series(["item"] * len(which), dtype=pl.String),
                    "shown_at": _times(plays.session_start[sessions][which] - 3000),
                }
            )
        )
    low, high = (pl.lit(ms * 1000).cast(_TIME) for ms in settings.window_ms)
    return (
        pl.concat(parts)
        .filter(pl.col("shown_at").is_between(low, high, closed="left"))
        .sort("listener_id", "shown_at", "surface", "shelf_id", "position")
    )


def truth_frame(catalog: SimulatedCatalog, tastes: Tastes) -> pl.DataFrame:
    """The true tastes, one row a listener: everything `tastes.affinity` is made of. Null weight = not an interest."""
    own = slice(0, INTERESTS)
    genres = genre_names(len(catalog.genre_weight))
    artists = catalog.artist_id
    weights = [[w if np.isfinite(w) else None for w in r] for r in tastes.base[:, own].tolist()]
    return pl.DataFrame(
        {
            "listener_id": pl.Series(tastes.listener_id, dtype=pl.String),
            "bot": tastes.bot,
            "machine": pl.Series([MACHINES[m] if m >= 0 else None for m in tastes.machine.tolist()], dtype=pl.String),
            "genres": [[genres[g] for g in r] for r in tastes.genre[:, own].tolist()],
            "log_weights": pl.Series(weights, dtype=pl.List(pl.Float64)),
            "drift": pl.Series(tastes.drift[:, own].tolist(), dtype=pl.List(pl.Float64)),
            "interests": pl.Series(tastes.interest[:, own].tolist(), dtype=pl.List(pl.List(pl.Float32))),
            "favourite_artists": [[[artists[a] for a in k] for k in r] for r in tastes.favourites[:, own].tolist()],
            "novelty": tastes.novelty,
            "patience": tastes.patience,
            "activity": tastes.activity,
            "left_on_day": tastes.left,
        }
    ).sort("listener_id")
