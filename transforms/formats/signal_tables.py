"""Tables of signals (`--signals`): a file of the user's own becomes rows of `signal_values` and `track_values`.

Keys are `listener_id` and `track_id`, whichever the signals are of, and `at`, since when a row holds (without it, since the
batch's end date). Every other column that the mapping names is a signal; a blank cell says nothing, one that cannot be read is
counted. A row without a key that one of its signals needs is refused as `broken_line`, one from after the end date as `future`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl

from transforms.common.errors import UserError
from transforms.formats.base import end_of, hashed, rejects_frame
from transforms.formats.times import read_time
from transforms.formats.values import missing, said, signal_of, unread
from transforms.signals.declared import Declared, nearest

ROLE = "signals"
VALUES, TRACKS = "signal_values", "track_values"
KEYS = {"listener": ("listener_id",), "track": ("track_id",), "pair": ("listener_id", "track_id")}


@dataclass(frozen=True)
class SignalRows:
    """Rows of both tables, from a file; `given` cells held something that could be read; see `tables.Rows` for the others."""

    tables: dict[str, pl.DataFrame]
    given: int
    rejects: pl.DataFrame
    unread: dict[str, int]


def of_tables(signals: Declared) -> Declared:
    """Those that a table holds, not the log."""
    return {name: one for name, one in signals.items() if one.of != "listen"}


def check_signal_columns(signals: Declared, names: Collection[str], file: str) -> None:
    """See that a file holds one of the declared signals at least, and the keys of those that it holds.

    Raises:
        UserError: it does not.
    """
    wanted = of_tables(signals)
    if not wanted:
        raise UserError(
            f"{file}: expected signals of a listener, track or pair in the mapping file, found none; declare what "
            "--signals holds under `signals` there (docs/signals.md)."
        )
    here = {name: one for name, one in wanted.items() if one.column in names}
    if not here:
        name, one = next(iter(wanted.items()))
        raise UserError(
            f"{file}: expected a column {one.column!r} for the signal {name!r} as the mapping says, found "
            f"{', '.join(map(repr, names))}{nearest(one.column, names)}"
        )
    for name, one in here.items():
        for key in KEYS[one.of]:
            if key not in names:
                raise UserError(
                    f"{file}: expected a column {key!r}, since the signal {name!r} is of a {one.of}, found "
                    f"{', '.join(map(repr, names))}{nearest(key, names)}"
                )


def signal_rows(
    frame: pl.DataFrame, first_row: int, end_date: date, signals: Declared, gone: np.ndarray | None = None
) -> SignalRows:
    """Rows of both tables from a file's columns.

    Args:
        frame: the file's columns, text where it is CSV.
        first_row: number of the first row in the file, from 1.
        end_date: rows of after its end are refused; rows without a time hold from it on.
        signals: as declared; those whose column the file lacks are left out.
        gone: which rows are of listeners who were forgotten; nothing of such a row is kept.
    """
    here = {name: one for name, one in of_tables(signals).items() if one.column in frame.columns}
    needed = sorted({key for one in here.values() for key in KEYS[one.of]})
    keys = frame.select(said(pl.col(c).cast(pl.String)).alias(c) for c in needed).with_columns(at=_at(frame, end_date))
    gone = np.zeros(frame.height, dtype=bool) if gone is None else gone
    reason: Any = pl.when(pl.lit(pl.Series(gone))).then(pl.lit("forgotten"))
    reason = reason.when(pl.any_horizontal(pl.col(c).is_null() for c in [*needed, "at"])).then(pl.lit("broken_line"))
    reason = reason.when(pl.col("at") >= end_of(end_date)).then(pl.lit("future"))
    found = keys.select(reason.alias("reason")).to_series()
    parts: dict[str, list[pl.DataFrame]] = {VALUES: [], TRACKS: []}
    lost: dict[str, int] = {}
    for name, one in here.items():
        number = one.kind == "number"
        value = frame.select(v=signal_of(pl.col(one.column), frame.schema[one.column], number)).to_series()
        lost[name] = unread(frame[one.column], value)
        rows = keys.with_columns(
            signal=pl.lit(name),
            number=value if number else pl.lit(None, dtype=pl.Float64),
            text=pl.lit(None, dtype=pl.String) if number else value,
        ).filter(pl.Series(found.is_null() & value.is_not_null()))
        table = TRACKS if one.of == "track" else VALUES
        track = {} if one.of != "listener" else {"track_id": pl.lit("")}
        parts[table].append(rows.with_columns(**track).select(_COLUMNS[table]))
    tables = {table: pl.concat(some) for table, some in parts.items() if some}
    bad = found.is_not_null().arg_true().to_list()
    whose = keys["listener_id"] if "listener_id" in keys.columns else None
    rejects = rejects_frame(
        (first_row + n, found[n], None, None)
        if gone[n]
        else (first_row + n, found[n], hashed(repr(frame.row(n))), whose[n] if whose is not None else None)
        for n in bad
    )
    return SignalRows(tables, sum(t.height for t in tables.values()), rejects, {c: n for c, n in lost.items() if n})


_COLUMNS = {
    VALUES: ["listener_id", "signal", "track_id", "at", "number", "text"],
    TRACKS: ["track_id", "signal", "at", "number", "text"],
}


def _at(frame: pl.DataFrame, end_date: date) -> pl.Series:
    """Since when each row holds; null where that cannot be read, the end date where the cell or the column says nothing."""
    moment = datetime(end_date.year, end_date.month, end_date.day, tzinfo=UTC)
    if "at" not in frame.columns:
        return pl.Series("at", [moment] * frame.height, dtype=pl.Datetime("us", "UTC"))
    kind, column = frame.schema["at"], pl.col("at")
    if isinstance(kind, pl.Datetime):
        zoned = column.dt.convert_time_zone("UTC") if kind.time_zone else column.dt.replace_time_zone("UTC")
        read = zoned.cast(pl.Datetime("us", "UTC"))
    elif kind == pl.Date:
        read = column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    else:
        read = read_time(column.cast(pl.String), "iso")
    blank = pl.lit(missing(frame["at"]))
    return frame.select(
        at=pl.when(blank).then(pl.lit(moment).cast(pl.Datetime("us", "UTC"))).otherwise(read)
    ).to_series()
