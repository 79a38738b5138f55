"""The log as a service would export it: its own column names, and as dirty as real ones.

Added to the clean plays: exact duplicates, near duplicates (the same play one to four seconds later), events dated
after the end, broken lines (csv only) and bots that play more than a day holds. Plays of some sessions (a phone
without a network) are delivered later, in a file apart. How much of each was added is counted, so that a reader can
be checked.

    user,track,ts,ms_played,reason_end,skipped,finished,source,shelf,device,shuffle,platform,country
    u9c...,t41...,1769817600000,201333,trackdone,false,true,album,,u9c...-0,false,ios,SE
"""

from __future__ import annotations

import numpy as np
import polars as pl

from transforms.simulation.catalog import MARKETS, SimulatedCatalog
from transforms.simulation.draws import child, pick, uniform
from transforms.simulation.listening import Plays
from transforms.simulation.settings import DAY_MS, SimulationSettings
from transforms.simulation.tastes import PLATFORMS, Tastes
from transforms.simulation.visits import CHART, SHELF, Visits

COLUMNS = {
    "user": pl.String,
    "track": pl.String,
    "ts": pl.Int64,
    "ms_played": pl.Int32,
    "reason_end": pl.String,
    "skipped": pl.Boolean,
    "finished": pl.Boolean,
    "source": pl.String,
    "shelf": pl.String,
    "device": pl.String,
    "shuffle": pl.Boolean,
    "platform": pl.String,
    "country": pl.String,
}
MAPPING = {
    "listener_id": "user",
    "track_id": "track",
    "started_at": "ts",
    "ms_played": "ms_played",
    "skipped": "skipped",
    "completed": "finished",
    "context": "source",
    "shelf_id": "shelf",
    "device_id": "device",
    "shuffle": "shuffle",
    "platform": "platform",
    "country": "country",
}
SOURCES = ("album", "artist", "radio", "library", "shelf", "shelf")
BROKEN_KINDS = 6


def clean_rows(
    settings: SimulationSettings, catalog: SimulatedCatalog, tastes: Tastes, visits: Visits, plays: Plays
) -> pl.DataFrame:
    """The plays under the service's column names, with columns `key` (uint64) and `late` (bool) for what follows."""
    session, row = plays.session, plays.row
    device = visits.session_device[session]
    platform = np.where(device == 2, len(PLATFORMS) - 1, tastes.platform[row, np.minimum(device, 1)])
    # Televisions send neither lengths nor skips.
    silent = platform == PLATFORMS.index("tv")
    known = pl.Series("known", ~silent)
    abroad = uniform(visits.session_key, "abroad") < 0.02
    away = np.where(
        abroad, pick(visits.session_key, "country", np.ones(len(MARKETS))), tastes.market[visits.session_row]
    )
    reason = np.where(plays.skipped, 1, np.where(plays.completed, 0, 2))
    shelf = np.where(plays.kind == SHELF, 1, np.where(plays.kind == CHART, 2, 0))
    shuffle = (uniform(visits.session_key, "shuffle")[session] < 0.3) & np.isin(plays.kind, (1, 2, 3))
    offline = uniform(visits.session_key, "offline") < settings.dirt.late_sessions
    late_before = settings.window_ms[1] - 2 * DAY_MS
    return pl.DataFrame(
        {
            "user": pl.Series(tastes.listener_id, dtype=pl.String).gather(row),
            "track": pl.Series(catalog.track_id, dtype=pl.String).gather(plays.track),
            "ts": plays.started,
            "ms_played": pl.Series(plays.elapsed.astype(np.int32)),
            "reason_end": pl.Series(("trackdone", "fwdbtn", "endplay"), dtype=pl.String).gather(reason),
            "skipped": plays.skipped,
            "finished": plays.completed,
            "source": pl.Series(SOURCES, dtype=pl.String).gather(plays.kind),
            "shelf": pl.Series((None, "discover-weekly", "popular-now"), dtype=pl.String).gather(shelf),
            "device": pl.Series(tastes.listener_id, dtype=pl.String).gather(row)
            + pl.Series(("-0", "-1", "-speaker"), dtype=pl.String).gather(device),
            "shuffle": shuffle,
            "platform": pl.Series(PLATFORMS, dtype=pl.String).gather(platform),
            "country": pl.Series(MARKETS, dtype=pl.String).gather(away[session]),
            "key": plays.key,
            "late": offline[session] & (plays.started < late_before),
        }
    ).with_columns(
        pl.when(known).then(pl.col("ms_played")),
        pl.when(known).then(pl.col("skipped")),
        pl.when(known).then(pl.col("finished")),
        pl.when(known).then(pl.col("reason_end")),
    )


