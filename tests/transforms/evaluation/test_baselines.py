"""The simple recommenders, each by hand on a log a reader can hold in mind."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from transforms.evaluation.baselines import (
    BaselineSettings,
    Training,
    all_baselines,
    item_knn,
    item_similarity,
    last_tracks,
    most_popular,
    own_top,
    recent_popular,
    recommend,
    recommended,
)
from transforms.evaluation.best_places import keep_best

END = date(2026, 1, 31)


def log(*sessions: tuple[str, int, str]) -> pl.DataFrame:
    """(listener, days ago, "x y z"): a session a line, plays three minutes apart."""
    rows = [
        (who, item, datetime(2026, 1, 31, 12) - timedelta(days=ago) + timedelta(minutes=3 * n), f"{who}{ago}")
        for who, ago, items in sessions
        for n, item in enumerate(items.split())
    ]
    return pl.DataFrame(rows, schema=["listener_id", "item", "started_at", "session_id"], orient="row")


def items_for(baseline, training: Training, who: str, target: str = "unheard", k: int = 10) -> list[str]:  # type: ignore[no-untyped-def]
    return recommend(baseline, training, [who], target, k)["item"].to_list()  # type: ignore[arg-type]


WORLD = log(
    ("ann", 20, "x y"),
    ("ann", 1, "x x z"),
    ("bob", 20, "x w"),
    ("cat", 19, "w x v"),
    ("dan", 0, "u"),
    ("dan", 1, "u"),
)


def test_most_popular_counts_listeners_and_leaves_out_what_was_heard() -> None:
    training = Training.build(WORLD, END)
    assert items_for(most_popular(training), training, "dan")[:2] == ["x", "w"]
    assert items_for(most_popular(training), training, "ann")[0] == "w"
    assert items_for(most_popular(training), training, "bob", "repeat") == ["x", "w"]
    assert "x" in items_for(most_popular(training), training, "ann", "all")


def test_what_is_repeated_may_stand_anywhere_in_everybodys_order() -> None:
    """Dan's one track is the least popular of 25, further down than the longest history of 12 and one place more."""
    heard = {start: " ".join(f"{start}{n}" for n in range(12)) for start in "tv"}
    many = log(
        ("ann", 0, heard["t"]), ("bob", 0, heard["t"]), ("cat", 0, heard["v"]), ("eve", 0, heard["v"]), ("dan", 0, "u")
    )
    training = Training.build(many, END)
    for baseline in (most_popular(training), recent_popular(training, half_life=7.0)):
        assert items_for(baseline, training, "dan", "repeat", k=1) == ["u"]
        assert set(items_for(baseline, training, "ann", "repeat", k=20)) == set(heard["t"].split())


def test_recent_popular_prefers_the_latest_days() -> None:
    training = Training.build(WORLD, END)
    assert items_for(recent_popular(training, half_life=1.0), training, "bob")[0] == "u"
    assert (
        items_for(recent_popular(training, half_life=1e6), training, "bob")[0] == "u"
    )  # two listener-days, others one
    assert items_for(recent_popular(training, half_life=1e6), training, "dan")[0] == "x"  # four listener-days


def test_own_top_is_the_listeners_own_and_decays() -> None:
    training = Training.build(log(("ann", 25, "old old old"), ("ann", 1, "new new"), ("bob", 1, "his")), END)
    assert items_for(own_top(training, half_life=1e6), training, "ann", "repeat") == ["old", "new"]
    assert items_for(own_top(training, half_life=5.0), training, "ann", "repeat") == ["new", "old"]
    assert items_for(own_top(training), training, "ann", "unheard") == []


def test_item_similarity_over_sessions_by_hand() -> None:
    training = Training.build(log(("ann", 1, "a b"), ("bob", 1, "a b c d"), ("cat", 1, "c")), END)
    where = {item: n for n, item in enumerate(training.items)}
    similar = item_similarity(training, "session", neighbours=10).toarray()
    two, four = 2**-1.5, 4**-1.5
    assert similar[where["a"], where["b"]] == pytest.approx(1.0)
    assert similar[where["a"], where["c"]] == pytest.approx(four / np.sqrt((two + four) * (1 + four)))
    assert np.diag(similar).tolist() == [0.0] * 4
    assert np.allclose(similar, similar.T)
    assert (np.diff(item_similarity(training, "session", neighbours=1).indptr) == 1).all()


