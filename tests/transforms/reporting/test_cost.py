"""Seconds into money."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from tests.transforms.reporting.test_page import DAY, NIGHT, parsed
from transforms.reporting.cost import Usage, cost, table
from transforms.reporting.facts import Job
from transforms.reporting.page import render
from transforms.reporting.settings import CostSettings

PRICED = CostSettings(machine_hour=0.36, currency="EUR", vcpus=2, memory_gb=1)
TRAINED = Job("train", "2026-01-18", 3600.0, 2048.0, 10, 10, 1.0, vcpus=2)
SCORED = Job("score", DAY.isoformat(), 100.0, 512.0, 10, 10, 1.0, vcpus=2)


def test_a_job_costs_its_seconds_on_all_vcpus_of_its_machine() -> None:
    assert cost(Usage(100, 2, 1), PRICED) == pytest.approx(0.01)
    assert cost(Usage(100, 4, 1), PRICED) == pytest.approx(0.02), "four vCPUs are two such machines"
    assert cost(Usage(100, 2, 1), CostSettings()) is None


def test_each_job_the_night_alone_and_all_of_it_and_what_a_thousand_listeners_cost() -> None:
    rows = table(replace(NIGHT, jobs=[TRAINED, SCORED], listeners=500, prices=PRICED))
    assert [r.name for r in rows] == ["train 2026-01-18", f"score {DAY}", f"jobs of {DAY} alone", "all of it"]
    assert [r.money for r in rows] == ["0.3600 EUR", "0.0100 EUR", "0.0100 EUR", "0.3700 EUR"]
    assert [r.money_per_1000 for r in rows] == ["0.7200 EUR", "0.0200 EUR", "0.0200 EUR", "0.7400 EUR"]
    assert [r.seconds_per_1000 for r in rows] == ["7200.00", "200.00", "200.00", "7400.00"]
    assert [r.vcpu_hours for r in rows] == ["2.0000", "0.0556", "0.0556", "2.0556"]
    assert [r.fits for r in rows] == [False, True, True, False], "2 GB do not fit into 1"


def test_without_a_price_there_are_hours_and_no_money() -> None:
    page = render(replace(NIGHT, jobs=[SCORED]))
    parsed(page)
    assert "vCPU hours" in page and "Set cost.machine_hour" in page and "USD" not in page
    priced = render(replace(NIGHT, jobs=[SCORED], prices=PRICED))
    assert "0.0100 EUR" in priced and "a machine of 2 vCPUs" in priced


def test_without_jobs_nothing_is_said() -> None:
    assert table(replace(NIGHT, jobs=[])) == []


@pytest.mark.parametrize(
    "wrong", [{"machine_hour": -1}, {"vcpus": 0}, {"memory_gb": 0}, {"currency": ""}, {"price": 1}]
)
def test_a_wrong_price_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CostSettings.model_validate(wrong)
