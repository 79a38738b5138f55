"""What stands on Home in a bench of whole nights: read from stored shelves, and put into another order."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipelines.live import Plan
from tests.benchmarks.home_live import IDS, any_play, chances_of
from tests.benchmarks.home_nights import OWN, Stands, ordered_by, settings_of
from transforms.simulation.live import LiveWorld
from transforms.simulation.live_settings import LiveSettings
from transforms.tables.schema import TABLES


@pytest.fixture(scope="module")
def world() -> LiveWorld:
    return Plan(3, 60, 2, history=7).world(LiveSettings(opens={"home": 1.0}))


def stored(world: LiveWorld, of: dict[str, list[str]]) -> pl.DataFrame:
    """Shelves of the first listener, by shelf the tracks, in this order on Home; the other listeners have empty ones."""
    names, rows = world.who.tastes.listener_id.tolist(), []
    for n, name in enumerate(names):
        for place, (shelf, tracks) in enumerate(of.items()):
            items = [{"position": k + 1, "track_id": t} for k, t in enumerate(tracks if n == 0 else [])]
            rows.append((name, "home", shelf, "v", place + 1, items))
    kinds = TABLES["shelves"].polars
    item = pl.List(pl.Struct({"position": pl.Int32, "track_id": pl.String}))
    columns = ["listener_id", "surface", "shelf_id", "version", "home_position"]
    return pl.DataFrame(rows, schema={**{c: kinds[c] for c in columns}, "items": item}, orient="row")


def test_what_stands_is_read_by_shelf_and_place_and_can_be_put_into_another_order(world: LiveWorld) -> None:
    ids = world.who.catalog.track_id.tolist()
    shelves = stored(world, {"popular-now": [ids[4], ids[2]], "on-repeat": [ids[7]], "rediscover": []})
    stands = Stands(world, shelves)
    popular, repeat = IDS.index("popular-now"), IDS.index("on-repeat")
    assert stands.tracks[0, popular].tolist() == [4, 2] and stands.tracks[0, repeat].tolist() == [7, -1]
    assert np.flatnonzero(stands.there[0]).tolist() == sorted([popular, repeat]) and not stands.there[1:].any()
    assert stands.place[0, popular] < stands.place[0, repeat] < stands.place[0, IDS.index("rediscover")]

    chance = chances_of(world, world.morning(), stands.tracks, world.first_live)
    assert (chance[0, [popular, repeat]] > 0).all() and np.count_nonzero(chance) == 2
    likes = np.zeros(chance.shape)
    likes[:, repeat] = 1.0
    turned = Stands(world, ordered_by(world, shelves, likes, stands.there))
    assert turned.place[0, repeat] < turned.place[0, popular]
    assert np.array_equal(turned.tracks, stands.tracks)
    best = Stands(world, ordered_by(world, shelves, chance, stands.there))
    known = any_play(world, chance, best.place)
    assert (
        known >= np.maximum(any_play(world, chance, stands.place), any_play(world, chance, turned.place)) - 1e-12
    ).all()


def test_each_order_is_a_block_of_settings() -> None:
    homes = {how: settings_of(how, "page", 0.5).shelves.home for how in OWN}
    assert homes["learned"].learned and homes["learned"].visible == 3
    assert homes["pointwise"].visible is None and homes["pointwise"].exploration == 0
    assert not homes["settings"].learned and not homes["oracle"].learned
