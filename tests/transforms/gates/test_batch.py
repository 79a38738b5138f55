"""Each check of an ingest, on counts made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from transforms.gates.batch import BatchFacts, check_batch
from transforms.gates.check import Check
from transforms.gates.settings import BatchGates, GateSettings

DAY = date(2026, 1, 20)
SETTINGS = GateSettings(min_rows=10)
HEALTHY = BatchFacts(
    rows=110,
    duplicates=5,
    rejects=5,
    reasons={"no_track": 4, "future": 1},
    filed={DAY: 98, DAY - timedelta(1): 2},
    stored={DAY - timedelta(n): 100 for n in range(1, 8)},
    tracks=50,
    unknown=5,
    unknown_before=(0.1, 0.1, 0.2),
)


def found(name: str, facts: BatchFacts, settings: GateSettings = SETTINGS) -> Check:
    return next(c for c in check_batch(facts, settings) if c.name == name)


def test_a_healthy_batch_passes() -> None:
    assert {c.state for c in check_batch(HEALTHY, SETTINGS)} == {"PASS"}


def test_a_first_batch_is_held_to_its_own_lines_only() -> None:
    first = replace(HEALTHY, stored={}, unknown=None, unknown_before=())
    assert {c.name: c.state for c in check_batch(first, SETTINGS)} == {
        "volume": "SKIP",
        "rejects": "PASS",
        "duplicates": "PASS",
        "unknown tracks": "SKIP",
    }


@pytest.mark.parametrize(
    ("name", "sick", "says"),
    [
        ("volume", replace(HEALTHY, filed={DAY: 500}), "2026-01-20: 500 listens, 100 usual"),
        ("rejects", replace(HEALTHY, rejects=60, reasons={"no_track": 60}), "e.g. no_track 60"),
        ("duplicates", replace(HEALTHY, duplicates=80), "72.7% of 110 lines"),
        ("unknown tracks", replace(HEALTHY, unknown=30), "60.0% of 50, 10.0% usual"),
    ],
)
def test_a_sick_batch_fails_and_says_by_how_much(name: str, sick: BatchFacts, says: str) -> None:
    check = found(name, sick)
    assert check.state == "FAIL" and says in str(check), str(check)


def test_lines_that_an_earlier_batch_brought_are_no_fault_of_this_one() -> None:
    overlapping = replace(HEALTHY, rows=1000, duplicates=905, known=900, rejects=5)
    assert found("duplicates", overlapping).state == "PASS"


def test_a_day_may_come_in_parts_unless_the_settings_say_it_comes_whole() -> None:
    part = replace(HEALTHY, filed={DAY: 8})
    assert found("volume", part).state == "PASS"
    assert found("volume", part, GateSettings(min_rows=10, ingest=BatchGates(volume_low=0.5))).state == "FAIL"
