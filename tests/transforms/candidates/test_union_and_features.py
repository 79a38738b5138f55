"""The union of sources and the ranker's features."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from pipelines.recommender.registry import sources as every_source
from tests.transforms.candidates.worlds import (
    DAYS,
    NIGHT,
    blocks_of,
    catalog_of,
    default_sources,
    item,
    learned_from,
    listens,
    vocabulary,
)
from transforms.candidates.base import Source, SparseScores
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.features import RANK_WEIGHT, Directions, features, standardise
from transforms.candidates.reasons import explain
from transforms.candidates.similar_listeners import ProfileSettings, fit_clusters
from transforms.candidates.union import popular_alone, retrieve_block
from transforms.common.clock import Clock

SOURCES = every_source()


def night(plays: pl.DataFrame, tracks: pl.DataFrame | None = None, k: int = 10, as_of: date = NIGHT) -> pl.DataFrame:
    """Candidates and features of the one block."""
    catalog = catalog_of(plays, tracks)
    block, learned = blocks_of(plays, catalog, as_of)[0], learned_from(plays, catalog, as_of)
    found = retrieve_block(block, catalog, default_sources(learned, catalog, as_of), k)
    return features(block, catalog, found, learned, SOURCES, as_of=as_of, k=k)


FOUND = night(listens())


def pair(frame: pl.DataFrame, listener: str, track: str) -> dict[str, object]:
    return frame.row(by_predicate=(pl.col("listener_id") == listener) & (pl.col("track_id") == track), named=True)


def test_heard_tracks_come_from_the_library_alone_and_are_scored_by_all() -> None:
    heard = FOUND.filter(pl.col("heard_before"))
    assert sorted(heard.filter(listener_id="ann")["track_id"]) == ["a", "b", "c"]
    assert heard["rank_library"].null_count() == 0
    assert heard["rank_co_sessions"].null_count() == heard.height == heard["rank_popular"].null_count()
    assert pair(FOUND, "ann", "a")["score_co_sessions"] > 0


def test_unheard_tracks_carry_every_sources_score_and_only_finders_ranks() -> None:
    found = pair(FOUND, "ann", "d")
    assert not found["heard_before"] and found["rank_co_sessions"] == 1 and found["rank_library"] is None
    assert pair(FOUND, "ann", "f")["rank_co_sessions"] is None  # only popular knows it
    assert pair(FOUND, "ann", "f")["f_agree"] == 1 and found["f_agree"] == 6


def test_a_listener_without_history_still_has_candidates() -> None:
    assert FOUND.filter(listener_id="eve").height == 8
    assert FOUND.filter(listener_id="eve")["heard_before"].sum() == 0


def test_k_counts_after_exclusion() -> None:
    few = night(listens(), k=1)
    ann = few.filter(pl.col("listener_id") == "ann", ~pl.col("heard_before"))
    # a and b are best by every source; being heard, they do not use up the one place
    for name in ("co_sessions", "last_session", "next_tracks", "similar_listeners", "popular"):
        assert ann[f"rank_{name}"].drop_nulls().to_list() == [1], name
    assert pair(few, "ann", "d")["rank_next_tracks"] == 1


def test_a_version_of_a_heard_recording_is_no_discovery() -> None:
    tracks = pl.DataFrame({"track_id": list("abcdefgh"), "recording_id": list("abcafxgh")})
    found = night(listens(), tracks)
    assert pair(found, "ann", "a")["heard_before"]
    assert found.filter(pl.col("listener_id") == "ann", pl.col("track_id") == "d")["heard_before"].to_list() in (
        [],
        [True],
    )


def test_order_does_not_depend_on_the_value_of_ids() -> None:
    renamed = dict(zip("abcdefgh", ["zz", "m1", "q", "b7", "a", "x", "0", "k"], strict=True))
    other = night(listens({key: [renamed[t] for t in tracks] for key, tracks in DAYS.items()}))
    back = {new: old for old, new in renamed.items()}
    other = other.with_columns(pl.col("track_id").replace(back))
    columns = [c for c in FOUND.columns if c.startswith(("score_", "f_s_", "f_z_", "f_company", "f_t_", "f_o_"))]
    keys = ["listener_id", "track_id"]
    one, two = FOUND.sort(keys), other.sort(keys)
    assert one.select(keys).equals(two.select(keys))
    np.testing.assert_allclose(one.select(columns).to_numpy(), two.select(columns).to_numpy(), atol=1e-5)


def test_events_after_the_night_change_nothing() -> None:
    plays = listens()
    later = plays.with_columns(
        track_id=pl.when(pl.col("date") > date(2024, 3, 9)).then(pl.lit("a")).otherwise("track_id")
    )
    catalog = catalog_of(plays)
    nights = []
    for log in (plays, later):
        as_of = date(2024, 3, 9)
        block, learned = blocks_of(log, catalog, as_of)[0], learned_from(log, catalog, as_of)
        found = retrieve_block(block, catalog, default_sources(learned, catalog, as_of), 5)
        nights.append(features(block, catalog, found, learned, SOURCES, as_of=as_of, k=5))
    assert nights[0].equals(nights[1])


def test_a_block_scores_a_listener_as_a_smaller_block_does() -> None:
    plays = listens()
    catalog = catalog_of(plays)
    learned = learned_from(plays, catalog)
    sources = default_sources(learned, catalog, NIGHT)
    parts = [
        features(b, catalog, retrieve_block(b, catalog, sources, 10), learned, SOURCES, as_of=NIGHT, k=10)
        for b in blocks_of(plays, catalog, size=2)
    ]
    assert pl.concat(parts).drop("row").equals(FOUND.drop("row"))


def test_company_is_the_share_of_a_candidates_sessions_that_is_heard() -> None:
    # e stood with b and d once each; ann has heard b, not d; bob heard all of it
    assert pair(FOUND, "ann", "e")["f_company"] == pytest.approx(0.5, abs=1e-5)
    assert pair(FOUND, "cat", "h")["f_company"] == pytest.approx(1.0, abs=1e-5)
    assert pair(FOUND, "cat", "e")["f_company"] == 0


def test_standardise_by_group_and_constants_to_zero() -> None:
    z = standardise(np.array([1.0, 3.0, 5.0, 5.0]), np.array([0, 0, 2, 2]))
    assert z.tolist() == [-1.0, 1.0, 0.0, 0.0]


def test_artists_and_albums_count_where_they_are_known() -> None:
    tracks = pl.DataFrame(
        {
            "track_id": list("abcdefgh"),
            "artist_ids": [["x"], ["x"], ["y"], ["x", "z"], ["z"], ["q"], ["q"], ["q"]],
            "album_id": ["k", "k", None, "k", None, "m", "m", "m"],
            "track_no": [1, 2, None, 3, None, 1, 2, 4],
            "released_on": [None, None, None, date(2024, 3, 1), None, None, None, date(2024, 4, 1)],
        }
    )
    found = night(listens(), tracks)
    d, e = pair(found, "ann", "d"), pair(found, "ann", "e")
    assert d["rank_artists"] == 1 and d["rank_new_releases"] == 1 and e["score_artists"] == 0
    assert d["f_artist_affinity"] > 0 == e["f_artist_affinity"] and d["f_artist_share"] == pytest.approx(4 / 5)
    assert d["f_album_heard"] == pytest.approx(2 / 3) and d["f_album_next"] == 1
    h = pair(found, "cat", "h")  # f and g are heard, h stands two places after g and is not out yet
    assert h["f_album_next"] == 0 and h["f_album_heard"] == pytest.approx(2 / 3) and h["score_new_releases"] == 0
    assert all(np.isfinite(found.select(pl.col("^f_.*$")).to_numpy()).ravel())


def test_reasons_come_from_the_source_that_ranks_a_candidate_highest() -> None:
    plays = listens()
    catalog = catalog_of(plays)
    learned = learned_from(plays, catalog)
    block = blocks_of(plays, catalog)[0]
    sources = default_sources(learned, catalog, NIGHT)
    explained = explain(block, catalog, sources, retrieve_block(block, catalog, sources, 10))
    d, f, a = pair(explained, "ann", "d"), pair(explained, "eve", "f"), pair(explained, "ann", "a")
    assert (d["source"], d["reason"], d["reason_ref"]) == ("co_sessions", "played_together_with", "b")
    assert (f["source"], f["reason"], f["reason_ref"]) == ("popular", "popular_in", None)
    assert (a["source"], a["reason"], a["reason_ref"]) == (
        "library",
        "you_played_it",
        None,
    )  # one play does not keep on


def test_a_broken_score_is_no_evidence_and_never_an_error() -> None:
    class Broken(Source):
        name, reason = "broken", "for_you"

        def score(self, block: Block) -> SparseScores:
            table = block.matrix("plays")
            table.data[:] = np.nan
            return SparseScores(table)

        def explain(self, block: Block, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
            return np.zeros(len(rows), np.int32)

    plays = listens()
    catalog = catalog_of(plays)
    learned = learned_from(plays, catalog)
    block = blocks_of(plays, catalog)[0]
    found = retrieve_block(block, catalog, [*default_sources(learned, catalog, NIGHT), Broken()], 10)
    full = features(block, catalog, found, learned, [*SOURCES, Broken], as_of=NIGHT)
    assert set(full["score_broken"]) == {0.0} and set(full["f_s_broken"]) == {0.0}


def test_nobody_and_nothing_are_no_error() -> None:
    plays = listens()
    catalog = Catalog.build([""], pl.DataFrame({"track_id": []}, schema={"track_id": pl.String}))
    learned = learned_from(plays, catalog)
    block = blocks_of(plays, catalog)[0]
    found = retrieve_block(block, catalog, default_sources(learned, catalog, NIGHT), 10)
    assert features(block, catalog, found, learned, SOURCES, as_of=NIGHT).height == 0
    assert item(catalog_of(plays), "a") > 0


def test_the_closest_link_is_the_fourth_root_of_summed_fourth_powers() -> None:
    plays = listens()
    catalog = catalog_of(plays)
    together = learned_from(plays, catalog).neighbours.together
    d = item(catalog, "d")
    links = [float(together[item(catalog, heard), d]) for heard in "abc"]
    found = pair(FOUND, "ann", "d")["f_link_best"]
    assert found == pytest.approx(sum(x**4 for x in links) ** 0.25, rel=1e-4)
    assert max(links) <= found < sum(links) and pair(FOUND, "ann", "f")["f_link_best"] == 0


def test_only_popularity_speaks_for_a_listener_of_whom_nothing_is_known_and_the_clock_hears_every_source() -> None:
    plays = listens()
    catalog = catalog_of(plays)
    (block,) = blocks_of(plays, catalog)
    sources, clock = default_sources(learned_from(plays, catalog), catalog, NIGHT), Clock()
    found = retrieve_block(block, catalog, sources, 10, clock)
    alone = found.filter(popular_alone(found, SOURCES))
    assert set(alone["listener_id"]) == {"eve"} and alone.height == found.filter(listener_id="eve").height > 0
    unweighed = found.with_columns(rank_next_in_session=pl.lit(1), score_next_in_session=pl.lit(2.0))
    assert popular_alone(unweighed, SOURCES).equals(popular_alone(found, SOURCES)), (
        "what no ranker weighs is nothing to rank by"
    )
    explained = clock.drain()
    assert {f"source {s.name}.rows" for s in sources} <= set(explained)
    assert explained["source popular.rows"] == len(block)


def _said(found: dict[str, object], name: str) -> float:
    """What the blend sums of a source, before it is weighted."""
    return float(found[f"f_z_{name}"]) + RANK_WEIGHT * float(found[f"f_r_{name}"])  # type: ignore[arg-type]


def test_the_blend_sums_score_and_rank_of_its_sources() -> None:
    found = pair(FOUND, "ann", "d")
    names = [c.removeprefix("f_z_") for c in FOUND.columns if c.startswith("f_z_")]
    weights = {kind.name: kind.blend_weight for kind in every_source()}
    assert weights["artists"] == 2.0 and weights["als"] == 1.0
    expected = sum(weights[n] * _said(found, n) for n in names)
    assert "popular" not in names and found["f_blend"] == pytest.approx(expected, rel=1e-5)


def test_the_feature_heard_tells_repeats_from_discoveries() -> None:
    assert FOUND["f_heard"].cast(pl.Boolean).equals(FOUND["heard_before"])


def test_silence_about_a_track_that_nobody_played_is_no_evidence_against_it() -> None:
    """n is new and by an artist whom ann plays: sources that learn from plays follow `artists` by half."""
    tracks = pl.DataFrame(
        {"track_id": [*"abcdefgh", "n"], "artist_ids": [["x"], ["x"], ["y"], ["z"], ["z"], ["q"], ["q"], ["q"], ["x"]]}
    )
    plays, catalog = listens(), Catalog.build(vocabulary(tracks["track_id"].to_list()), tracks)
    block, learned = blocks_of(plays, catalog)[0], learned_from(plays, catalog)
    retrieved = retrieve_block(block, catalog, default_sources(learned, catalog, NIGHT), 10)
    found = features(block, catalog, retrieved, learned, SOURCES, as_of=NIGHT, k=10)
    new, old = pair(found, "ann", "n"), pair(found, "ann", "f")
    half = 0.5 * float(new["f_z_artists"])  # type: ignore[arg-type]
    assert half > 0 and new["score_co_sessions"] == 0 and new["f_z_co_sessions"] == pytest.approx(half)
    assert old["score_co_sessions"] == 0 and old["f_z_co_sessions"] < 0, "f was played, so silence says something"  # type: ignore[operator]
    names = [c.removeprefix("f_z_") for c in found.columns if c.startswith("f_z_")]
    assert "artists" in names
    twice = sum(_said(old, n) for n in names) + _said(old, "artists")
    assert old["f_blend"] == pytest.approx(twice, rel=1e-5), "the blend counts artists twice"
    assert new["f_r_co_sessions"] == 0, "that nobody found it stays told"
    assert new["f_blend"] > old["f_blend"]  # type: ignore[operator]


def test_likeness_to_the_last_sessions_is_the_cosine_with_their_mean_direction() -> None:
    """ann's last session is a, b, the one before it a, b, c: weights sqrt(1.5), sqrt(1.5) and sqrt(0.5)."""
    plays = listens()
    catalog = catalog_of(plays)
    (block,), learned = blocks_of(plays, catalog), learned_from(plays, catalog)
    retrieved = retrieve_block(block, catalog, default_sources(learned, catalog, NIGHT), 10)
    vectors = np.zeros((len(catalog), 2), np.float32)
    for track, vector in {"a": (2, 0), "b": (9, 0), "c": (0, 5), "d": (3, 0), "e": (0, 1), "f": (-1, 0)}.items():
        vectors[item(catalog, track)] = vector  # lengths say nothing; g and h have no vector
    found = features(block, catalog, retrieved, learned, SOURCES, as_of=NIGHT, k=10, directions=Directions(vectors))
    mean = np.array([2 * 1.5**0.5, 0.5**0.5])
    mean /= np.linalg.norm(mean)
    assert pair(found, "ann", "d")["f_like_sessions"] == pytest.approx(mean[0], rel=1e-5)
    assert pair(found, "ann", "e")["f_like_sessions"] == pytest.approx(mean[1], rel=1e-5)
    assert pair(found, "ann", "f")["f_like_sessions"] == pytest.approx(-mean[0], rel=1e-5)
    assert pair(found, "ann", "h")["f_like_sessions"] == 0, "nothing is known of h"
    assert set(found.filter(listener_id="eve")["f_like_sessions"]) == {0.0}, "eve never played anything"
    blank = features(
        block, catalog, retrieved, learned, SOURCES, as_of=NIGHT, k=10, directions=Directions(np.zeros_like(vectors))
    )
    for unknown in (blank, FOUND):  # vectors of nothing, and none at all
        assert set(unknown["f_like_sessions"]) == {0.0}


