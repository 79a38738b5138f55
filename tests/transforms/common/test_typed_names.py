"""Names of counts and keys are records: what is written is what is read, and nothing else is."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.common.typed_names import FiledLate, NullsOf, ScoreBin, ShelfStatus, TableDate, TableShard, TypedName

WORDS = st.text(st.characters(categories=["L", "N"], include_characters="-_"), min_size=1)


@given(shelf=st.text(min_size=1), state=WORDS, bin=st.integers(), day=st.dates(), first=st.dates())
def test_what_is_written_is_what_is_read(shelf: str, state: str, bin: int, day: date, first: date) -> None:
    records: list[TypedName] = [
        ShelfStatus(shelf, state),
        NullsOf(shelf),
        ScoreBin(state, bin),
        FiledLate(day, first),
        TableShard(state, abs(bin)),
        TableDate(state, day),
    ]
    for record in records:
        assert type(record).parse(str(record)) == record


@pytest.mark.parametrize(
    "other", ["rows", "status", "status on-repeat", "nulls country", "late 2026-01-05", "", "late a b"]
)
def test_another_name_is_no_such_record(other: str) -> None:
    assert [kind.parse(other) for kind in (ShelfStatus, NullsOf, ScoreBin, FiledLate)] == [None] * 4


def test_records_are_found_among_counts() -> None:
    counts = {"rows": 5, "status home empty": 2, "status on repeat personal": 3, "score cross -4": 7}
    assert ShelfStatus.among(counts) == {ShelfStatus("home", "empty"): 2, ShelfStatus("on repeat", "personal"): 3}
    assert ScoreBin.among(counts) == {ScoreBin("cross", -4): 7}
