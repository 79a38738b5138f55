"""Small listening logs for tests: written by hand, or generated."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
from hypothesis import strategies as st

DAY1 = date(2026, 1, 1)
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 4
SCHEMA = {
    "listener_id": pl.String,
    "track_id": pl.String,
    "started_at": pl.Datetime("us", "UTC"),
    "ms_played": pl.Int32,
    "skipped": pl.Boolean,
    "completed": pl.Boolean,
    "country": pl.String,
    "late": pl.Boolean,
    "date": pl.Date,
}
MINUTE = 60_000


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """A time of day on day 1, 2, ... of the tests' calendar."""
    return MIDNIGHT + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second)


def play(listener, track, started_at, ms=None, *, skipped=None, completed=None, country=None, filed=None):
    """One listen; `filed` makes it a late one, filed under that date."""
    return (listener, track, started_at, ms, skipped, completed, country, filed is not None, filed or started_at.date())


def listens(*plays) -> pl.DataFrame:
    """A frame of plays, in the order given."""
    return pl.DataFrame(list(plays), schema=SCHEMA, orient="row")


@st.composite
def logs(draw, listeners="ab", tracks="wxyz", most=40) -> pl.DataFrame:
    """A log of DAYS days, without duplicates, with pauses around the gap, plays over midnight, and late listens."""
    plays = {}
    for _ in range(draw(st.integers(0, most))):
        listener, track = draw(st.sampled_from(listeners)), draw(st.sampled_from(tracks))
        minute = draw(st.integers(0, DAYS * 24 * 6 - 1)) * 10
        when = MIDNIGHT + timedelta(minutes=minute, microseconds=draw(st.sampled_from([0, 1])))
        ms = draw(st.sampled_from([None, 0, 20_000, 10 * MINUTE, 29 * MINUTE, 300 * MINUTE, 2000 * MINUTE]))
        later = [DAY1 + timedelta(n) for n in range(DAYS) if DAY1 + timedelta(n) > when.date()]
        filed = draw(st.sampled_from(later)) if later and draw(st.integers(0, 5)) == 0 else None
        skipped, completed = draw(st.sampled_from([None, True, False])), draw(st.sampled_from([None, True, False]))
        plays[listener, track, when] = play(
            listener, track, when, ms, skipped=skipped, completed=completed, country="SE", filed=filed
        )
    return listens(*plays.values())


def dates_of(first: int = 1, last: int = DAYS) -> list[date]:
    """Dates of the calendar from day `first` to day `last`."""
    return [DAY1 + timedelta(n - 1) for n in range(first, last + 1)]
