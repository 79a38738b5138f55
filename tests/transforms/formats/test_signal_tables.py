"""Tables of signals, read: every row kept or refused, every cell given, blank or counted."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from transforms.common.errors import UserError
from transforms.formats.signal_tables import check_signal_columns, signal_rows
from transforms.formats.values import missing
from transforms.signals.declared import LONGEST, MOST, Signal

END = date(2026, 1, 31)
SIGNALS = {
    "mood": Signal(column="mood", kind="category", of="listener"),
    "stars": Signal(column="stars", kind="number", of="pair"),
    "tempo": Signal(column="bpm", kind="number", of="track"),
    "volume": Signal(column="vol", kind="number", of="listen"),
}
CELLS = ["", " ", "nan", "N/A", "1", "-2.5", "1e99", str(MOST), "true", "sad", "x" * (LONGEST + 1), None]
TIMES = ["2026-01-05T10:00:00Z", "2026-01-05", "", "yesterday", "2027-01-01T00:00:00Z", None]


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_lost(seed: int) -> None:
    rng, n = np.random.default_rng(seed), 60

    def drawn(values: list) -> pl.Series:
        return pl.Series([values[k] for k in rng.integers(len(values), size=n)], dtype=pl.String)

    ids = drawn(["ann", "bob", "", None])
    frame = pl.DataFrame({"listener_id": ids, "track_id": drawn(["t1", "t2", " "]), "at": drawn(TIMES)})
    frame = frame.with_columns(mood=drawn(CELLS), stars=drawn(CELLS), bpm=drawn(CELLS))
    gone = rng.random(n) < 0.1
    found = signal_rows(frame, 2, END, SIGNALS, gone)
    assert found.given == sum(rows.height for rows in found.tables.values())
    kept = frame.filter(~pl.Series(range(2, n + 2)).is_in(found.rejects["line"].implode()))
    said = sum(int((~missing(kept[one.column])).sum()) for name, one in SIGNALS.items() if name != "volume")
    refused = frame.height - kept.height
    lost = sum(found.unread.values())  # of all rows, those that are refused as well
    assert found.given <= said <= found.given + lost and refused == found.rejects.height > 0
    assert set(found.rejects["reason"]) <= {"broken_line", "future", "forgotten"}
    forgotten = found.rejects.filter(pl.col("reason") == "forgotten")
    assert forgotten.height == int(gone.sum()) and forgotten["raw"].null_count() == forgotten.height
    values = found.tables["signal_values"]
    assert (values.filter(pl.col("signal") == "mood")["track_id"] == "").all()
    assert values["number"].abs().max() <= MOST and not values["number"].is_nan().any()  # type: ignore[operator]


def test_a_row_holds_from_its_own_time_on_or_from_the_end_date() -> None:
    frame = pl.DataFrame({"track_id": ["a", "b"], "bpm": ["120", "90"], "at": ["2026-01-05T10:00:00+02:00", None]})
    rows = signal_rows(frame, 2, END, SIGNALS).tables["track_values"]
    assert rows["at"].to_list() == [datetime(2026, 1, 5, 8, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)]
    without = signal_rows(frame.drop("at"), 2, END, SIGNALS).tables["track_values"]
    assert set(without["at"]) == {datetime(2026, 1, 31, tzinfo=UTC)} and without["number"].to_list() == [120.0, 90.0]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["track_id", "bmp"], "a column 'mood' for the signal 'mood'"),
        (["track", "bpm"], "a column 'track_id', since the signal 'tempo' is of a track"),
        (["listener_id", "stars"], "a column 'track_id', since the signal 'stars' is of a pair"),
    ],
)
def test_what_is_missing_is_named(names: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_signal_columns(SIGNALS, names, "table.csv")
    with pytest.raises(UserError, match="found none; declare what"):
        check_signal_columns({"volume": SIGNALS["volume"]}, names, "table.csv")
