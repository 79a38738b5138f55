"""Which nights are made before the first ranker: a horizon apart, where people listened, closer on a short log."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

from pipelines.runtime.config import Settings
from pipelines.runtime.schedule import bootstrap_nights, horizon

FIT = date(2026, 1, 31)
SETTINGS = Settings()


class Log:
    """A warehouse that knows how many listens each date holds, and which nights are stored."""

    def __init__(self, rows: dict[int, int], stored: tuple[int, ...] = ()) -> None:
        """`rows` by days before the fit date."""
        self.rows = {FIT - timedelta(back): n for back, n in rows.items()}
        self.stored = sorted(FIT - timedelta(back) for back in stored)

    def dates(self, table: str) -> list[date]:
        return sorted(self.rows) if table == "listens" else self.stored

    def current(self, table: str, day: date) -> Any:
        return SimpleNamespace(rows=self.rows[day])


def backs(log: Log) -> tuple[list[int], int]:
    """Nights to make, in days before the fit date, and the horizon."""
    made, apart = bootstrap_nights(log, FIT, SETTINGS)  # type: ignore[arg-type]
    assert apart == horizon(log, FIT, SETTINGS)  # type: ignore[arg-type]
    return [(FIT - day).days for day in made], apart


def test_a_long_log_has_nights_a_week_apart() -> None:
    assert backs(Log(dict.fromkeys(range(60), 100))) == ([21, 14, 7], 7)
    assert backs(Log(dict.fromkeys(range(400), 100))) == ([21, 14, 7], 7)


def test_a_short_log_has_them_closer_so_that_a_history_is_left_before_each() -> None:
    assert backs(Log(dict.fromkeys(range(24), 100))) == ([15, 12, 9, 6, 3], 3)
    assert backs(Log(dict.fromkeys(range(14), 100))) == ([10, 8, 6, 4, 2], 2)


def test_where_people_have_few_days_before_an_end_that_all_share_it_is_their_days_that_count() -> None:
    """A log of a hundred dates, of which most listeners have the last twenty."""
    rows = {back: 500 if back < 20 else 10 for back in range(100)}
    assert backs(Log(rows)) == ([15, 12, 9, 6, 3], 3)


def test_in_a_log_with_gaps_a_night_stands_where_somebody_listened_on_its_morrow() -> None:
    """Windows of five days: of the days between them nobody could be known by what came after."""
    rows = dict.fromkeys((*range(3), *range(60, 65), *range(120, 125)), 100)
    assert backs(Log(rows)) == ([62, 2], 2)


def test_nothing_is_made_of_a_day_and_what_is_stored_is_not_made_again() -> None:
    assert backs(Log({0: 100}))[0] == [] and backs(Log({}))[0] == []
    assert backs(Log(dict.fromkeys(range(60), 100), stored=(14,)))[0] == [21, 7]
    assert backs(Log(dict.fromkeys(range(60), 100), stored=(10,)))[0] == [], (
        "nights of every day are there to learn from"
    )
