"""Files that are a table already: a catalog, listeners, feedback or impressions, in the columns of their schema.

Parquet or CSV with a header. Columns the schema lets be null may be missing, and columns it does not know are left
out. In CSV, lists are `;`-joined. A row that lacks what its table requires is refused as `broken_line`, one from
after the end date as `future`; a row from the catalog or the list of listeners names no time and is never in the
future.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from transforms.common.errors import UserError
from transforms.formats.base import end_of, hashed, rejects_frame
from transforms.formats.times import read_bool, read_time
from transforms.tables.schema import TABLES

EVENT_TIME = {"feedback": "at", "impressions": "shown_at"}
_OPTIONAL = {"tracks": {"recording_id"}}


def required_columns(table: str) -> list[str]:
    """The columns that a file of a table must have."""
    return [c.name for c in TABLES[table].columns if not c.nullable and c.name not in _OPTIONAL.get(table, ())]


def check_columns(table: str, names: list[str], file: str) -> None:
    """See that a file has the columns its table requires.

    Raises:
        UserError: one is missing.
    """
    required = required_columns(table)
    missing = [c for c in required if c not in names]
    if missing:
        found = ", ".join(repr(n) for n in names[:12]) or "none"
        raise UserError(
            f"{file}: expected the columns of table {table!r}, {', '.join(required)} at least, found {found}."
        )


def rows_of(
    table: str, frame: pl.DataFrame, first_row: int, end_date: date | None, gone: np.ndarray | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of a table from a file's columns.

    Args:
        table: its name.
        frame: the file's columns, text where it is CSV.
        first_row: number of the first row in the file, from 1.
        end_date: events after its end are refused; None = none are.
        gone: which rows are of listeners who were forgotten; nothing of such a row is kept.

    Returns:
        rows in the table's declared columns (those that may be null and are not in the file are left out), and
        rejects (line, reason, raw, listener_id).

    Raises:
        UserError: a column is of a type that cannot be read as the table's.
    """
    declared = TABLES[table]
    wanted = [c for c in declared.columns if c.name in frame.columns]
    rows = pl.DataFrame([_column(table, frame, c.name, declared.polars[c.name]) for c in wanted])
    required = [pl.col(c.name).is_null() for c in wanted if not c.nullable and c.name not in _OPTIONAL.get(table, ())]
    gone = np.zeros(frame.height, dtype=bool) if gone is None else gone
    reason: Any = pl.when(pl.lit(pl.Series(gone))).then(pl.lit("forgotten"))
    reason = reason.when(pl.any_horizontal(required)).then(pl.lit("broken_line"))
    if end_date is not None and table in EVENT_TIME:
        reason = reason.when(pl.col(EVENT_TIME[table]) >= end_of(end_date)).then(pl.lit("future"))
    found = rows.select(reason.alias("reason")).to_series()
    bad = found.is_not_null().arg_true()
    whose = rows["listener_id"] if "listener_id" in rows.columns else None
    rejects = rejects_frame(
        (first_row + n, found[n], None, None)
        if gone[n]
        else (first_row + n, found[n], hashed(repr(frame.row(n))), whose[n] if whose is not None else None)
        for n in map(int, bad.to_list())
    )
    return (rows if not len(bad) else rows.filter(found.is_null())), rejects


def one_each(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """One row a key, the same one in whatever order rows come: the one that says most, of equals the first by its text.

    >>> one_each(pl.DataFrame({"id": ["a", "a", "b"], "at": [None, "SE", "FI"]}), ["id"]).sort("id").rows()
    [('a', 'SE'), ('b', 'FI')]
    """
    others = sorted(set(rows.columns) - set(key))
    if not others:
        return rows.unique(key, keep="any")
    once = rows.unique(key, keep="none")
    if once.height == rows.height:
        return once
    unknown = pl.sum_horizontal(pl.col(c).is_null() for c in others)
    again = rows.join(once.select(key), on=key, how="anti").sort(unknown, pl.struct(others).struct.json_encode())
    return pl.concat([once, again.unique(key, keep="first", maintain_order=True)])


def _column(table: str, frame: pl.DataFrame, name: str, wanted: pl.DataType) -> pl.Series:
    try:
        return frame.select(_read(name, frame.schema[name], wanted)).to_series()
    except pl.exceptions.PolarsError:
        raise UserError(
            f"table {table!r}: expected column {name!r} to hold {wanted}, found {frame.schema[name]}; write it as that, or "
            "as text."
        ) from None


def _read(name: str, kind: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(kind, pl.Datetime) and isinstance(wanted, pl.Datetime):
        aware = column.dt.convert_time_zone("UTC") if kind.time_zone else column.dt.replace_time_zone("UTC")
        return aware.cast(wanted)
    if kind != pl.String:
        return column.cast(wanted, strict=False)
    readers: dict[type, pl.Expr] = {
        pl.Datetime: read_time(column, "iso"),
        pl.List: column.str.split(";"),
        pl.Boolean: read_bool(column),
        pl.Date: column.str.to_date("%Y-%m-%d", strict=False),
        pl.Int32: column.cast(pl.Float64, strict=False).round(0).cast(wanted, strict=False),
    }
    return readers.get(type(wanted), column).alias(name)
