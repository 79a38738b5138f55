"""What is counted as popularity: repeats of one listener against listeners, old listeners against new ones, markets."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from tests.benchmarks.popularity import BASE, Log, lists, measure, table, variants

NIGHT = date(2026, 1, 20)


def plays(*rows: tuple[str, str, int], times: int = 1) -> pl.DataFrame:
    """Plays by listener, track and days before the night."""
    found = [(who, track, NIGHT - timedelta(days)) for who, track, days in rows for _ in range(times)]
    return pl.DataFrame(found, schema={"listener_id": pl.String, "track_id": pl.String, "date": pl.Date}, orient="row")


def log() -> Log:
    """ann repeats `again` ten times, two others heard `shared` lately, three heard `old` a month ago."""
    before = pl.concat(
        [
            plays(("ann", "again", 0), times=10),
            plays(("bob", "shared", 0), ("cat", "shared", 1)),
            plays(("bob", "old", 30), ("cat", "old", 30), ("dan", "old", 30)),
        ]
    )
    people = pl.DataFrame({"listener_id": ["ann", "bob", "cat", "dan"], "market": ["SE", "SE", "NO", ""]})
    return Log(NIGHT, before, plays(("dan", "shared", -1), ("ann", "old", -2)), people)


def first(name: str, listener: str = "dan") -> str:
    listed = lists(log(), variants(log())[name])
    return str(listed.filter(listener_id=listener, rank=1)["item"].item())


def test_each_count_has_its_favourite() -> None:
    assert first(BASE) == "again"
    assert first("listeners") == "old"
    assert first("listeners, half-life 7 since the last play") == "shared"


def test_a_listener_of_a_market_reads_that_market_first() -> None:
    assert (
        first("listeners", "cat") in ("shared", "old")
        and first("listeners, half-life 3 since the last play", "cat") == "shared"
    )
    listed = lists(log(), variants(log())["listeners"])
    assert set(listed.filter(listener_id="cat")["item"]) == {"again", "shared", "old"}, "others' tracks come after"


def test_new_targets_are_asked_of_what_was_not_heard_and_every_target_of_everything() -> None:
    found = measure(log())
    assert found["listeners", "unheard"]["listener_id"].to_list() == ["ann", "dan"]
    value = (
        found["listeners, half-life 7 since the last play", "everything"].filter(listener_id="dan")["ndcg@50"].item()
    )
    assert value == 1.0, "dan's list begins with what they heard next"
    assert f"| unheard | {BASE} |" in table([log()])
