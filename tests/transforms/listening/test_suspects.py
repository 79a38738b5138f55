"""What tells a machine: each behaviour alone, what people do that looks a little like it, and the simulator's machines."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import accumulate

import polars as pl
import pytest

from tests.benchmarks.suspects import judged, measured
from transforms.listening.suspects import SuspectSettings, suspects, why, without_suspects
from transforms.simulation.settings import Dirt, SimulationSettings
from transforms.tables.schema import TABLES

DAY = date(2026, 1, 5)
START = datetime(2026, 1, 5, tzinfo=UTC)


def played(tracks: list[str], seconds: list[float], who: str = "m", day: date = DAY) -> pl.DataFrame:
    at = [START + timedelta(seconds=s) for s in seconds]
    schema = {"listener_id": pl.String, "track_id": pl.String, "started_at": pl.Datetime("us", "UTC"), "date": pl.Date}
    rows = {"listener_id": [who] * len(at), "track_id": tracks, "started_at": at, "date": [day] * len(at)}
    return pl.DataFrame(rows, schema=schema)


def names(n: int, of: int = 10**6) -> list[str]:
    return [f"t{k % of}" for k in range(n)]


def uneven(n: int, mean: float, first: float = 0.0) -> list[float]:
    """Starts about `mean` seconds apart, no two gaps alike for long."""
    return [first + k * mean + (k * k * 37) % 61 for k in range(n)]


CASES = {
    "regular_gaps": played(names(100, 40), [180.0 * k for k in range(100)]),
    "round_the_clock": played(names(380, 90), uneven(380, 225)),
    "one_track": played(["loop"] * 250, uneven(250, 240)),
    "breadth": played(names(900), uneven(900, 70)),
}
PEOPLE = {
    "an album on repeat": played(names(90, 12), [0.0, *accumulate(180 + (k % 12) * 53 % 120 for k in range(89))]),
    "one song all morning": played(["loop"] * 90, [200.0 * k for k in range(90)]),
    "a day of work and an evening": played(names(250, 120), uneven(250, 225, 6 * 3600)),
    "forty tracks at even gaps": played(names(40), [180.0 * k for k in range(40)]),
}


def reasons(listens: pl.DataFrame, **settings: object) -> list[str]:
    return suspects(listens, SuspectSettings.model_validate(settings))["reason"].to_list()


@pytest.mark.parametrize("reason", CASES)
def test_each_behaviour_is_told_by_its_name(reason: str) -> None:
    assert reasons(CASES[reason]) == [reason]


@pytest.mark.parametrize("who", PEOPLE)
def test_people_are_left_alone(who: str) -> None:
    assert reasons(PEOPLE[who]) == []


def test_the_row_says_what_was_found_and_what_it_was_held_to() -> None:
    (row,) = suspects(CASES["breadth"], SuspectSettings()).to_dicts()
    assert row == {
        "listener_id": "m",
        "reason": "breadth",
        "value": 900.0,
        "threshold": 700.0,
        "plays": 900,
        "date": DAY,
    }


def test_thresholds_are_settings_and_the_whole_can_be_switched_off() -> None:
    assert reasons(PEOPLE["forty tracks at even gaps"], least_plays=30) == ["regular_gaps"]
    assert reasons(CASES["breadth"], breadth=1000) == [] and reasons(CASES["breadth"], enabled=False) == []


def test_dates_are_judged_apart_in_any_order_of_rows() -> None:
    other = played(names(10), uneven(10, 200), day=DAY + timedelta(1))
    both = pl.concat([CASES["breadth"], other, PEOPLE["an album on repeat"].with_columns(listener_id=pl.lit("ann"))])
    found = suspects(both.sample(fraction=1, shuffle=True, seed=1), SuspectSettings())
    assert found.select("listener_id", "date").rows() == [("m", DAY)]
    kept = without_suspects(both, found)
    assert kept.height == 10 + 90 and "m" in kept["listener_id"].to_list(), "the other date's plays stay"


def test_nobody_plays_and_nobody_is_suspect() -> None:
    nothing = CASES["breadth"].clear()
    assert suspects(nothing, SuspectSettings()).is_empty()
    assert without_suspects(nothing, suspects(nothing, SuspectSettings())).is_empty()


def test_the_words_of_a_shelf_name_every_reason_once() -> None:
    rows = [
        ("m", "one_track", 1.0, 0.95, 300),
        ("m", "breadth", 900.0, 700.0, 900),
        ("m", "breadth", 901.0, 700.0, 901),
    ]
    table = pl.DataFrame(rows, schema=TABLES["suspects"].polars, orient="row")
    assert why(table).rows() == [("m", "the plays look like a machine's (breadth, one track)")]


def test_the_simulators_machines_are_found_and_its_people_are_not() -> None:
    settings = SimulationSettings(
        listeners=160, tracks=3000, days=8, seed=3, dirt=Dirt(machine_every=10, bot_every=1000)
    )
    rows = {(row["metric"], row["machines"]): row for row in measured(*judged(settings))}
    assert rows["recall", "all"]["n"] == 16 and rows["recall", "all"]["value"] >= 0.9
    assert rows["precision", "all"]["value"] == 1.0
