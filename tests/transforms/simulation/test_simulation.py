"""The simulated world: draws are functions of keys, habits and tastes show in the log, and rules of the world hold."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from transforms.simulation.block import SimulatedBlock, simulate_block
from transforms.simulation.catalog import MARKETS, SimulatedCatalog, csr
from transforms.simulation.catalog_build import build_catalog
from transforms.simulation.catalog_table import tracks_frame, true_tracks_frame
from transforms.simulation.draws import child, geometric, pick, poisson, root, uniform, zipf_rank
from transforms.simulation.listening import (
    PAUSE_BETWEEN_SESSIONS_MS,
    Plays,
    after_block,
    first_in_session,
    listen,
    without_overlap,
)
from transforms.simulation.settings import SimulationSettings
from transforms.simulation.tastes import Tastes, affinity, draw_tastes
from transforms.simulation.visits import ALBUM, Visits, draw_visits
from transforms.tables.schema import TABLES

SETTINGS = SimulationSettings(listeners=400, tracks=2000, days=28, seed=3)


@dataclass(frozen=True)
class World:
    """All listeners of a small world in one go."""

    catalog: SimulatedCatalog
    tastes: Tastes
    visits: Visits
    plays: Plays
    blocks: list[SimulatedBlock]

    def rows(self, name: str) -> pl.DataFrame:
        return pl.concat(getattr(block, name) for block in self.blocks)


@pytest.fixture(scope="module")
def world() -> World:
    catalog = build_catalog(SETTINGS)
    tastes = draw_tastes(SETTINGS, catalog, np.arange(SETTINGS.listeners))
    visits = draw_visits(SETTINGS, tastes)
    plays = listen(SETTINGS, catalog, tastes, visits)
    return World(catalog, tastes, visits, plays, [simulate_block(SETTINGS, catalog, b) for b in range(SETTINGS.blocks)])


def test_a_draw_is_a_function_of_its_key_and_purpose_only() -> None:
    keys = child(root(1, "listener"), np.arange(1000))
    assert uniform(keys, "mood")[[7, 3]].tolist() == uniform(keys[[7, 3]], "mood").tolist()
    assert not np.isin(uniform(keys, "mood"), uniform(keys, "hour")).any()
    assert abs(uniform(keys, "mood").mean() - 0.5) < 0.05


@given(st.integers(0, 2**32), st.integers(1, 50), st.floats(0.05, 6.0))
def test_draws_stay_in_range(seed: int, size: int, mean: float) -> None:
    keys = child(root(seed, "x"), np.arange(64))
    assert zipf_rank(keys, "z", size).min() >= 0
    assert zipf_rank(keys, "z", size).max() < size
    assert geometric(keys, "g", mean).min() >= 0
    assert 0 <= poisson(keys, "p", np.full(64, mean), 14).max() <= 14
    weights = np.zeros(size)
    weights[size // 2] = 1.0
    assert set(pick(keys, "w", weights).tolist()) == {size // 2}


def test_draws_have_the_means_they_state() -> None:
    keys = child(root(5, "x"), np.arange(200_000))
    assert geometric(keys, "g", 3.0).mean() == pytest.approx(3.0, rel=0.02)
    assert poisson(keys, "p", np.full(len(keys), 1.5), 14).mean() == pytest.approx(1.5, rel=0.02)
    assert (pick(keys, "w", np.array([1.0, 3.0])) == 1).mean() == pytest.approx(0.75, abs=0.01)


def test_csr_groups_in_the_order_asked_for() -> None:
    start, members = csr(np.array([1, 0, 1]), 2, np.array([9, 0, 4]))
    assert start.tolist() == [0, 1, 3]
    assert members.tolist() == [1, 2, 0]


def test_sessions_are_pushed_back_until_the_one_before_is_over() -> None:
    #                 first listener     second listener
    wished = np.array([0, 10, 20, 200, 5])
    length = np.array([30, 20, 10, 10, 40])
    row = np.array([0, 0, 0, 0, 1])
    assert without_overlap(wished, length, row).tolist() == [0, 30, 50, 200, 5]


def test_nothing_blocked_is_played_again_by_that_listener() -> None:
    row = np.array([0, 0, 0, 1, 1])
    target = np.array([7, 8, 7, 7, 7])
    marks = np.array([True, False, False, False, False])
    assert after_block(marks, row, target, 10).tolist() == [False, False, True, False, False]


def test_a_session_plays_a_track_once() -> None:
    session = np.array([0, 0, 0, 1])
    track = np.array([4, 5, 4, 4])
    alive = np.array([True, True, True, True])
    assert first_in_session(session, track, alive, 9).tolist() == [True, True, False, True]
    assert first_in_session(session, track, ~(session == 0), 9).tolist() == [False, False, False, True]


def test_a_listener_is_the_same_in_any_block() -> None:
    catalog = build_catalog(SETTINGS)
    together = draw_tastes(SETTINGS, catalog, np.arange(40, 60))
    alone = draw_tastes(SETTINGS, catalog, np.array([47]))
    for f in fields(Tastes):
        assert np.array_equal(getattr(together, f.name)[7], getattr(alone, f.name)[0]), f.name


def test_what_a_listener_plays_is_the_same_in_any_block(world: World) -> None:
    tastes = draw_tastes(SETTINGS, world.catalog, np.array([47]))
    alone = listen(SETTINGS, world.catalog, tastes, draw_visits(SETTINGS, tastes))
    mine = world.plays.row == 47
    assert mine.sum() > 20
    assert world.plays.track[mine].tolist() == alone.track.tolist()
    assert world.plays.started[mine].tolist() == alone.started.tolist()


def test_another_seed_is_another_world() -> None:
    other = SETTINGS.model_copy(update={"seed": 4})
    mine, theirs = (simulate_block(s, build_catalog(s), 0) for s in (SETTINGS, other))
    assert not set(mine.listeners["listener_id"]) & set(theirs.listeners["listener_id"])
    assert not set(mine.log["track"]) & set(theirs.log["track"])


def test_the_mean_of_plays_is_the_one_asked_for(world: World) -> None:
    plays_a_day = len(world.plays.row) / SETTINGS.listeners / SETTINGS.days
    assert plays_a_day == pytest.approx(SETTINGS.plays_per_day, rel=0.25)


def test_truth_predicts_listening(world: World) -> None:
    plays = world.plays
    day = np.full(len(plays.row), SETTINGS.days // 2)
    anything = (uniform(plays.key, "anything") * world.catalog.tracks).astype(np.int64)
    of = {"row": plays.row, "day": day}
    played = affinity(SETTINGS, world.catalog, world.tastes, track=plays.track, **of)
    other = affinity(SETTINGS, world.catalog, world.tastes, track=anything, **of)
    assert played.mean() > other.mean() + 1.5 * other.std() / 2
    skip_rate = [plays.skipped[(plays.match > low) & (plays.match <= low + 1)].mean() for low in (-1, 0, 1)]
    assert skip_rate[0] > skip_rate[1] + 0.1
    assert skip_rate[1] > skip_rate[2]


def test_tastes_drift(world: World) -> None:
    row = np.arange(SETTINGS.listeners)
    first, last = (
        world.tastes.log_weights(row, np.full(len(row), d), SETTINGS.days / 2) for d in (0, SETTINGS.days - 1)
    )
    assert (np.argmax(first, axis=1) != np.argmax(last, axis=1)).mean() > 0.05


def test_sessions_have_structure(world: World) -> None:
    plays, catalog = world.plays, world.catalog
    together = plays.session[1:] == plays.session[:-1]
    artist = catalog.artist_of[plays.track]
    stays = (artist[1:] == artist[:-1])[together].mean()
    assert 0.35 < stays < 0.6
    shuffled = artist[np.argsort(uniform(plays.key, "shuffle"))]
    assert (shuffled[1:] == shuffled[:-1]).mean() < 0.1
    in_album = together & (plays.run[1:] == plays.run[:-1]) & (plays.kind[1:] == ALBUM) & plays.fresh[1:]
    step = np.diff(plays.track)[in_album]
    # Versions and plays left out apart, an album goes on with its next track.
    assert (step == 1).mean() > 0.7


def test_habits_show_by_hour(world: World) -> None:
    hour = (world.plays.started / 3_600_000 + world.tastes.offset_hours[world.plays.row]) % 24
    share = np.histogram(hour, bins=[0, 6, 12, 18, 24])[0] / len(hour)
    assert share[0] < 0.12
    assert share[3] > 0.3


def test_recent_plays_are_repeated_more(world: World) -> None:
    plays = pl.DataFrame({"row": world.plays.row, "track": world.plays.track}).with_row_index("n")
    lag = plays.with_columns(lag=pl.col("n").cast(pl.Int64).diff().over("row", "track"))["lag"].drop_nulls()
    assert lag.len() / plays.height > 0.3
    assert ((lag > 0) & (lag <= 50)).sum() > 1.5 * ((lag > 50) & (lag <= 100)).sum()


def test_a_listener_never_plays_two_things_at_once(world: World) -> None:
    plays = world.plays
    same = plays.row[1:] == plays.row[:-1]
    ends = plays.started + plays.elapsed
    assert (plays.started[1:] >= ends[:-1])[same].all()
    new = same & (plays.session[1:] != plays.session[:-1])
    assert ((plays.started[1:] - ends[:-1])[new] >= PAUSE_BETWEEN_SESSIONS_MS).all()


def test_nothing_is_played_before_its_release_nor_where_it_is_not_licensed(world: World) -> None:
    plays, catalog, tastes = world.plays, world.catalog, world.tastes
    # A session that starts before midnight UTC may belong to the next local day.
    assert (catalog.released[plays.track] * 86_400_000 - 86_400_000 <= plays.started).all()
    assert (catalog.markets[plays.track] >> tastes.market[plays.row].astype(np.uint16) & 1 == 1).all()
    assert not (catalog.explicit[plays.track] & ~tastes.explicit_ok[plays.row]).any()
    assert (catalog.released[plays.track] >= SETTINGS.first_day).any(), "no release during the simulated days was heard"


def test_listeners_join_over_time(world: World) -> None:
    plays, tastes = world.plays, world.tastes
    joined = tastes.joined[plays.row]
    assert ((tastes.joined > 0) & (tastes.joined < SETTINGS.days)).mean() > 0.1
    # A local day may begin up to half a day before its date in UTC.
    assert (plays.started // 86_400_000 - SETTINGS.first_day >= joined - 1).all()


def test_every_play_from_a_shelf_was_shown_before(world: World) -> None:
    shown = world.rows("impressions").select("listener_id", "shelf_id", "track_id", "shown_at")
    log = pl.concat([world.rows("log"), world.rows("late")]).filter(pl.col("shelf").is_not_null())
    first = shown.group_by("listener_id", "shelf_id", "track_id").agg(pl.col("shown_at").min().dt.epoch("ms"))
    joined = log.join(
        first, left_on=["user", "shelf", "track"], right_on=["listener_id", "shelf_id", "track_id"], how="left"
    )
    assert joined.height > 200
    unseen = joined.filter((pl.col("shown_at") < pl.col("ts")).fill_null(value=False).not_())
    # But for sessions that began just before the first simulated moment, and events dated wrongly.
    assert unseen.filter(pl.col("ts") > SETTINGS.window_ms[0] + 2 * 3_600_000).height == 0
    assert shown.height > 2 * log.height, "most of what is shown is not played"


def test_blocks_are_kept_to(world: World) -> None:
    acts = world.rows("feedback").filter(pl.col("kind") == "block_track")
    assert acts.height > 5
    clean = pl.DataFrame(
        {
            "listener_id": pl.Series(world.tastes.listener_id, dtype=pl.String).gather(world.plays.row),
            "target": pl.Series(world.catalog.track_id, dtype=pl.String).gather(world.plays.track),
            "started": world.plays.started,
        }
    )
    after = clean.join(acts, on=["listener_id", "target"]).filter(pl.col("started") > pl.col("at").dt.epoch("ms"))
    assert after.height == 0


def test_every_kind_of_feedback_occurs_and_none_after_the_end(world: World) -> None:
    acts = world.rows("feedback")
    assert {"save", "like", "dislike", "follow_artist", "block_track", "exclude_from_taste"} <= set(acts["kind"])
    assert acts["at"].dt.date().max() <= SETTINGS.end_date
    assert not acts.select("listener_id", "kind", "target").is_duplicated().any()


def test_tables_conform_to_the_schema(world: World) -> None:
    for name in ("listeners", "feedback", "impressions"):
        assert TABLES[name].conform(world.rows(name)).num_rows > 0
    tracks = tracks_frame(SETTINGS, world.catalog)
    assert (
        TABLES["tracks"].conform(tracks.drop("artist_names").with_columns(recording_id=pl.col("track_id"))).num_rows
        == SETTINGS.tracks
    )


def test_the_catalog_has_what_real_ones_have(world: World) -> None:
    tracks = tracks_frame(SETTINGS, world.catalog)
    truth = true_tracks_frame(world.catalog)
    assert tracks["track_id"].n_unique() == SETTINGS.tracks
    assert (tracks["artist_ids"].list.len() > 1).mean() > 0.05
    assert 0.5 < tracks["isrc"].is_not_null().mean() < 0.9
    assert tracks["markets"].is_not_null().any()
    assert set(tracks["markets"].drop_nulls().explode()) <= set(MARKETS)
    assert (tracks["released_on"] > SETTINGS.first_date).any()
    assert tracks.filter(pl.col("title").str.contains("feat.", literal=True)).height > 0
    # In an album, numbers are 1, 2, ... without gaps, all by one main artist.
    albums = tracks.group_by("album_id").agg(pl.col("track_no").sort(), pl.col("artist_ids").list.first().n_unique())
    assert albums.select(
        (pl.col("track_no") == pl.int_ranges(1, pl.col("track_no").list.len() + 1, dtype=pl.Int32)).all()
    ).item()
    assert (albums["artist_ids"] == 1).all()
    # A remaster is its original's recording, a live take is not.
    same = truth.group_by("version").agg(same=(pl.col("recording_of") != pl.col("track_id")).all())
    assert dict(same.iter_rows())["Remastered"] is True
    assert dict(same.iter_rows())["Live"] is False
    assert dict(same.iter_rows())["original"] is False


def test_original_titles_are_unlike_within_an_artist(world: World) -> None:
    tracks = tracks_frame(SETTINGS, world.catalog).join(true_tracks_frame(world.catalog), on="track_id")
    own = tracks.filter(pl.col("version") == "original").select(pl.col("artist_ids").list.first(), "title")
    assert not own.is_duplicated().any()


def test_neighbours_know_more_than_popularity(world: World) -> None:
    plays = world.plays
    cut = SETTINGS.window_ms[1] - 7 * 86_400_000
    shape = (SETTINGS.listeners, world.catalog.tracks)
    before, after = (
        sp.csr_matrix((np.ones(m.sum(), np.float32), (plays.row[m], plays.track[m])), shape=shape) > 0
        for m in ((plays.started < cut) & ~plays.skipped, (plays.started >= cut) & ~plays.skipped)
    )
    before, after = before.astype(np.float32), after.astype(np.float32).toarray() > 0
    heard = before.toarray() > 0
    wanted = after & ~heard
    counts = before.sum(axis=0).A1 if hasattr(before.sum(axis=0), "A1") else np.asarray(before.sum(axis=0)).ravel()
    knn = (before @ (before.T @ before)).toarray() / np.sqrt(counts + 10)
    popular = np.broadcast_to(counts, knn.shape)

    def recall(score: np.ndarray) -> float:
        top = np.argsort(-np.where(heard, -1.0, score), axis=1, kind="stable")[:, :50]
        return float(np.take_along_axis(wanted, top, axis=1).sum() / wanted.sum())

    assert recall(knn) > 2 * recall(popular)
    assert recall(knn) < 0.9
