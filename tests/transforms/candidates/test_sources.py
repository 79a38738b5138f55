"""Each source on a world reckoned by hand, and what all of them promise."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from tests.transforms.candidates.worlds import (
    FILES,
    NIGHT,
    World,
    blocks_of,
    catalog_of,
    default_sources,
    item,
    learned_from,
    listens,
)
from transforms.candidates.als import Als
from transforms.candidates.base import DenseScores, SparseScores, numpy_top_k, strongest_link
from transforms.candidates.co_sessions import CoSessions, LastSession
from transforms.candidates.history import heard_plays
from transforms.candidates.library import Library
from transforms.candidates.next_tracks import NextTracks
from transforms.candidates.popular import Popular, recency
from transforms.candidates.similar_listeners import SimilarListeners, fit_clusters

PLAYS = listens()
CATALOG = catalog_of(PLAYS)
BLOCK = blocks_of(PLAYS, CATALOG)[0]
LEARNED = learned_from(PLAYS, CATALOG)
ANN, CAT, EVE = 0, 2, 4


def score(scores: object, row: int, track_id: str) -> float:
    return float(scores.of(np.array([row]), np.array([item(CATALOG, track_id)]))[0])  # type: ignore[attr-defined]


def test_co_sessions_is_a_sum_of_cosines_of_sessions_by_length() -> None:
    # sessions: ann abc, ab; bob abd, bde. One of length n weighs n^-1.5; ann played a and b twice.
    two, three = 2**-1.5, 3**-1.5
    a, b, d = 2 * three + two, 3 * three + two, 2 * three
    expected = 2**0.5 * three / (a * d) ** 0.5 + 2**0.5 * 2 * three / (b * d) ** 0.5
    assert score(CoSessions(LEARNED.neighbours).score(BLOCK), ANN, "d") == pytest.approx(expected, rel=1e-4)


def test_last_session_reads_less_of_older_sessions() -> None:
    whole = LastSession(LEARNED.neighbours).score(BLOCK)
    two, three = 2**-1.5, 3**-1.5
    a, b, d = 2 * three + two, 3 * three + two, 2 * three
    both = 1.5**0.5  # a and b: once in the latest session, once in the one before, which counts half
    assert score(whole, ANN, "d") == pytest.approx(
        both * (three / (a * d) ** 0.5 + 2 * three / (b * d) ** 0.5), rel=1e-4
    )


def test_next_tracks_follows_the_direction_of_play() -> None:
    scores = NextTracks(LEARNED.neighbours).score(BLOCK)
    # after b (4 sessions) comes d at once twice; after a (3 sessions) comes d once, two plays on
    assert score(scores, ANN, "d") == pytest.approx(2**0.5 * 2 / 4 + 2**0.5 * 0.5 / 3, rel=1e-4)
    # nothing comes before a or b, and c has no follower
    assert LEARNED.neighbours.after[item(CATALOG, "d"), item(CATALOG, "b")] == 0


def test_similar_listeners_speak_through_clusters() -> None:
    scores = SimilarListeners(LEARNED.clusters).score(BLOCK)
    # ann heard a, b, c of the cluster's a, b (2 members each) and c, d, e (1 each); e was heard by half its members
    likeness = (2 + 2 + 1) / (3**0.5 * (2 * 4 + 3) ** 0.5)
    assert score(scores, ANN, "e") == pytest.approx(likeness / 2, rel=1e-4)
    assert score(scores, ANN, "h") == 0
    assert LEARNED.clusters.listeners[item(CATALOG, "a")] == 2


def test_a_cluster_of_one_listener_is_dropped() -> None:
    histories = sparse.csr_matrix(np.float32([[0, 1, 0], [0, 1, 1], [0, 0, 1]]))
    clusters = fit_clusters(histories, np.int32([[0], [0], [1]]))
    assert clusters.profiles.toarray().tolist() == [[0, 0, 0], [0, 2, 1]]
    nobody = fit_clusters(sparse.csr_matrix((2, 3), dtype=np.float32), np.full((2, 3), -1, np.int32))
    assert nobody.profiles.nnz == 0


def test_popular_is_by_market_and_answers_a_listener_without_history() -> None:
    scores = Popular(LEARNED.popularity).score(BLOCK)
    best = [CATALOG.track_ids[i] for i in scores.top(1, None).items]
    assert best[ANN] == best[1] == best[EVE] == "b" and best[CAT] == best[3] and best[CAT] in ("f", "g")
    # ann and bob of SE played b on the night's date; cat and dan of NO never did, and an unknown market reads everyone's
    assert score(scores, EVE, "b") == pytest.approx(np.log1p(2))
    assert score(scores, ANN, "b") == pytest.approx(np.log1p(2 + 2 / 10))
    assert score(scores, CAT, "b") == pytest.approx(np.log1p(2 / 10))


def test_a_listener_counts_once_in_popularity_by_the_last_time_they_played_a_track() -> None:
    reach = LEARNED.popularity.reach
    # d was last played by bob on the date, h by dan the day before: half, with a half-life of a day
    assert reach[item(CATALOG, "d")] == 1 and reach[item(CATALOG, "h")] == 0.5
    often = listens({("ann", 10): ["a"] * 9, ("ann", 9): ["a"], ("bob", 10): ["b"], ("cat", 10): ["b"]})
    catalog = catalog_of(often)
    learned = learned_from(often, catalog)
    assert learned.popularity.plays[item(catalog, "a")] > learned.popularity.plays[item(catalog, "b")]
    first = Popular(learned.popularity).score(blocks_of(often, catalog)[0]).top(1, None).items
    assert {catalog.track_ids[i] for i in first[-1:]} == {"b"}, (
        "eve, of no market: two listeners before one who repeats"
    )


def test_what_was_last_played_before_the_window_or_only_saved_has_no_reach() -> None:
    played = pl.DataFrame(
        {"last_played_at": [datetime(2024, 3, 10, 23, tzinfo=UTC), datetime(2024, 3, 8, tzinfo=UTC), None]}
    )
    counts = [played.select(r=recency(NIGHT, 2.0, days))["r"].to_list() for days in (3, 2)]
    assert counts == [[1.0, pytest.approx(0.5**1.0), 0.0], [1.0, 0.0, 0.0]]


def test_trend_is_up_for_what_was_played_lately() -> None:
    trend = LEARNED.popularity.trend
    assert trend[item(CATALOG, "e")] > trend[item(CATALOG, "h")]


def test_library_orders_repeats_by_decayed_plays() -> None:
    best = Library().score(BLOCK).top(2, None)
    mine = [CATALOG.track_ids[i] for i in best.items[best.rows == 1]]
    assert mine == ["b", "d"] or mine == ["d", "b"]  # bob played both twice, on the same days
    assert EVE not in best.rows


def test_als_retrieves_nothing_for_a_listener_without_history() -> None:
    vectors = np.eye(len(CATALOG), dtype=np.float32)
    source = Als(lambda block: np.asarray(heard_plays(block).todense(), np.float32), vectors)
    found = source.score(BLOCK).top(3, None)
    assert EVE not in found.rows and 0 not in found.items
    assert source.explain(BLOCK, np.array([ANN]), np.array([item(CATALOG, "a")])).tolist() == [item(CATALOG, "a")]


def test_reasons_name_the_track_that_contributed_most() -> None:
    why = CoSessions(LEARNED.neighbours).explain(
        BLOCK, np.array([ANN, CAT]), np.array([item(CATALOG, t) for t in "dd"])
    )
    assert [CATALOG.track_ids[i] for i in why] == ["b", ""]
    crowd = SimilarListeners(LEARNED.clusters).explain(BLOCK, np.array([ANN]), np.array([item(CATALOG, "e")]))
    assert CATALOG.track_ids[crowd[0]] in ("a", "b")


def test_strongest_link_takes_the_largest_product_and_none_without_evidence() -> None:
    weights = sparse.csr_matrix(np.float32([[0, 1, 3, 0]]))
    towards = sparse.csr_matrix(np.float32([[0, 0, 0, 0], [0, 9, 2, 0], [0, 0, 0, 5], [0, 2, 1, 0]]))
    rows = np.zeros(3, np.int32)
    assert strongest_link(weights, towards, rows, np.int32([1, 2, 3])).tolist() == [1, 0, 2]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_is_exact_with_exclusions_and_ties(k: int) -> None:
    rng = np.random.default_rng(3)
    table = rng.integers(0, 4, (6, 30)).astype(np.float32)
    table[:, 0] = 0
    hidden = sparse.csr_matrix((rng.random((6, 30)) < 0.3).astype(np.float32))
    found = SparseScores(sparse.csr_matrix(table)).top(k, hidden)
    for row in range(6):
        allowed = [i for i in range(1, 30) if table[row, i] > 0 and hidden[row, i] == 0]
        expected = sorted(allowed, key=lambda i: (-table[row, i], i))[:k]
        assert found.items[found.rows == row].tolist() == expected
    assert found.ranks()[found.rows == 3].tolist() == list(range(1, (found.rows == 3).sum() + 1))


def test_sparse_and_dense_scores_agree_on_pairs() -> None:
    table = np.float32([[0, 2, 1], [0, 0, 3]])
    rows, items = np.array([0, 1, 1]), np.array([2, 1, 2])
    dense = DenseScores(table, np.eye(3, dtype=np.float32), numpy_top_k(np.eye(3, dtype=np.float32)))
    assert (
        SparseScores(sparse.csr_matrix(table)).of(rows, items).tolist() == [1, 0, 3] == dense.of(rows, items).tolist()
    )
    assert dense.top(1, None).items.tolist() == [1, 2]


def test_learned_comes_back_as_saved_and_equal_fits_are_equal_bytes(tmp_path: Path) -> None:
    LEARNED.save(tmp_path / "one")
    learned_from(PLAYS.reverse(), CATALOG).save(tmp_path / "two")
    for name in list(FILES.values())[:-1]:  # this catalog knows no artists, so which of them are near is not there
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    back = World.load(tmp_path / "one")
    before = default_sources(LEARNED, CATALOG, NIGHT)
    after = default_sources(back, CATALOG, NIGHT)
    assert [s.name for s in after] == [
        "co_sessions", "last_session", "next_tracks", "ease", "similar_listeners", "rediscover", "popular", "library",
    ]  # fmt: skip
    rows, items = np.repeat(np.arange(5), len(CATALOG)), np.tile(np.arange(len(CATALOG)), 5)
    for one, two in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.score(BLOCK).of(rows, items), two.score(BLOCK).of(rows, items))


def test_artefacts_hold_nothing_later_than_their_fit_date() -> None:
    early = learned_from(PLAYS, CATALOG, date(2024, 3, 9))
    assert early.neighbours.mass[item(CATALOG, "e")] == 0 and early.popularity.plays[item(CATALOG, "e")] == 0
    assert LEARNED.neighbours.mass[item(CATALOG, "e")] > 0
    changed = learned_from(
        PLAYS.with_columns(track_id=pl.when(pl.col("date") > date(2024, 3, 9)).then(pl.lit("h")).otherwise("track_id")),
        CATALOG,
        date(2024, 3, 9),
    )
    np.testing.assert_array_equal(changed.neighbours.together.toarray(), early.neighbours.together.toarray())
    np.testing.assert_array_equal(changed.popularity.plays, early.popularity.plays)
    np.testing.assert_array_equal(changed.clusters.profiles.toarray(), early.clusters.profiles.toarray())