def test_item_knn_finds_what_was_played_beside_the_history() -> None:
    training = Training.build(
        log(("ann", 1, "a"), ("bob", 1, "a b"), ("cat", 1, "a b"), ("dan", 1, "a c d e f g"), ("eve", 1, "q r")), END
    )
    for over in ("session", "listener"):
        got = items_for(item_knn(training, BaselineSettings(knn_rows=over)), training, "ann")
        assert got[0] == "b" and "q" not in got


def test_last_tracks_follow_the_latest_play_and_its_distance() -> None:
    training = Training.build(
        log(("bob", 5, "a b c"), ("cat", 5, "z y"), ("ann", 9, "z"), ("ann", 1, "a")),
        END,
    )
    # after a: b at distance 1 and c at 2; after z, ann's play before that: y at 1, counting half
    got = items_for(last_tracks(training), training, "ann")
    assert got[0] == "b" and set(got[1:]) == {"c", "y"}
    assert items_for(last_tracks(training, reach=1), training, "ann") == ["b"]


def test_nothing_after_the_night_counts() -> None:
    later = WORLD.with_columns(pl.col("started_at") + timedelta(days=30), session_id=pl.col("session_id") + "later")
    both = Training.build(pl.concat([WORLD, later]), END)
    assert both.plays.equals(Training.build(WORLD, END).plays)


worlds = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.integers(0, 9), st.lists(st.sampled_from("pqrstuvw"), min_size=1, max_size=6)
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[:2],
)


@settings(max_examples=40)
@given(worlds, st.randoms(use_true_random=False))
def test_targets_are_kept_and_row_order_does_not_matter(world, random) -> None:  # type: ignore[no-untyped-def]
    plays = log(*((who, ago, " ".join(items)) for who, ago, items in world))
    order = list(range(len(plays)))
    random.shuffle(order)
    training, shuffled = Training.build(plays, END), Training.build(plays[order], END)
    heard = plays.select("listener_id", "item").unique()
    for baseline, again in zip(all_baselines(training), all_baselines(shuffled), strict=True):
        everyone = training.listener_ids
        new = recommend(baseline, training, everyone, "unheard", 5)
        assert new.join(heard, on=["listener_id", "item"]).is_empty()
        old = recommend(baseline, training, everyone, "repeat", 5)
        assert old.join(heard, on=["listener_id", "item"], how="anti").is_empty()
        ranks = new.group_by("listener_id").agg(pl.col("rank"))
        assert all(r == list(range(1, len(r) + 1)) for r in ranks["rank"].to_list())
        assert recommend(again, shuffled, everyone, "unheard", 5).equals(new), baseline.name


def test_places_are_those_of_a_sort_of_all_scores() -> None:
    """A listener's walk down one order, and the best of a stored matrix, against all scores written out and sorted."""
    draw = np.random.default_rng(5)
    plays = pl.concat(
        log((f"u{n:02}", int(draw.integers(0, 9)), " ".join(draw.choice(list("pqrstuvwxyz"), 6)))) for n in range(12)
    )
    training = Training.build(plays, END)
    rows = np.arange(training.shape[0], dtype=np.int32)
    heard = training.heard.toarray() > 0
    popular = np.bincount(training.plays.unique(["row", "item"])["item"], minlength=training.shape[1]).astype(float)
    weight = np.exp2(-training.plays["age"].to_numpy() / 60.0)
    own = np.zeros(training.shape)
    np.add.at(own, (training.plays["row"].to_numpy(), training.plays["item"].to_numpy()), weight)
    for baseline, scores in (
        (most_popular(training), np.broadcast_to(popular, training.shape)),
        (own_top(training), own),
    ):
        for target, allowed in (("unheard", ~heard), ("repeat", heard), ("all", np.ones_like(heard))):
            found = recommended(baseline, training, rows, target, 6)  # type: ignore[arg-type]
            wanted = [
                (row, item)
                for row in rows
                for item in np.lexsort((np.arange(training.shape[1]), -scores[row]))
                if allowed[row, item] and scores[row, item] > 0
            ]
            cut = pl.DataFrame(wanted, schema=["row", "column"], orient="row")
            cut = cut.filter(pl.int_range(pl.len()).over("row") < 6) if len(cut) else cut
            assert found.select("row", "column").rows() == cut.rows(), (baseline.name, target)


def test_the_best_of_every_row_are_kept_and_the_smaller_column_of_equals() -> None:
    matrix = sparse.csr_matrix(np.array([[1.0, 3.0, 1.0, 2.0], [0.0, 0.0, -1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]))
    assert keep_best(matrix, 2).toarray().tolist() == [[0, 3, 0, 2], [0, 0, 0, 0], [1, 1, 0, 0]]
