"""A world that answers: what moves its listeners, by how much, and that luck is the same under every policy."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.common.errors import UserError
from transforms.simulation.block import OLDER
from transforms.simulation.live import LiveWorld, Logged, Truth
from transforms.simulation.live_files import Folder
from transforms.simulation.live_policies import LAYOUT, Policy, policy_shelves
from transforms.simulation.live_settings import LiveSettings
from transforms.simulation.live_state import Menu, Pairs, State
from transforms.simulation.raw_log import COLUMNS
from transforms.simulation.settings import DAY_MS, EPOCH, SimulationSettings
from transforms.tables.schema import TABLES

SIZE = SimulationSettings(listeners=120, tracks=800, days=40, seed=5)
DAYS = 10


@pytest.fixture(scope="module")
def world() -> LiveWorld:
    return LiveWorld.build(SIZE, LiveSettings(), DAYS)


def lived(world: LiveWorld, policy: Policy, days: int = DAYS) -> tuple[State, list[Logged], list[Truth]]:
    """Some days under a policy."""
    state, logs, truths = world.morning(), [], []
    for n in range(days):
        day = world.first_live + timedelta(n)
        state, logged, truth = world.day(state, day, policy_shelves(world, state, day, policy))
        logs.append(logged)
        truths.append(truth)
    return state, logs, truths


@pytest.fixture(scope="module")
def random(world: LiveWorld) -> tuple[State, list[Logged], list[Truth]]:
    return lived(world, "random")


@pytest.fixture(scope="module")
def oracle(world: LiveWorld) -> tuple[State, list[Logged], list[Truth]]:
    return lived(world, "oracle")


def total(truths: list[Truth], column: str) -> float:
    return sum(float(t.listeners[column].sum()) for t in truths)


def test_the_best_shelves_please_more_and_the_pleased_come_back_sooner(random: tuple, oracle: tuple) -> None:
    (low, _, worst), (high, _, best) = random, oracle
    assert total(best, "finished") > 3 * total(worst, "finished")
    assert high.satisfaction.mean() > 0.2 > 0 > low.satisfaction.mean()
    assert total(best, "possible") == total(worst, "possible"), "the same sessions could have taken place"
    assert total(best[5:], "sessions") > 1.1 * total(worst[5:], "sessions")


def test_satisfaction_alone_moves_returns_as_the_settings_say(world: LiveWorld) -> None:
    calm, day = world.morning(), world.first_live
    shelves = policy_shelves(world, calm, day, "random")
    shares = {}
    for level in (-1.0, 0.0, 1.0):
        state = State(np.full(SIZE.listeners, level), calm.known, calm.tired, calm.adopted, calm.blocked)
        _, _, truth = world.day(state, day, shelves)
        shares[level] = truth.listeners["sessions"].sum() / truth.listeners["possible"].sum()
    live = world.who.live
    for level, share in shares.items():
        expected = 1 / (1 + np.exp(-live.comes - live.loyalty * level))
        assert share == pytest.approx(expected, abs=0.1), level


def test_equal_shelves_give_equal_days_and_luck_does_not_hang_on_where_a_track_stands(world: LiveWorld) -> None:
    state, day = world.morning(), world.first_live
    shelves = policy_shelves(world, state, day, "oracle")
    _, one, truth = world.day(state, day, shelves)
    _, two, _ = world.day(state, day, shelves.sample(fraction=1.0, shuffle=True, seed=1))
    for name in ("listens", "impressions", "feedback"):
        assert getattr(one, name).equals(getattr(two, name)), name
    turned = shelves.with_columns(
        items=pl.col("items").list.eval(
            pl.struct(
                position=pl.element().struct.field("position"), track_id=pl.element().struct.field("track_id").reverse()
            )
        )
    )
    _, _, other = world.day(state, day, turned)
    both = truth.items.filter("seen").join(other.items.filter("seen"), on=["listener_id", "track_id"])
    both = both.unique(["listener_id", "track_id"])
    assert both.height > 50 and (both["position"] != both["position_right"]).any()
    assert (both["played"] == both["played_right"]).mean() > 0.97, "fatigue of the same day aside, the same luck"


def test_what_stands_further_right_is_seen_less_and_known_fits_are_played_more(oracle: tuple, random: tuple) -> None:
    items = pl.concat([t.items for t in random[2]])
    by = items.group_by(pl.col("position").clip(1, 8)).agg(pl.col("seen").mean()).sort("position")
    assert by["seen"][0] > by["seen"][3] > by["seen"][7]
    seen = pl.concat([items, *(t.items for t in oracle[2])]).filter("seen")
    well, ill = (seen.filter(side)["played"].mean() for side in (pl.col("fit") > 1, pl.col("fit") < -1))
    assert well > 2 * ill  # type: ignore[operator]
    assert seen["played"].mean() == pytest.approx(seen["p_play"].mean(), abs=0.02), "the truth told is the truth"


def test_whoever_leaves_after_a_play_is_shown_no_later_shelf(world: LiveWorld) -> None:
    """In a cascade no shelf stands below one that was played from, and what stands above is as in the world without."""
    cascade = LiveWorld.build(SIZE, LiveSettings(leaves=1.0), DAYS)
    day, state = world.first_live, world.morning()
    shelves = policy_shelves(world, state, day, "oracle")
    found = []
    for one in (world, cascade):
        items = one.day(state, day, shelves)[2].items.filter(surface="home")
        order = {shelf: place for shelf, surface, place, _ in LAYOUT if surface == "home"}
        found.append(items.with_columns(place=pl.col("shelf_id").replace_strict(order)))
    whole, cut = found
    below = pl.col("place") > pl.when("played").then("place").min().over("listener_id")
    once = whole.filter(pl.struct("shelf_id", "track_id").is_unique().over("listener_id"))["listener_id"].unique()
    assert once.len() > 20 and whole.filter(below.fill_null(False)).height > 100
    one_visit = cut.group_by("listener_id").agg(twice=pl.struct("shelf_id", "position").is_duplicated().any())
    alone = one_visit.filter(~pl.col("twice"))["listener_id"]
    assert alone.len() > 20
    assert cut.filter(pl.col("listener_id").is_in(alone.implode()) & below.fill_null(False)).is_empty()
    assert cut["played"].sum() < whole["played"].sum()


def test_an_app_that_logs_the_page_logs_all_of_it_and_nothing_else_changes(world: LiveWorld) -> None:
    page = LiveWorld.build(SIZE, LiveSettings(logs="page"), DAYS)
    day, state = world.first_live, world.morning()
    shelves = policy_shelves(world, state, day, "oracle")
    (_, displayed, truth), (_, whole, same) = (one.day(state, day, shelves) for one in (world, page))
    assert displayed.listens.equals(whole.listens) and truth.items.equals(same.items)
    key = ["listener_id", "surface", "shelf_id", "track_id", "position", "shown_at"]
    assert displayed.impressions.join(whole.impressions, on=key, how="anti").is_empty()
    assert whole.impressions.height > displayed.impressions.height
    visited = whole.impressions.select("listener_id", "surface").unique()
    stood = shelves.join(visited, on=["listener_id", "surface"]).select("listener_id", "surface", "shelf_id", "items")
    stood = stood.explode("items").unnest("items").drop("position")
    logged = whole.impressions.select(stood.columns).unique()
    assert logged.sort(stood.columns).equals(stood.unique().sort(stood.columns))


def test_the_same_shelf_day_after_day_tires(world: LiveWorld) -> None:
    state = world.morning()
    shelves = policy_shelves(world, state, world.first_live, "oracle")
    shares = []
    for n in range(6):
        state, _, truth = world.day(state, world.first_live + timedelta(n), shelves)
        shares.append(truth.items.filter("seen")["p_play"].mean())
    assert shares[5] < 0.75 * shares[0]


def test_what_is_blocked_is_not_played_again_and_what_is_adopted_comes_back(oracle: tuple, world: LiveWorld) -> None:
    state, logs, _ = oracle
    assert len(state.adopted.codes) > 50
    own = pl.concat([log.listens for log in logs[5:]]).filter(
        pl.col("shelf").is_null() & (pl.col("source") == "library")
    )
    owner, track = np.divmod(state.adopted.codes, world.who.tracks)
    adopted = pl.DataFrame(
        {"user": world.who.tastes.listener_id[owner].tolist(), "track": world.who.catalog.track_id[track].tolist()}
    )
    assert own.join(adopted, on=["user", "track"], how="semi").height > 20
    everyone = np.arange(SIZE.listeners * world.who.tracks)
    shut = State(state.satisfaction, state.known, state.tired, state.adopted, Pairs.none().mark(everyone))
    day = world.first_live
    _, logged, _ = world.day(shut, day, policy_shelves(world, state, day, "random"))
    assert logged.impressions.height and logged.listens["shelf"].null_count() == logged.listens.height


def test_what_is_logged_is_of_its_day_in_order_and_in_the_tables_columns(oracle: tuple, world: LiveWorld) -> None:
    for n, log in enumerate(oracle[1]):
        low = ((world.first_live - EPOCH).days + n) * DAY_MS
        assert log.listens.columns == list(COLUMNS)
        assert log.listens["ts"].is_between(low, low + DAY_MS - 1).all()
        turns = log.listens.drop_nulls("ms_played").sort("user", "ts")
        ends = turns.with_columns(before=(pl.col("ts") + pl.col("ms_played")).shift(1).over("user"))
        assert (ends["before"].fill_null(0) <= ends["ts"]).all(), "nobody plays two tracks at once"
        TABLES["impressions"].conform(log.impressions)
        TABLES["feedback"].conform(log.feedback)
        assert log.feedback["at"].dt.date().is_in([world.first_live + timedelta(n)]).all()
        shown = log.impressions.select("listener_id", "track_id", "shelf_id").unique()
        played = log.listens.filter(pl.col("shelf").is_not_null()).select("user", "track", "shelf")
        assert played.join(shown, left_on=played.columns, right_on=shown.columns, how="anti").is_empty()


def test_history_is_before_the_first_day_and_its_impressions_name_no_shelf_of_ours(world: LiveWorld) -> None:
    log = world.history()
    until = (world.first_live - EPOCH).days * DAY_MS
    assert log.listens["ts"].max() < until and log.listens.height > 10_000  # type: ignore[operator]
    assert log.impressions["shown_at"].dt.date().max() < world.first_live  # type: ignore[operator]
    assert log.impressions["version"].unique().to_list() == [OLDER]


def test_both_policies_fill_the_same_shelves(world: LiveWorld) -> None:
    for policy in ("random", "oracle"):
        shelves = policy_shelves(world, world.morning(), world.first_live, policy)  # type: ignore[arg-type]
        assert shelves.height == SIZE.listeners * len(LAYOUT)
        home = shelves.filter(surface="home").explode("items").unnest("items")
        assert not home.select("listener_id", "track_id").is_duplicated().any()


def test_a_day_that_was_lived_is_read_and_another_world_is_refused(world: LiveWorld, tmp_path: Path) -> None:
    folder, day = Folder(tmp_path / "world"), world.first_live
    folder.begin(world, {"seed": 5}, DAYS)
    assert folder.state(day) is None
    state = world.morning()
    after, logged, truth = world.day(state, day, policy_shelves(world, state, day, "oracle"))
    folder.keep(day, logged, truth, after)
    back = folder.state(day)
    assert back is not None and back.satisfaction.tolist() == after.satisfaction.tolist()
    assert back.tired.codes.tolist() == after.tired.codes.tolist()
    assert folder.summary(day)["finished"] == truth.items["completed"].sum()
    assert folder.delivered(day)["inputs"] == [str(tmp_path / "world" / "log" / f"date={day}" / "listens.parquet")]
    folder.begin(world, {"seed": 5}, DAYS)
    with pytest.raises(UserError, match=r"another world lives in world \(different: seed\); choose another --out"):
        folder.begin(world, {"seed": 6}, DAYS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty and holds no live world"):
        Folder(tmp_path / "other").begin(world, {}, DAYS)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)), max_size=20))
def test_pairs_add_up_in_any_order(entries: list[tuple[int, int]]) -> None:
    codes, values = np.array([c for c, _ in entries], dtype=np.int64), np.array([float(v) for _, v in entries])
    one = Pairs.none().add(codes, values)
    two = Pairs.none()
    for c, v in reversed(entries):
        two = two.add(np.array([c]), np.array([float(v)]))
    ask = np.arange(22)
    assert one.of(ask).tolist() == two.of(ask).tolist() == [sum(v for c, v in entries if c == k) for k in ask.tolist()]


def test_a_menu_by_hand() -> None:
    item = [{"position": 1, "track_id": "x"}, {"position": 2, "track_id": "gone"}, {"position": 3, "track_id": "y"}]
    one = {"listener_id": "bob", "surface": "home", "version": "v"}
    rows = [
        {**one, "shelf_id": "second", "home_position": 2, "items": item[:1]},
        {**one, "shelf_id": "first", "home_position": 1, "items": item},
        {**one, "listener_id": "ann", "surface": "cellar", "shelf_id": "c", "home_position": 1, "items": item},
    ]
    menu = Menu.read(pl.DataFrame(rows), ["ann", "bob"], ["x", "y"], ["home"])
    visit, entry = menu.of(np.array([1, 0]), 0)
    assert visit.tolist() == [0, 0, 0]
    assert menu.track[entry].tolist() == [0, 1, 0] and menu.place[entry].tolist() == [0, 0, 1]
    assert menu.position[entry].tolist() == [1, 3, 1], "a track that the world does not know is passed over"


def test_the_first_lived_day_is_counted_from_the_end(world: LiveWorld) -> None:
    assert world.first_live == SIZE.end_date - timedelta(DAYS - 1) == date(2026, 1, 22)