def test_listeners_alike_count_by_the_clusters_that_heard_the_track_however_many_in_each() -> None:
    """ann and bob are one cluster, cat and dan another; eve is like nobody."""
    one = pytest.approx(float(np.log(2)), rel=1e-6)
    assert pair(FOUND, "ann", "d")["f_alike_clusters"] == one, "bob heard d"
    assert pair(FOUND, "ann", "a")["f_alike_clusters"] == one, "both heard a"
    assert pair(FOUND, "ann", "f")["f_alike_clusters"] == 0, "only the other two heard f"
    assert set(FOUND.filter(listener_id="eve")["f_alike_clusters"]) == {0.0}
    plays, both = listens(), sparse.csr_matrix(np.ones((4, 9), np.float32))
    catalog = catalog_of(plays)
    (block,), learned = blocks_of(plays, catalog), learned_from(plays, catalog)
    retrieved = retrieve_block(block, catalog, default_sources(learned, catalog, NIGHT), 10)
    wide = replace(learned, clusters=fit_clusters(both, np.int32([[0], [0], [1], [1]]), ProfileSettings(overlap=1)))
    found = features(block, catalog, retrieved, wide, SOURCES, as_of=NIGHT, k=10)
    assert pair(found, "ann", "f")["f_alike_clusters"] == pytest.approx(float(np.log(3)), rel=1e-6)
