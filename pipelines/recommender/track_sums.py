"""A window's co-listens and track statistics, added up shard by shard of tracks, for the fit to put together.

    sums = TrackSums(day, settings.co_listens, settings.track_stats)
    examples = [example for spec in specs(...) for example in sums.of_shard(spec)]
    put_together(tagged(examples, PAIRS), PAIRS)       track_a, track_b and the counts of the window

Both tables are split by a track, so a pair's days are all in one shard: each shard is added up by a worker of its own, which
holds a few dates of it, and what leaves it is a row a pair instead of a row a pair and date. The days of a pair are added in the
same order as in one process, so the sums have the same bits whatever the number of shards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import polars as pl

from pipelines.recommender.histories import Example
from transforms.listening import co_listens, track_stats
from transforms.listening.co_listens import CoListenSettings
from transforms.listening.track_stats import TrackStatsSettings
from transforms.tables.chunks import Part, Spec, shard_of
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

PAIRS, STATS, RECENT = b"C", b"T", b"R"
Sum = Callable[..., pl.DataFrame]


@dataclass(frozen=True)
class TrackSums:
    """How a window is added up. Picklable.

    Attributes:
        day: the last date that counts.
    """

    day: date
    pairs: CoListenSettings
    popularity: TrackStatsSettings

    def of_shard(self, spec: Spec) -> list[Example]:
        """The sums of a shard of tracks behind their tags; none of what it has no rows of."""
        co, popular = self.pairs, self.popularity
        asked: Mapping[bytes, tuple[str, Sum, float | None, int]] = {
            PAIRS: ("co_listens", co_listens.sum_window, co.half_life_days, co.window_days),
            STATS: ("track_stats", track_stats.sum_window, popular.half_life_days, popular.window_days),
            RECENT: ("track_stats", track_stats.sum_window, popular.recent_half_life_days, popular.window_days),
        }
        made = {tag: add(_dated(spec, table), self.day, half, days) for tag, (table, add, half, days) in asked.items()}
        return [(tag, frame) for tag, frame in made.items() if frame.height]


def put_together(frames: Sequence[pl.DataFrame], tag: bytes) -> pl.DataFrame:
    """The sums of all shards, sorted by their key: the same whatever order the shards came in."""
    key, add = (co_listens.KEY, co_listens.sum_window) if tag == PAIRS else (track_stats.KEY, track_stats.sum_window)
    return pl.concat([add([], date.min), *frames]).sort(key)


def _dated(spec: Spec, table: str) -> list[tuple[date, Callable[[], pl.DataFrame]]]:
    """The shard's rows of a table, date by date, read when they are asked for."""
    by_day: dict[date, list[Part]] = {}
    for part in spec.parts[table]:
        by_day.setdefault(part.day, []).append(part)
    return [(day, partial(_read, spec, table, parts)) for day, parts in by_day.items()]


def _read(spec: Spec, table: str, parts: Sequence[Part]) -> pl.DataFrame:
    warehouse, by = Warehouse(spec.warehouse), str(TABLES[table].sharded_by)
    frames = []
    for part in parts:
        rows = warehouse.read_path(part.path)
        if part.shards < spec.shards:  # the table was written in fewer shards
            rows = rows.filter(pl.Series(shard_of(rows[by], spec.shards) == spec.shard)) if rows.height else rows
        frames.append(rows)
    return pl.concat(frames, how="diagonal")
