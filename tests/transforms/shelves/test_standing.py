"""Table `carried` says to a later night what four weeks of shelves say."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from transforms.shelves.carry import carried_items
from transforms.shelves.settings import NightContext
from transforms.shelves.shelf import ShelfSettings
from transforms.shelves.standing import COLUMNS, carried, pruned
from transforms.tables.schema import TABLES

FIRST = date(2026, 1, 1)
SHELVES = (
    ShelfSettings(shelf_id="weekly", title="Weekly", pool="unheard", refresh="monday"),
    ShelfSettings(shelf_id="daily", title="Daily", pool="unheard"),
)
PEOPLE = ("ann", "bob", "eve")


def night(day: date, draw: np.random.Generator) -> pl.DataFrame:
    """Shelves of one night as any night might leave them, with rows of every status."""
    rows = []
    for who in PEOPLE:
        for shelf in SHELVES:
            status = str(draw.choice(["personal", "personal", "fallback", "empty"]))
            tracks = draw.permutation(12)[: 0 if status == "empty" else 4]
            items = [
                {"position": n + 1, "track_id": f"t{t}", "score": float(t), "source": "als", "propensity": 0.5}
                for n, t in enumerate(tracks)
            ]
            rows.append(
                {
                    "run_date": day,
                    "listener_id": who,
                    "shelf_id": shelf.shelf_id,
                    "status": status,
                    "refresh_date": day - timedelta(int(draw.integers(3))),
                    "items": items[:3],
                    "spares": items[3:],
                }
            )
    return pl.DataFrame(rows, schema=TABLES["shelves"].polars)


def newest_personal(earlier: pl.DataFrame) -> pl.DataFrame:
    """What a mix begins from: each listener's newest personal shelves."""
    found = earlier.filter(pl.col("status") == "personal")
    found = found.filter(pl.col("run_date") == pl.col("run_date").max().over("listener_id"))
    return found.select("listener_id", "shelf_id", "run_date", track_id=ids("items")).sort("listener_id", "shelf_id")


def ids(column: str) -> pl.Expr:
    """Track ids of a list of items."""
    return pl.col(column).list.eval(pl.element().struct.field("track_id"))


def shown(earlier: pl.DataFrame, day: date, days: int) -> set[tuple[str, str, str]]:
    """What cools down: the tracks that stood on a shelf in the last days."""
    lately = earlier.filter(pl.col("run_date") >= day - timedelta(days))
    return set(lately.select("listener_id", "shelf_id", t=ids("items")).explode("t").drop_nulls("t").iter_rows())


def standing(earlier: pl.DataFrame, day: date) -> pl.DataFrame:
    """What is carried, as the shelves read it."""
    numbers = {who: n for n, who in enumerate(PEOPLE)}
    listener = pl.col("listener_id").replace_strict(numbers, return_dtype=pl.UInt32)
    ahead = np.zeros(len(PEOPLE), np.int64)
    return carried_items(earlier.with_columns(listener=listener), SHELVES, NightContext(day), ahead).sort(pl.all())


@pytest.mark.parametrize("days", [1, 4, 28])
def test_every_reader_finds_the_same_in_it_as_in_the_nights_themselves(days: int) -> None:
    draw = np.random.default_rng(7)
    table, nights = TABLES["carried"].empty(), list[pl.DataFrame]()
    saw_carried = saw_old = False
    for n in range(40):
        day = FIRST + timedelta(n)
        window = pl.concat(nights[-days:]) if nights else TABLES["shelves"].empty()
        assert standing(table, day).equals(standing(window, day))
        assert newest_personal(table).equals(newest_personal(window))
        for back in range(1, days + 1):
            assert shown(table, day, back) == shown(window, day, back)
        saw_carried |= standing(table, day).height > 0
        saw_old |= window.height > 0 and table.height < window.height
        nights.append(night(day, draw))
        table = carried(table, nights[-1], day, days)
    assert saw_carried and (saw_old or days == 1)


def test_it_follows_from_the_nights_as_from_the_table_before() -> None:
    draw = np.random.default_rng(8)
    nights = [night(FIRST + timedelta(n), draw) for n in range(9)]
    table, last = TABLES["carried"].empty(), FIRST + timedelta(8)
    for n, made in enumerate(nights):
        table = carried(table, made, FIRST + timedelta(n), 28)
    assert carried(pl.concat(nights[:-1]), nights[-1], last, 28).equals(table)
    assert pruned(table, last, 28).equals(table)


def test_only_the_listeners_of_the_night_are_in_it() -> None:
    made = night(FIRST, np.random.default_rng(9))
    table = carried(TABLES["carried"].empty(), made.filter(pl.col("listener_id") == "bob"), FIRST, 28)
    assert table["listener_id"].unique().to_list() == ["bob"] and table.columns == list(COLUMNS)
