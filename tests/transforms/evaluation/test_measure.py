"""Evaluation of a night: its lists, the targets, and a summary whose numbers can be checked by hand."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from transforms.common.sample import in_sample
from transforms.evaluation.facts import MeasureFacts
from transforms.evaluation.measure import (
    add_popularity,
    credits_of,
    history_segment,
    measure,
    night_lists,
    of_target,
    popularity_partial,
    wanted,
)
from transforms.evaluation.summary import summarise
from transforms.tables.schema import TABLES

NIGHT = date(2026, 1, 10)
RECORDINGS = pl.DataFrame({"track_id": ["a", "a-remaster", "b", "c", "d"], "recording_id": ["A", "A", "B", "C", "D"]})
FACTS = MeasureFacts(
    recordings=RECORDINGS,
    popularity=pl.DataFrame({"item": ["A", "B", "C"], "listeners": [1, 3, 1]}),
    credits=pl.DataFrame({"item": ["A", "B", "C"], "artist_id": ["x", "y", "y"]}),
    listeners=3,
)
HEARD = pl.DataFrame({"listener_id": ["ann", "bob", "bob"], "item": ["B", "B", "C"]})
SEGMENTS = pl.DataFrame({"listener_id": ["ann", "bob"], "segment": ["history 1-49", "history 50-249"]})


def frame(table: str, rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=TABLES[table].polars)


def listens(*plays: tuple[str, str, int]) -> pl.DataFrame:
    """(listener, track, days after the night)."""
    noon = datetime(2026, 1, 10, 12, tzinfo=UTC)
    return frame(
        "listens",
        [
            {"listener_id": who, "track_id": t, "started_at": noon + timedelta(days=d), "ms_played": 99_000}
            for who, t, d in plays
        ],
    )


AFTER = listens(("ann", "a-remaster", 1), ("ann", "d", 2), ("ann", "b", 3), ("bob", "c", 1), ("bob", "a", 9))
CANDIDATES = pl.DataFrame(
    {
        "listener_id": ["ann", "ann", "ann", "bob", "bob"],
        "track_id": ["c", "a", "b", "b", "c"],
        "heard_before": [False, False, True, True, True],
        "ranker_score": [0.9, 0.8, 0.7, 0.6, 0.5],
        "rank_als": [2, 1, None, 1, 2],
        "score_als": [0.1, 0.9, 0.0, 0.4, 0.2],
        "score_popular": [0.5, 0.5, 0.5, 0.3, 0.9],
    },
    schema_overrides={"rank_als": pl.Int32},
)


def test_targets_by_recording_known_and_within_the_days() -> None:
    targets = wanted(AFTER, HEARD, FACTS, NIGHT, 7)
    assert targets.rows() == [
        ("ann", "A", False, True),  # the remaster counts for the recording
        ("ann", "B", True, True),
        ("ann", "D", False, False),  # nobody had it by the night
        ("bob", "C", True, True),
    ]
    assert of_target(targets, "unheard")["item"].to_list() == ["A"]
    assert of_target(targets, "repeat")["item"].to_list() == ["B", "C"]
    assert of_target(targets, "all")["item"].to_list() == ["A", "B", "C"]


def test_lists_of_ranker_blend_sources_and_shelves() -> None:
    item = [{"track_id": "a", "position": 1}]
    shelves = frame(
        "shelves",
        [
            {
                "listener_id": "ann",
                "shelf_id": "discover-weekly",
                "items": item,
                "spares": [{"track_id": "c", "position": 2}],
            },
            {"listener_id": "bob", "shelf_id": "discover-weekly", "items": [], "spares": []},
            {"listener_id": "bob", "shelf_id": "on-repeat", "items": item, "spares": []},
        ],
    )
    lists = night_lists(CANDIDATES, shelves)
    assert lists["ranker", "unheard"].rows() == [("ann", "c", 1), ("ann", "a", 2)]
    assert lists["ranker", "all"].filter(listener_id="ann")["track_id"].to_list() == ["c", "a", "b"]
    assert lists["source:als", "unheard"].rows() == [("ann", "a", 1), ("ann", "c", 2)]
    # als sets ann's two apart, popular does not: the sum follows als
    assert lists["blend", "unheard"]["track_id"].to_list() == ["a", "c"]
    stored = CANDIDATES.with_columns(f_blend=pl.when(pl.col("track_id") == "c").then(9.0).otherwise(0.0))
    assert night_lists(stored, None)["blend", "unheard"]["track_id"].to_list() == ["c", "a"], "the night's own sum"
    assert lists["shelf:discover-weekly", "unheard"].rows() == [("ann", "a", 1), ("ann", "c", 2)]
    assert lists["shelf:on-repeat", "repeat"].rows() == [("bob", "a", 1)]
    assert ("shelf:on-repeat", "unheard") not in lists


def test_over_new_and_old_together_the_ranker_stands_by_its_probabilities() -> None:
    scored = CANDIDATES.with_columns(p_listened=pl.Series([0.1, 0.2, 0.3, 0.4, 0.5]))
    lists = night_lists(scored, None)
    assert lists["ranker", "all"].filter(listener_id="ann")["track_id"].to_list() == ["b", "a", "c"]
    assert lists["ranker", "unheard"].rows() == [("ann", "c", 1), ("ann", "a", 2)]


def test_a_night_without_a_ranker_is_measured_without_one() -> None:
    bare = CANDIDATES.with_columns(ranker_score=pl.lit(None, dtype=pl.Float32))
    targets = wanted(AFTER, HEARD, FACTS, NIGHT, 7)
    summary = summarise(*measure(night_lists(bare, None), targets, HEARD, SEGMENTS, FACTS), {}, FACTS, draws=100)
    assert set(summary["model"]) == {"blend", "source:als", "targets"}


def test_targets_without_a_list_score_zero() -> None:
    targets = pl.DataFrame({"listener_id": ["ann", "cat"], "item": ["A", "A"], "heard_before": False, "known": True})
    rows, _ = measure(night_lists(CANDIDATES, None), targets, HEARD, SEGMENTS, FACTS)
    found = rows.filter(model="source:als", target="unheard").sort("listener_id")
    assert found["ndcg@50"].to_list() == [1.0, 0.0]
    assert found["segment"].to_list() == ["history 1-49", "history 0"]


def test_measured_by_hand() -> None:
    targets = wanted(AFTER, HEARD, FACTS, NIGHT, 7)
    rows, exposures = measure(night_lists(CANDIDATES, None), targets, HEARD, SEGMENTS, FACTS)
    summary = summarise(rows, exposures, {"unheard": "blend"}, FACTS, draws=200)
    TABLES["evaluation"].conform(summary)

    def value(model: str, target: str, metric: str, versus: str | None = None, segment: str = "all") -> dict:
        found = summary.filter(
            pl.col("versus").eq_missing(pl.lit(versus, dtype=pl.String)),
            model=model,
            target=target,
            metric=metric,
            segment=segment,
        )
        return found.row(0, named=True)

    # ann's one unheard, known target is A; the ranker has it second, als first; bob has none and does not count
    assert value("ranker", "unheard", "ndcg@50")["value"] == pytest.approx(1 / math.log2(3))
    assert value("source:als", "unheard", "ndcg@50")["value"] == 1.0
    assert value("ranker", "unheard", "ndcg@50")["n"] == 1
    assert value("ranker", "unheard", "ndcg@50", "blend")["value"] == pytest.approx(1 / math.log2(3) - 1)
    assert value("ranker", "unheard", "ndcg@50", "source:als")["value"] == pytest.approx(1 / math.log2(3) - 1)
    assert value("ranker", "repeat", "mrr@10")["value"] == pytest.approx((1 + 1 / 2) / 2)
    assert value("ranker", "repeat", "ndcg@50", segment="history 50-249")["value"] == pytest.approx(1 / math.log2(3))
    # of ann's two unheard targets nobody had D by the night
    assert value("targets", "unheard", "unknown_share")["value"] == 0.5
    assert value("targets", "unheard", "targets")["value"] == 2.0
    # ann's list holds C and A, each with one listener of three: -log2(2 / 4) = 1 bit; y she knows, x is new
    assert value("ranker", "unheard", "novelty@50")["value"] == pytest.approx(1.0)
    assert value("ranker", "unheard", "new_artist_share@50")["value"] == 0.5
    assert value("ranker", "unheard", "coverage@50")["value"] == pytest.approx(2 / 3)
    assert value("ranker", "unheard", "artist_gini@50")["value"] == 0.0


def test_shards_and_their_order_do_not_matter() -> None:
    targets = wanted(AFTER, HEARD, FACTS, NIGHT, 7)
    lists = night_lists(CANDIDATES, None)
    whole = summarise(*measure(lists, targets, HEARD, SEGMENTS, FACTS), {"all": "blend"}, FACTS, draws=100)
    parts = []
    for who in ("bob", "ann"):
        mine = night_lists(CANDIDATES.filter(listener_id=who), None)
        parts.append(measure(mine, targets.filter(listener_id=who), HEARD.filter(listener_id=who), SEGMENTS, FACTS))
    split = summarise(
        pl.concat([p[0] for p in parts], how="diagonal_relaxed"),
        pl.concat([p[1] for p in parts]),
        {"all": "blend"},
        FACTS,
        draws=100,
    )
    assert split.equals(whole)


def test_popularity_adds_up_over_chunks_and_counts_recordings_once_a_listener() -> None:
    library = frame(
        "library",
        [
            {"listener_id": w, "track_id": t}
            for w, t in (("ann", "a"), ("ann", "a-remaster"), ("bob", "a"), ("bob", "b"))
        ],
    )
    whole = popularity_partial(library, RECORDINGS)
    assert whole.rows() == [("A", 2), ("B", 1)]
    parts = [popularity_partial(library.filter(listener_id=w), RECORDINGS) for w in ("bob", "ann")]
    assert add_popularity(parts).equals(whole)


def test_credits_are_by_recording_and_name_every_artist() -> None:
    tracks = frame(
        "tracks",
        [{"track_id": "a", "recording_id": "A", "artist_ids": ["x", "guest"]}, {"track_id": "b", "recording_id": "B"}],
    )
    assert credits_of(tracks).rows() == [("A", "guest"), ("A", "x")]


def test_segments_and_the_sample() -> None:
    plays = pl.DataFrame({"plays": [0, 1, 49, 50, 999, 1000]})
    assert plays.select(history_segment(pl.col("plays"))).to_series().to_list() == [
        "history 0",
        "history 1-49",
        "history 1-49",
        "history 50-249",
        "history 250-999",
        "history 1000+",
    ]
    ids = pl.Series([f"l{n}" for n in range(2000)])
    kept = in_sample(ids, 0.25, seed=1)
    assert 430 < kept.sum() < 570
    assert in_sample(ids.reverse(), 0.25, seed=1).reverse().to_list() == kept.to_list()


def test_a_sample_of_a_sample_is_the_smaller_of_the_two() -> None:
    ids = pl.Series([f"l{n}" for n in range(5000)])
    kept, measured = in_sample(ids, 0.01, seed=1), in_sample(ids, 0.02, seed=1)
    assert 30 < kept.sum() < 80 and (kept & measured).sum() == kept.sum(), "not the 1 in 5,000 of two draws"


def test_a_shelf_that_is_empty_for_everyone_measured_scores_nothing_and_is_not_left_out() -> None:
    item = TABLES["shelves"].polars["items"]
    shelves = pl.DataFrame(
        {"listener_id": ["ann"], "shelf_id": ["rediscover"], "items": [[]], "spares": [[]]},
        schema_overrides={"items": item, "spares": item},
    )
    none = pl.DataFrame(schema={"listener_id": pl.String, "track_id": pl.String, "heard_before": pl.Boolean})
    lists = night_lists(none, shelves)
    assert lists["shelf:rediscover", "repeat"].is_empty()
