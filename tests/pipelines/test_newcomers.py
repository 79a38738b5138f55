"""Who joins after a night gets what the night itself would have given them: a row for each market and shelf."""

from __future__ import annotations

import polars as pl

from nightshelf.reader import open_night
from tests.pipelines.world import NIGHT, SETTINGS, World

SHELVES = len(SETTINGS.shelves.shelves)


def test_every_market_has_every_shelf_with_explicit_tracks_and_without(world: World) -> None:
    rows = world.warehouse.read("market_defaults", NIGHT)
    markets = set(world.warehouse.read_newest("listeners", NIGHT)["market"].drop_nulls())
    assert {"", *markets} == set(rows["market"])
    assert rows.height == len(markets | {""}) * 2 * SHELVES
    assert set(rows["status"]) <= {"fallback", "empty"} and rows["status_reason"].null_count() == 0
    shown = rows.filter(shelf_id="popular-now").select("market", "explicit_ok", pl.col("items").list.len().alias("n"))
    assert (shown["n"] > 0).all()
    tracks = world.warehouse.read_newest("tracks", NIGHT, ["track_id", "explicit"])
    clean = rows.filter(~pl.col("explicit_ok")).select(pl.col("items").explode(keep_nulls=False)).unnest("items")
    assert clean.join(tracks, on="track_id").filter(pl.col("explicit").fill_null(True)).is_empty()


def test_a_listener_without_a_history_who_was_there_got_the_same(world: World) -> None:
    shelves = world.warehouse.read("shelves", NIGHT)
    new = pl.col("status_reason").str.starts_with("no listening history yet")
    nobody = shelves.filter(new).group_by("listener_id").len().filter(pl.col("len") == SHELVES)["listener_id"].sort()
    known = world.warehouse.read_newest("listeners", NIGHT).filter(pl.col("listener_id").is_in(nobody.implode()))
    acts = pl.concat([world.warehouse.read("feedback", d) for d in world.warehouse.dates("feedback") if d <= NIGHT])
    known = known.join(acts, on="listener_id", how="anti").filter(pl.col("market").is_not_null())
    assert known.height, "the world has listeners who have not played anything yet"
    night = open_night(str(world.made))
    tracks = {"home": 0}
    for who, market, may in known.select("listener_id", "market", "explicit_ok").iter_rows():
        mine = {s["shelf_id"]: [i["track_id"] for i in s["items"]] for s in night.shelves(who)}
        default = {s["shelf_id"]: [i["track_id"] for i in s["items"]] for s in night.defaults(market, may is not False)}
        assert mine == default
        tracks["home"] += sum(map(len, mine.values()))
    assert tracks["home"] > 0
