"""What the cold-start benchmark takes away, and what it then asks: ten rows are enough to say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from tests.benchmarks.cold_start import Log, as_plays, held_out, known_of, latest, lists_of, report, thinned
from tests.benchmarks.real_splits import Split
from tests.benchmarks.real_tables import cold_markdown
from transforms.tables.chunks import Chunk
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse

NIGHT = date(2026, 1, 10)


def listens(rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    """Plays of unknown length: listener, track, hours before the night's end."""
    end = datetime(2026, 1, 11, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "listener_id": [r[0] for r in rows],
            "track_id": [r[1] for r in rows],
            "started_at": [end - timedelta(hours=r[2]) for r in rows],
        },
        schema_overrides={"started_at": pl.Datetime("us", "UTC")},
    )
    empty = TABLES["listens"].empty()
    return pl.concat([empty, frame], how="diagonal_relaxed").with_columns(late=pl.lit(False))


def names(tracks: str) -> pl.DataFrame:
    """Every track its own recording, but `y2`, another version of `y`."""
    ids = tracks.split()
    return pl.DataFrame({"track_id": ids, "recording_id": [i[0] for i in ids]})


def log_of(rows: list[tuple[str, str, int]], targets: dict[str, pl.DataFrame] | None = None) -> Log:
    """A night's log without a warehouse."""
    before = listens(rows)
    known = names("x y y2 z")
    plays = as_plays(before, known)
    heard = plays.filter("heard").select("listener_id", "item").unique()
    return Log(Split("", "", NIGHT, 7), before, plays, heard, targets or {}, known)


def test_the_latest_plays_of_each_listener_are_kept() -> None:
    log = listens([("ann", "x", 3), ("ann", "y", 2), ("ann", "z", 1), ("bob", "x", 9)])
    kept = latest(log, 2)
    assert kept.group_by("listener_id").agg(pl.col("track_id").sort()).sort("listener_id").rows() == [
        ("ann", ["y", "z"]),
        ("bob", ["x"]),
    ]
    assert latest(log, 0).is_empty()
    assert latest(log, None).equals(log)


def test_plays_at_one_moment_are_kept_alike_whatever_the_order_of_the_log() -> None:
    log = listens([("ann", t, 1) for t in "xyz"])
    assert latest(log, 1)["track_id"].to_list() == latest(log.reverse(), 1)["track_id"].to_list()


def test_a_recordings_audience_is_cut_over_all_its_versions() -> None:
    log = listens([("ann", "y", 1), ("ann", "y2", 2), ("bob", "y2", 3), ("cat", "y", 4), ("cat", "x", 5)])
    for audience in (0, 1, 2, 3):
        left = thinned(log, names("x y y2"), pl.Series(["y"]), audience)
        assert left.filter(pl.col("track_id") != "x")["listener_id"].n_unique() == audience
        assert "x" in left["track_id"].to_list()
    two = set(thinned(log, names("x y y2"), pl.Series(["y"]), 2)["listener_id"]) - {"cat"}
    one = set(thinned(log, names("x y y2"), pl.Series(["y"]), 1)["listener_id"]) - {"cat"}
    assert one <= two, "a larger audience contains the smaller one"


def test_only_tracks_with_more_than_five_listeners_are_held_out() -> None:
    rows = [(f"l{i}", "x", 1 + i) for i in range(6)] + [(f"l{i}", "y", 20 + i) for i in range(5)]
    assert held_out(log_of(rows)).to_list() == ["x"]


def test_scoring_is_told_the_kept_plays_and_nothing_else(tmp_path) -> None:
    log = listens([("ann", "x", 30), ("ann", "y", 2), ("bob", "z", 1)])
    tracks = TABLES["tracks"].empty()
    chunk = known_of(Warehouse(str(tmp_path)), NIGHT, latest(log, 1), tracks, whole=False)
    assert chunk["library"].select("listener_id", "track_id", "plays").rows() == [("ann", "y", 1), ("bob", "z", 1)]
    assert chunk["sessions"]["plays"].to_list() == [1, 1]
    nothing = known_of(Warehouse(str(tmp_path)), NIGHT, latest(log, 0), tracks, whole=False)
    assert nothing["library"].is_empty() and nothing["sessions"].is_empty()


def test_what_the_whole_log_knows_is_taken_out_of_unheard_lists_only() -> None:
    log = log_of([("ann", "x", 5)])
    candidates = pl.DataFrame(
        {
            "listener_id": ["ann", "ann"],
            "track_id": ["x", "z"],
            "heard_before": [False, False],  # the truncated history does not know x
            "ranker_score": [0.9, 0.1],
            "rank_als": [1, 2],
            "score_als": [2.0, 1.0],
        }
    )
    track = pl.struct(track_id=pl.lit("x"))
    shelves = pl.DataFrame({"listener_id": ["ann"], "shelf_id": ["discover-weekly"]}).with_columns(
        items=pl.concat_list(track), spares=pl.concat_list(track).list.head(0)
    )
    lists = lists_of(log, [Chunk(0, {"candidates": candidates, "shelves": shelves})])
    assert lists["ranker", "unheard"]["item"].to_list() == ["z"]
    assert lists["shelf:discover-weekly", "unheard"].is_empty()
    assert lists["shelf:discover-weekly", "all"]["item"].to_list() == ["x"]


def test_popularity_knows_the_thinned_log() -> None:
    log = log_of([("ann", "x", 1), ("bob", "x", 2), ("bob", "y", 3), ("cat", "y", 4), ("cat", "z", 5), ("dan", "y", 6)])
    without = log.popular(as_plays(thinned(log.before, log.names, pl.Series(["y"]), 0), log.names))
    assert "y" not in without["all"]["item"].to_list()
    first = log.popular(log.plays)["all"].filter(pl.col("rank") == 1)
    assert set(first["item"]) == {"y"}
    unheard = log.popular(log.plays)["unheard"]
    assert unheard.join(log.heard, on=["listener_id", "item"], how="semi").is_empty()


def test_a_listener_without_a_list_counts_as_zero_and_the_gap_is_paired() -> None:
    wanted = pl.DataFrame({"listener_id": ["ann", "bob"], "item": ["x", "z"]})
    ours = pl.DataFrame({"listener_id": ["ann"], "item": ["x"], "rank": [1]})
    popular = pl.DataFrame({"listener_id": ["ann", "bob"], "item": ["y", "z"], "rank": [1, 1]})
    lines: list[dict[str, object]] = []

    def say(**line: object) -> None:
        lines.append({"set": "s", "cut": "c", "part": "listeners", "kept": 0, "metric": "ndcg@50"} | line)

    report({("ranker", "unheard"): ours}, {"unheard": popular}, {"unheard": wanted}, "ndcg@50", say)
    assert lines[1]["value"][0] == pytest.approx(0.5) and lines[1]["n"] == 2  # type: ignore[index]
    assert lines[1]["gap"][0] == pytest.approx(0.0)  # type: ignore[index]
    assert "| unheard | ranker | .5000" in cold_markdown(lines)
