"""The source `rediscover`: what was loved and rests, above what was skipped; nothing that is still played."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from tests.transforms.candidates.worlds import (
    NIGHT,
    ROSTER,
    blocks_of,
    catalog_of,
    default_sources,
    learned_from,
    listens,
)
from transforms.candidates.reasons import explain
from transforms.candidates.rediscover import Rediscover
from transforms.candidates.settings import SourceSettings
from transforms.candidates.union import retrieve_block

LATER = date(2024, 4, 10)
DAYS = {("ann", 8): ["a", "b", "c"], ("ann", 9): ["a", "b"], ("ann", 10): ["a", "d"], ("bob", 8): ["a", "c"]}
PLAYS = listens(DAYS)
CATALOG = catalog_of(PLAYS)
ANN = ROSTER.index("ann")


def listed(source: Rediscover, plays: pl.DataFrame = PLAYS, as_of: date = LATER) -> list[str]:
    block = blocks_of(plays, CATALOG, as_of)[0]
    found = source.score(block).top(10, None)
    return [CATALOG.track_ids[i] for i in found.items[found.rows == ANN]]


def test_tracks_that_rest_are_ordered_by_activation() -> None:
    # three plays of a, two of b, then one of d and an older one of c
    assert listed(Rediscover(rest_days=28)) == ["a", "b", "d", "c"]


def test_what_was_heard_lately_does_not_rest() -> None:
    assert listed(Rediscover(rest_days=28), as_of=NIGHT) == []
    week = date(2024, 3, 16)  # a and d were heard 6.7 days before its end
    assert listed(Rediscover(rest_days=28), as_of=week) == ["b", "c"]


def test_tracks_rest_for_a_quarter_of_the_history_within_bounds() -> None:
    early = PLAYS.with_columns(
        started_at=pl.col("started_at").dt.offset_by("-3mo"), date=pl.col("date").dt.offset_by("-3mo")
    )
    plays = pl.concat([early.filter(track_id="b"), PLAYS.filter(track_id="a")])
    assert "a" not in listed(Rediscover(rest_days=28), plays, date(2024, 3, 31))  # rests for 28 of 114 days, not 7
    assert "a" in listed(Rediscover(rest_days=28), PLAYS, date(2024, 3, 31))  # a history of 23 days: 7


def test_who_hears_the_same_tracks_every_few_days_has_left_one_alone_sooner() -> None:
    """Ann's history is of 112 days at the end of 1 July; b was last heard nine days before."""
    weekly = [f"2024-06-{day:02}" for day in range(2, 31, 4)]

    def plays(tracks: str) -> pl.DataFrame:
        again = PLAYS.filter(track_id="d")
        rows = [
            again.with_columns(
                track_id=pl.lit(track),
                started_at=pl.lit(day).str.to_datetime(time_unit="us", time_zone="UTC"),
                date=pl.lit(day).str.to_date(),
            )
            for track in tracks
            for day in weekly
            if track != "b" or day < "2024-06-23"
        ]
        return pl.concat([PLAYS.filter(track_id="a"), *rows]).unique(["listener_id", "track_id", "started_at"])

    night = date(2024, 7, 1)
    assert "b" in listed(Rediscover(rest_days=28), plays("bde"), night), "half of what is heard again was within 9 days"
    assert "b" not in listed(Rediscover(rest_days=28), plays("b"), night), "a was heard again too, and 113 days before"


def test_what_was_skipped_is_not_missed() -> None:
    skipped = PLAYS.with_columns(
        ms_played=pl.when(pl.col("track_id") == "b").then(31_000), skipped=pl.col("track_id") == "b"
    )
    assert listed(Rediscover(rest_days=28), skipped) == ["a", "d", "c", "b"]


def test_it_adds_heard_tracks_beyond_those_of_the_library_and_names_no_other() -> None:
    learned, block = learned_from(PLAYS, CATALOG), blocks_of(PLAYS, CATALOG, LATER)[0]
    found = retrieve_block(block, CATALOG, default_sources(learned, CATALOG, LATER), k=1)
    ann = found.filter(pl.col("listener_id") == "ann", pl.col("rank_rediscover").is_not_null())
    assert ann["track_id"].to_list() == ["a"] and ann["heard_before"].all()
    explained = explain(block, CATALOG, default_sources(learned, CATALOG, LATER), ann)
    assert explained.select("source", "reason", "reason_ref").row(0) == ("rediscover", "not_heard_lately", "a")


def test_beside_what_is_played_all_the_time_it_gives_no_reason_for_what_the_library_found_too() -> None:
    learned, block = learned_from(PLAYS, CATALOG), blocks_of(PLAYS, CATALOG, LATER)[0]
    sources = default_sources(learned, CATALOG, LATER)
    found = retrieve_block(block, CATALOG, sources, k=300).filter(pl.col("rank_rediscover") == 1)
    found = found.filter(listener_id="ann").with_columns(rank_library=pl.lit(2, pl.Int32))
    alone = found.with_columns(pl.lit(None, pl.Int32).alias(c) for c in found.columns if c == "rank_library")

    def explained(rows: pl.DataFrame, rests: bool) -> str:
        return explain(block, CATALOG, sources, rows.with_columns(rests=pl.lit(rests))).row(0, named=True)["source"]

    assert explained(found, rests=False) == "library" and explained(found, rests=True) == "rediscover"
    assert explained(alone, rests=False) == "rediscover", "nothing else found it"


def test_a_limit_and_a_switch() -> None:
    assert listed(Rediscover(rest_days=28, most=2)) == ["a", "b"]
    learned = learned_from(PLAYS, CATALOG)
    assert "rediscover" not in [
        s.name for s in default_sources(learned, CATALOG, LATER, settings=SourceSettings(rediscover=False))
    ]
    rows = Rediscover(rest_days=28).explain(blocks_of(PLAYS, CATALOG, LATER)[0], np.int32([ANN]), np.int32([2]))
    assert rows.tolist() == [2]
