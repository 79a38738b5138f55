"""Outcomes are joined once, and made up where a horizon is added later."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.night.steps import join_outcomes
from pipelines.runtime.config import Settings
from pipelines.runtime.schedule import Night, to_join
from tests.pipelines.tiny import LISTENERS, NIGHT, build, candidates_of, frame, put
from transforms.outcomes.join import OutcomeSettings
from transforms.tables.warehouse import Warehouse

END = NIGHT + timedelta(7)
SHORT = Settings(shards=4, outcomes=OutcomeSettings(horizons=(1,)))
BOTH = Settings(shards=4, outcomes=OutcomeSettings(horizons=(1, 7)))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return build(tmp_path)


def join(warehouse: Warehouse, settings: Settings) -> None:
    join_outcomes(Night(warehouse.url, END, END, settings, horizon=1))


def joined(warehouse: Warehouse) -> dict[int, list[int]]:
    """Days after the night -> the horizons of the outcomes of that date."""
    days = warehouse.dates("outcomes")
    return {(d - NIGHT).days: sorted(warehouse.read("outcomes", d)["horizon"].unique().to_list()) for d in days}


def test_each_horizon_of_a_night_is_joined_when_it_closes_and_only_once(warehouse: Warehouse) -> None:
    join(warehouse, BOTH)
    assert joined(warehouse) == {1: [1], 7: [7]}
    assert to_join(warehouse, END, {1, 7}) == {}
    assert to_join(warehouse, END - timedelta(1), {1, 3, 7}) == {NIGHT + timedelta(3): [3]}, "not yet closed"


def test_a_horizon_that_is_added_is_made_up_on_dates_that_have_outcomes(warehouse: Warehouse) -> None:
    put(
        warehouse, "candidates", END - timedelta(1), candidates_of()
    )  # a second night, a day before the first one's week ends
    join(warehouse, SHORT)
    assert joined(warehouse) == {1: [1], 7: [1]}
    before = warehouse.read("outcomes", END)
    join(warehouse, BOTH)
    assert joined(warehouse) == {1: [1], 7: [1, 7]}
    kept = warehouse.read("outcomes", END).filter(horizon=1)
    assert kept.equals(before), "what had been joined is as it was"
    assert to_join(warehouse, END, {1, 7}) == {}


def test_of_a_listener_who_turned_out_to_be_a_machine_nothing_is_learned(warehouse: Warehouse) -> None:
    machine = {"reason": "breadth", "value": 900.0, "threshold": 700.0, "plays": 900}
    put(warehouse, "suspects", NIGHT + timedelta(3), frame("suspects", [{"listener_id": LISTENERS[0], **machine}]))
    put(warehouse, "suspects", NIGHT, frame("suspects", [{"listener_id": LISTENERS[1], **machine}]))
    join(warehouse, BOTH)
    one = warehouse.read("outcomes", NIGHT + timedelta(1))
    seven = warehouse.read("outcomes", END).filter(horizon=7)
    assert set(one["listener_id"]) == set(LISTENERS), "nobody was one on that day yet"
    assert set(seven["listener_id"]) == set(LISTENERS[1:]), "and who was one before the night is none of its horizon"


def test_what_was_joined_stays_when_its_night_is_gone_or_it_is_pinned() -> None:
    stored = {"candidates": [END - timedelta(1)], "outcomes": [END]}

    def asked(horizons: list[int], pinned: bool = False) -> dict:
        manifest = SimpleNamespace(settings={"horizons": horizons}, pinned=pinned)
        warehouse = SimpleNamespace(dates=stored.__getitem__, current=lambda table, day: manifest)
        return to_join(warehouse, END, {1})  # type: ignore[arg-type]

    assert asked([]) == {END: [1]}
    assert asked([], pinned=True) == {}
    assert asked([7]) == {}, "the night a week before is no longer there to be joined again"
