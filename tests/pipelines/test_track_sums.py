"""Co-listens and track statistics added up by shards of tracks: the bits of adding them up in one process."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.recommender.histories import tagged
from pipelines.recommender.track_sums import PAIRS, RECENT, STATS, TrackSums, put_together
from tests.pipelines.tiny import put
from transforms.listening import co_listens, track_stats
from transforms.listening.co_listens import CoListenSettings
from transforms.listening.track_stats import TrackStatsSettings
from transforms.tables.as_of import as_of
from transforms.tables.schema import TABLES
from transforms.tables.specs import specs
from transforms.tables.warehouse import Warehouse

LAST, DAYS, TRACKS = date(2026, 1, 31), 9, 40
TABLE = {PAIRS: "co_listens", STATS: "track_stats", RECENT: "track_stats"}


def rows(table: str, day: date) -> pl.DataFrame:
    """A day's partial with any counts, unique in its key; half of all pairs and tracks are in it."""
    draw = np.random.default_rng([day.toordinal(), len(table)])
    ids = [f"t{n}" for n in range(TRACKS)]
    if table == "co_listens":
        keys = [(min(a, b), max(a, b)) for n, a in enumerate(ids) for b in ids[n:]]
    else:
        keys = [(a, market) for a in ids for market in ("", "SE", "de")]
    kept = [key for key in keys if draw.random() < 0.5]
    names = TABLES[table].key
    frame = pl.DataFrame(kept, schema=list(names), orient="row")
    counts = [c for c in TABLES[table].polars if c not in names]
    return frame.with_columns(pl.Series(c, draw.integers(0, 10**9, frame.height)) for c in counts)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Nine days, the first of them written when there were fewer shards."""
    made = Warehouse(str(tmp_path))
    for n in range(DAYS):
        day = LAST - timedelta(n)
        for table in set(TABLE.values()):
            put(made, table, day, rows(table, day), shards=2 if n > 5 else 8)
    return made


@pytest.mark.parametrize("shards", [1, 8, 16])
def test_the_sums_have_the_bits_of_one_process(warehouse: Warehouse, shards: int) -> None:
    past, pairs, popular = (
        as_of(warehouse.url, LAST),
        CoListenSettings(window_days=8),
        TrackStatsSettings(window_days=7),
    )
    work = TrackSums(LAST, pairs, popular)
    found = {table: past.window(table, 20) for table in set(TABLE.values())}
    examples = [s for spec in reversed(list(specs(warehouse, shards, found))) for s in work.of_shard(spec)]
    assert len(examples) >= 3 * min(shards, 8) - 3, "the shards take part"
    dated = {table: [(m.date, warehouse.read_manifest(m)) for m in of_table] for table, of_table in found.items()}
    whole = {
        PAIRS: co_listens.sum_window(dated["co_listens"], LAST, pairs.half_life_days, 8),
        STATS: track_stats.sum_window(dated["track_stats"], LAST, popular.half_life_days, 7),
        RECENT: track_stats.sum_window(dated["track_stats"], LAST, popular.recent_half_life_days, 7),
    }
    for tag, expected in whole.items():
        assert expected.height and expected[expected.columns[-1]].dtype == pl.Float64
        assert_frame_equal(put_together(tagged(examples, tag), tag), expected, check_exact=True)


def test_nothing_listened_to_gives_empty_sums_with_their_columns() -> None:
    for tag, table in TABLE.items():
        assert put_together([], tag).columns == list(TABLES[table].polars) and put_together([], tag).is_empty()
