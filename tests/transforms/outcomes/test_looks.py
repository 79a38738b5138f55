"""What a listener surely looked at: down to the last shelf they played from, else as many as a screen shows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from transforms.common.typed_names import LooksAt
from transforms.outcomes.looks import counts, looks
from transforms.tables.schema import TABLES

NIGHT = date(2026, 1, 10)
NEXT = datetime(2026, 1, 11, 9, tzinfo=UTC)
ORDER = ["popular-now", "discover-weekly", "on-repeat", "rediscover"]


def shelves(listener: str = "ann", **over: Any) -> pl.DataFrame:
    rows = [
        {
            "listener_id": listener,
            "shelf_id": shelf,
            "surface": "home",
            "version": "v",
            "home_position": k + 1,
            "home_context": 10 + k,
            "valid_from": datetime(2026, 1, 11, tzinfo=UTC),
            "valid_until": datetime(2026, 1, 12, tzinfo=UTC),
            "items": [{"track_id": f"{shelf}-{n}"} for n in range(3)],
            "spares": [],
            **over,
        }
        for k, shelf in enumerate(ORDER)
    ]
    spares = pl.List(pl.Struct({"track_id": pl.String}))
    return pl.DataFrame(rows, schema_overrides={"spares": spares, "home_context": pl.Int32})


def shown(*ids: str, listener: str = "ann", version: str | None = "v") -> pl.DataFrame:
    rows = [(listener, "home", s, version, f"{s}-0", 1, "item", NEXT) for s in ids]
    return pl.DataFrame(rows, schema=TABLES["impressions"].polars, orient="row")


def played(*from_: str | None, ms: int = 200_000, at: datetime = NEXT) -> pl.DataFrame:
    schema = {
        **{"listener_id": pl.String, "track_id": pl.String, "started_at": pl.Datetime("us", "UTC")},
        **{"ms_played": pl.Int32, "skipped": pl.Boolean, "completed": pl.Boolean, "shelf_id": pl.String},
    }
    return pl.DataFrame([("ann", "x", at, ms, None, None, s) for s in from_], schema=schema, orient="row")


def found(impressions: pl.DataFrame, listens: pl.DataFrame, visible: int | None = 2) -> list[tuple[str, bool]]:
    return (
        looks(NIGHT, 1, shelves(), impressions, listens, visible).sort("position").select("shelf_id", "played").rows()
    )


def test_down_to_the_last_play_and_without_one_as_many_as_are_visible() -> None:
    everything = shown(*ORDER)
    assert found(everything, played()) == [("popular-now", False), ("discover-weekly", False)]
    assert found(everything, played("on-repeat")) == [
        ("popular-now", False),
        ("discover-weekly", False),
        ("on-repeat", True),
    ]
    assert found(everything, played("popular-now")) == [("popular-now", True)]
    assert found(everything, played("popular-now", "rediscover")) == [
        ("popular-now", True),
        ("discover-weekly", False),
        ("on-repeat", False),
        ("rediscover", True),
    ]


def test_where_the_app_logs_what_was_on_the_screen_all_of_it_was_looked_at() -> None:
    three = shown(*ORDER[:3])
    assert found(three, played("popular-now"), visible=None) == [
        ("popular-now", True),
        ("discover-weekly", False),
        ("on-repeat", False),
    ]
    assert len(found(three, played(), visible=None)) == 3 and len(found(three, played())) == 2


def test_what_was_not_displayed_was_not_looked_at() -> None:
    assert found(shown("discover-weekly", "rediscover"), played("rediscover")) == [
        ("discover-weekly", False),
        ("rediscover", True),
    ]
    assert found(shown(), played("on-repeat")) == []
    assert found(shown(*ORDER, version="another"), played("on-repeat")) == [], "of another night"


@pytest.mark.parametrize(
    "listens", [played(None), played("on-repeat", ms=5_000), played("on-repeat", at=datetime(2026, 1, 13, tzinfo=UTC))]
)
def test_a_play_from_elsewhere_a_sampled_one_and_a_later_one_are_none(listens: pl.DataFrame) -> None:
    assert found(shown(*ORDER), listens) == [("popular-now", False), ("discover-weekly", False)]


def test_of_surfaces_whose_order_is_not_learned_there_are_none() -> None:
    nothing = looks(NIGHT, 1, shelves(home_context=None), shown(*ORDER), played("on-repeat"), 2)
    assert nothing.is_empty() and nothing.columns == list(TABLES["looks"].polars)


def test_counts_of_parts_add_up_to_those_of_the_whole() -> None:
    both = pl.concat([shelves(), shelves("bob")])
    seen = pl.concat([shown(*ORDER), shown(*ORDER[:1], listener="bob")])
    rows = looks(NIGHT, 1, both, seen, played("on-repeat"), 2)
    whole = counts(rows)
    assert LooksAt.among(whole) == {
        LooksAt("popular-now", 10, "looks"): 2,
        LooksAt("discover-weekly", 11, "looks"): 1,
        LooksAt("on-repeat", 12, "looks"): 1,
        LooksAt("on-repeat", 12, "plays"): 1,
    }
    parts = [counts(rows.filter(listener_id=who)) for who in ("ann", "bob")]
    assert {name: sum(part.get(name, 0) for part in parts) for name in whole} == whole