def bot_rows(settings: SimulationSettings, catalog: SimulatedCatalog, tastes: Tastes) -> pl.DataFrame:
    """What the block's bots add: on up to three days, one track after another of a single artist, several at a time."""
    bots = np.flatnonzero(tastes.bot)
    days = min(3, settings.days)
    plays = settings.dirt.bot_plays
    row = np.repeat(bots, days * plays)
    nth = np.tile(np.arange(days * plays), len(bots))
    key = child(child(tastes.key[row], 2_000_000), nth)
    artist = tastes.favourites[row, 0, 0]
    back = np.floor(uniform(tastes.key[row], "bot day") * (settings.days - days + 1)).astype(np.int64)
    first = settings.days - 1 - back
    day = settings.first_day + np.maximum(first - nth // plays, 0)
    track = catalog.track_of_artist(key, "bot", artist)
    within = (nth % plays + uniform(key, "bot second")) * DAY_MS / plays
    return pl.DataFrame(
        {
            "user": pl.Series(tastes.listener_id, dtype=pl.String).gather(row),
            "track": pl.Series(catalog.track_id, dtype=pl.String).gather(track),
            "ts": day * DAY_MS + within.astype(np.int64),
            "ms_played": pl.Series(np.maximum(catalog.duration_ms[track], 150_000).astype(np.int32)),
            "reason_end": pl.Series(["trackdone"] * len(row), dtype=pl.String),
            "skipped": np.zeros(len(row), dtype=bool),
            "finished": np.ones(len(row), dtype=bool),
            "source": pl.Series(["artist"] * len(row), dtype=pl.String),
            "shelf": pl.Series([None] * len(row), dtype=pl.String),
            "device": pl.Series(tastes.listener_id, dtype=pl.String).gather(row) + "-b",
            "shuffle": np.zeros(len(row), dtype=bool),
            "platform": pl.Series(["web"] * len(row), dtype=pl.String),
            "country": pl.Series(MARKETS, dtype=pl.String).gather(tastes.market[row]),
            "key": key,
            "late": np.zeros(len(row), dtype=bool),
        }
    )


def add_dirt(
    settings: SimulationSettings, clean: pl.DataFrame, bots: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Add dirty rows; column `kind` says what a row is (clean, bot, duplicate, near_duplicate, future).

    Returns:
        The rows, unordered, and how many there are of each kind, late ones counted again under `late`.
    """
    dirt = settings.dirt
    base = pl.concat([clean.with_columns(kind=pl.lit("clean")), bots.with_columns(kind=pl.lit("bot"))])
    key = base["key"].to_numpy()
    second = 1000 + (uniform(key, "near by") * 3000).astype(np.int64)
    beyond = DAY_MS + (uniform(key, "future by") * 400 * DAY_MS).astype(np.int64)
    ahead = settings.window_ms[1] - base["ts"].to_numpy() + beyond
    near = base.with_columns(
        kind=pl.lit("near_duplicate"), ts=pl.col("ts") + pl.Series(second), ms_played=pl.col("ms_played") // 2
    )
    future = base.with_columns(kind=pl.lit("future"), ts=pl.col("ts") + pl.Series(ahead))
    rows = pl.concat(
        [
            base,
            base.with_columns(kind=pl.lit("duplicate")).filter(uniform(key, "duplicate") < dirt.duplicates),
            near.filter(pl.Series(uniform(key, "near") < dirt.near_duplicates) & (base["kind"] == "clean")),
            future.filter(pl.Series(uniform(key, "future") < dirt.future) & (base["kind"] == "clean")),
        ]
    )
    counts = dict.fromkeys(("clean", "bot", "duplicate", "near_duplicate", "future"), 0)
    counts |= dict(rows.group_by("kind").len().iter_rows())
    return rows, counts | {"late": int(rows["late"].sum())}


def delivered(rows: pl.DataFrame, late: bool) -> pl.DataFrame:
    """The rows of one delivery in the order of the log: by time."""
    return (
        rows.filter(pl.col("late") == late)
        .sort("ts", "user", "track", "kind", "key", maintain_order=True)
        .select(*COLUMNS, "key")
    )


def csv_lines(settings: SimulationSettings, rows: pl.DataFrame, late: bool) -> tuple[bytes, int]:
    """The rows as csv with a header, broken lines among them, and the number of broken lines."""
    cells = [pl.col(name).cast(pl.String).fill_null("") for name in COLUMNS]
    line = rows.select(line=pl.concat_str(cells, separator=","))["line"]
    purpose = "broken late" if late else "broken"
    key = rows["key"].to_numpy()
    mine = np.flatnonzero(uniform(key, purpose) < settings.dirt.broken)
    part = rows[mine]
    tail = line.gather(mine).str.splitn(",", 4).struct.field("field_3")
    head = [part["user"], part["track"], part["ts"].cast(pl.String)]
    how = (uniform(key[mine], "how") * BROKEN_KINDS).astype(np.int64)
    forms = [
        line.gather(mine).str.slice(0, 21),
        "," + head[1] + "," + head[2] + "," + tail,
        head[0] + ",," + head[2] + "," + tail,
        head[0] + "," + head[1] + ",N/A," + tail,
        pl.Series(["#### log rotated ####"] * len(mine), dtype=pl.String),
        line.gather(mine) + ",,,left over",
    ]
    broken = pl.concat([form.filter(pl.Series(how == k)).alias("line") for k, form in enumerate(forms)])
    after = np.concatenate([mine[how == k] for k in range(BROKEN_KINDS)]) if len(mine) else mine
    order = np.argsort(np.concatenate([np.arange(len(line)), after]), kind="stable")
    lines = pl.concat([line, broken.cast(pl.String)]).gather(order)
    body = "\n".join([",".join(COLUMNS), *lines.to_list(), ""])
    return body.encode(), len(mine)
