"""Whether a daily mix is the same mix from night to night, measured on two stored nights of a warehouse.

    .venv/bin/python -m tests.benchmarks.mix_stability --warehouse W [--listeners 500]
    .venv/bin/python -m tests.benchmarks.mix_stability --warehouse W --stored

`--stored` compares what listeners were given: the mixes of each two nights in a row that stand in table `shelves`, all listeners,
and the mean over these pairs of nights. Without it:

The newest two nights with library and embeddings are a week apart, and every model was fitted anew between them. Each listener's
six mixes are made on the first night; on the second once beside the first night's (as the program does) and once from scratch. A
mix stays where both nights have it under the same number and at least half of its artists on the second night stood on it on the
first. Only heard tracks are candidates here.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl

from transforms.shelves.assemble import Given, assemble
from transforms.shelves.history import Embeddings, TrackSide
from transforms.shelves.settings import NightContext, ShelvesSettings
from transforms.shelves.tracks import Tracks
from transforms.tables.warehouse import Warehouse


def mixes(warehouse: Warehouse, night: date, listeners: int, previous: pl.DataFrame | None) -> pl.DataFrame:
    """Rows of table `shelves` of the six mixes, made of what each listener has heard."""
    library = warehouse.read("library", night, ["listener_id", "track_id", "heard"]).filter(pl.col("heard") > 0)
    who = library["listener_id"].unique().sort().head(listeners)
    mine = library.filter(pl.col("listener_id").is_in(who.implode()))
    tracks = Tracks.build(warehouse.read_newest("tracks", night), mine["track_id"])
    vectors = warehouse.read("track_embeddings", night).filter(pl.col("model") == "als")
    matrix = np.array(vectors["vector"].to_list(), np.float32)
    length = np.linalg.norm(matrix, axis=1, keepdims=True)
    rows, place = tracks.rows(vectors["track_id"]), np.full(len(tracks), -1, np.int32)
    place[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    side = TrackSide.of(tracks, Embeddings(matrix / np.where(length > 0, length, 1), place))
    played = mine.select("listener_id", "track_id", decayed_plays=pl.col("heard").cast(pl.Float32))
    rows_of = played.with_columns(heard_before=pl.lit(True), plays=pl.col("decayed_plays"), ranker_score=pl.lit(0.0))
    shelves = tuple(s for s in ShelvesSettings().shelves if s.surface == "mixes")
    made = assemble(
        rows_of,
        who.to_frame(),
        Given(tracks, side=side, previous=previous, plays=played),
        night=NightContext(night, "bench"),
        settings=ShelvesSettings(shelves=shelves),
    )
    return made.shelves


def stays(before: pl.DataFrame, now: pl.DataFrame) -> dict[str, float]:
    """Share of the first night's mixes that stay, and the mean share of artists they have in common."""

    def artists(frame: pl.DataFrame, name: str) -> pl.DataFrame:
        personal = frame.filter(pl.col("status") == "personal").select("listener_id", "shelf_id", "items")
        each = personal.explode("items").select("listener_id", "shelf_id", pl.col("items").struct.field("artist_ids"))
        first = (
            each.explode("artist_ids")
            .group_by("listener_id", "shelf_id")
            .agg(pl.col("artist_ids").unique().alias(name))
        )
        return first

    both = artists(before, "before").join(artists(now, "now"), on=["listener_id", "shelf_id"], how="left")
    shared = both.select(
        (pl.col("now").list.set_intersection("before").list.len() / pl.col("now").list.len()).fill_null(0.0)
    ).to_series()
    return {
        "mixes": len(shared),
        "stay": round(float((shared >= 0.5).mean() or 0), 3),
        "shared": round(float(shared.mean() or 0), 3),
    }


def of_stored(warehouse: Warehouse) -> dict[str, float | str]:
    """Mixes of each two nights in a row, and the least and mean share of them that stay."""
    days = warehouse.dates("shelves")
    pairs = [(a, b) for a, b in pairwise(days) if (b - a).days == 1]
    columns = ["listener_id", "shelf_id", "status", "items"]
    mix = pl.col("shelf_id").str.starts_with("daily-mix-")
    rows = {day: warehouse.read("shelves", day, columns).filter(mix) for day in days}
    found = [stays(rows[a], rows[b]) for a, b in pairs]
    return {
        "nights": f"{days[0]} to {days[-1]}",
        "pairs": len(pairs),
        "mixes": sum(one["mixes"] for one in found),
        **{name: round(float(np.mean([one[name] for one in found])), 3) for name in ("stay", "shared")},
        "least": min(one["stay"] for one in found),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--warehouse", required=True)
    parser.add_argument("--listeners", type=int, default=500)
    parser.add_argument("--stored", action="store_true")
    arguments = parser.parse_args()
    warehouse = Warehouse(arguments.warehouse)
    if arguments.stored:
        print(json.dumps(of_stored(warehouse)))
        raise SystemExit
    first, second = warehouse.dates("track_embeddings")[-2:]
    earlier = mixes(warehouse, first, arguments.listeners, None)
    for how, made in (
        ("beside the first night", mixes(warehouse, second, arguments.listeners, earlier)),
        ("from scratch", mixes(warehouse, second, arguments.listeners, None)),
    ):
        print(json.dumps({"nights": [str(first), str(second)], "how": how, **stays(earlier, made)}), flush=True)
