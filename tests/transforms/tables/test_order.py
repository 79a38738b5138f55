"""Rows by date: nothing lost, given order kept, dates in order."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.tables.order import by_date

DATES = st.sampled_from([date(1970, 1, 1), date(2026, 1, 1), date(2026, 1, 2), date(2090, 7, 1), date(2400, 2, 29)])


@given(st.lists(DATES, max_size=30))
def test_each_date_gets_its_rows_in_their_given_order(dates):
    frame = pl.DataFrame({"n": range(len(dates)), "date": dates}, schema={"n": pl.Int64, "date": pl.Date})
    found = by_date(frame)
    assert [day for day, _ in found] == sorted(set(dates))
    for day, rows in found:
        assert rows.columns == ["n"]
        assert rows["n"].to_list() == [n for n, at in enumerate(dates) if at == day]


def test_a_row_without_a_date_is_an_error():
    with pytest.raises(ValueError, match="some have none"):
        by_date(pl.DataFrame({"n": [1], "date": [None]}, schema={"n": pl.Int64, "date": pl.Date}))
