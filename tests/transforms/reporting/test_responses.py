"""Open slots in the report: a number where slots speak, a sentence where they do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import polars as pl

from transforms.reporting.facts import NightFacts
from transforms.reporting.page import render
from transforms.reporting.responses import policy_tables
from transforms.tables.schema import TABLES


def rows(segment: str, best_effective: float, best: float | None = None) -> list[dict]:
    """What the night did on 26 slots, and a policy with this much evidence."""
    key = {"target": "shown", "segment": segment, "n": 26}
    made = [{**key, "model": "policy:logged", "metric": "mean listened", "value": 0.3846, "low": 0.2, "high": 0.6}]
    if best is not None:
        made.append({**key, "model": "policy:best", "metric": "ips listened", "value": best, "low": best, "high": best})
    return [*made, {**key, "model": "policy:best", "metric": "effective slots", "value": best_effective}]


def evaluation(*parts: list[dict]) -> pl.DataFrame:
    return pl.DataFrame([r for part in parts for r in part], schema=TABLES["evaluation"].polars)


def page(estimates: pl.DataFrame) -> str:
    return render(replace(NightFacts(day=date(2026, 1, 24), warehouse="w"), evaluation=estimates, evaluated_days=7))


def test_a_policy_that_no_drawn_slot_speaks_of_has_a_sentence_and_no_number() -> None:
    for best in (None, 0.0):  # also of evaluations that hold the zero
        (table,) = policy_tables(evaluation(rows("shelf d", 0.0, best)))
        (row,) = [r for r in table["rows"] if r["name"] == "best"]
        assert not row["cells"] and "no slot was drawn that this policy would draw" in row["nothing"]
        assert row["left"] == "0.0"
        shown = page(evaluation(rows("shelf d", 0.0, best)))
        assert "no slot was drawn that this policy would draw" in shown and ".0000" not in shown
        assert ".3846" in shown


def test_a_few_draws_are_too_few_and_more_are_a_number() -> None:
    (table,) = policy_tables(evaluation(rows("shelf d", 4.9, 0.5)))
    assert "fewer than 5 draws" in table["rows"][1]["nothing"]
    (table,) = policy_tables(evaluation(rows("shelf d", 5.0, 0.5)))
    assert table["rows"][1]["cells"][0][0] == ".5000" and not table["rows"][1]["nothing"]


def test_all_shelves_together_are_told_only_where_there_are_several() -> None:
    one = evaluation(rows("all", 9.0, 0.5), rows("shelf d", 9.0, 0.5))
    assert [t["words"] for t in policy_tables(one)] == ["d"]
    two = evaluation(rows("all", 9.0, 0.5), rows("shelf d", 9.0, 0.5), rows("shelf e", 9.0, 0.5))
    assert [t["words"] for t in policy_tables(two)] == ["All shelves", "d", "e"]


def test_whole_shelves_stand_beside_single_slots_and_the_page_says_which_is_which() -> None:
    made = rows("shelf d", 9.0, 0.5)
    made.append(
        {**made[0], "model": "policy:best", "metric": "shelf ips listened", "value": 1.25, "low": 1.0, "high": 1.5}
    )
    (table,) = policy_tables(evaluation(made))
    assert [r["kind"] for r in table["rows"] if r["name"] == "best"] == ["ips", "shelf ips"]
    assert "all open slots of a shelf that was looked at" in page(evaluation(made))
