"""Files that are a table already: a catalog, listeners, feedback, impressions or groups, in the columns of their schema.

Parquet or CSV with a header. Columns the schema lets be null may be missing, and columns it does not know are left
out. In CSV, lists are `;`-joined. A row that lacks what its table requires is refused as `broken_line`, one from
after the end date as `future`; a row from the catalog or the list of listeners names no time and is never in the
future.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from transforms.common.errors import UserError
from transforms.common.time_zones import known_zones
from transforms.formats.base import end_of, hashed, rejects_frame
from transforms.formats.songs import ARTISTS, CATALOGS_WORD, artists_of
from transforms.formats.times import read_time
from transforms.formats.values import (
    LONGEST_TRACK_MS,
    missing,
    read_bool,
    read_date,
    read_list,
    read_number,
    said,
    unread,
    well_formed_isrc,
    well_formed_mbid,
)
from transforms.listening.exclusions import KIND as EXCLUDE
from transforms.listening.exclusions import UNDO as INCLUDE
from transforms.listening.exclusions import possible_target
from transforms.listening.feedback import UNKNOWN, kind_of
from transforms.tables.schema import TABLES

EVENT_TIME = {
    "feedback": "at",
    "impressions": "shown_at",
    "blends": "at",
    "signal_values": "at",
    "track_values": "at",
}
CLOSED = {"feedback": "kind", "impressions": "item_or_spare"}  # columns whose values are a list of words
SHOWN_AS = ("item", "spare")
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


def names_of(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """What a catalog file calls its artists, in a column `artist_names` beside `artist_ids`: artist_id, name, plays."""
    columns = ("artist_ids", "artist_names")
    if table != "tracks" or any(c not in frame.columns for c in columns):
        return pl.DataFrame(schema=ARTISTS)
    read = frame.select(read_list(pl.col(c), frame.schema[c]) for c in columns)
    return artists_of(read).with_columns(plays=pl.lit(CATALOGS_WORD, dtype=pl.Int64))


@dataclass(frozen=True)
class Rows:
    """Rows of a table, from a file.

    Attributes:
        kept: in the table's declared columns; those that may be null and are not in the file are left out.
        rejects: line, reason, raw, listener_id.
        unread: column -> cells that held something that could not be read.
    """

    kept: pl.DataFrame
    rejects: pl.DataFrame
    unread: dict[str, int]


def rows_of(
    table: str, frame: pl.DataFrame, first_row: int, end_date: date | None, gone: np.ndarray | None = None
) -> Rows:
    """Rows of a table from a file's columns.

    Args:
        table: its name.
        frame: the file's columns, text where it is CSV.
        first_row: number of the first row in the file, from 1.
        end_date: events after its end are refused; None = none are.
        gone: which rows are of listeners who were forgotten; nothing of such a row is kept.

    Raises:
        UserError: a column is of a type that cannot be read as the table's.
    """
    declared = TABLES[table]
    wanted = [c for c in declared.columns if c.name in frame.columns]
    rows = pl.DataFrame([_column(table, frame, c.name, declared.polars[c.name]) for c in wanted])
    required = [c.name for c in wanted if not c.nullable and c.name not in _OPTIONAL.get(table, ())]
    gone = np.zeros(frame.height, dtype=bool) if gone is None else gone
    reason: Any = pl.when(pl.lit(pl.Series(gone))).then(pl.lit("forgotten"))
    vocabulary = CLOSED.get(table)
    if vocabulary in rows.columns:
        blank = missing(frame[vocabulary].cast(pl.String))
        reason = reason.when(rows[vocabulary].is_null() & ~blank).then(pl.lit(UNKNOWN))
    reason = reason.when(pl.any_horizontal(pl.col(c).is_null() for c in required)).then(pl.lit("broken_line"))
    if table == "feedback":
        reason = reason.when(pl.col("kind").is_in([EXCLUDE, INCLUDE]) & ~_possible_ranges(rows["target"])).then(
            pl.lit("bad_target")
        )
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
    lost = {c: n for c in rows.columns if c not in required and (n := unread(frame[c], rows[c]))}
    return Rows(_closed(table, frame, rows).filter(found.is_null()), rejects, lost)


def _closed(table: str, frame: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """A listener's permission that cannot be read is none; a blank cell, which says nothing, stays unknown."""
    if table != "listeners" or "explicit_ok" not in rows.columns:
        return rows
    given = frame["explicit_ok"]
    blank = given.is_null() if given.dtype != pl.String else given.is_null() | (given.str.strip_chars() == "")
    return rows.with_columns(
        explicit_ok=pl.when(rows["explicit_ok"].is_null() & ~blank).then(False).otherwise("explicit_ok")
    )


def _possible_ranges(targets: pl.Series) -> pl.Series:
    """Whether a target that is a time range has a beginning and a later end; true for what is none."""
    distinct = {t: possible_target(t) for t in targets.drop_nulls().unique().to_list()}
    return targets.replace_strict(distinct, default=True, return_dtype=pl.Boolean)


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


def _market(text: pl.Expr) -> pl.Expr:
    """A market in capitals, as ISO 3166 writes it."""
    return said(text).str.to_uppercase()


def _zone(text: pl.Expr) -> pl.Expr:
    """A time zone that can be reckoned with, else null: then the listener's clock is UTC."""

    def known(names: pl.Series) -> pl.Series:
        zones = {name: name for name in known_zones(names.unique())}
        return names.replace_strict(zones, default=None, return_dtype=pl.String)

    return text.map_batches(known, return_dtype=pl.String)


def _shown_as(text: pl.Expr) -> pl.Expr:
    word = text.str.to_lowercase()
    return pl.when(word.is_in(SHOWN_AS)).then(word)


# Columns with a way of their own, from trimmed text.
_BY_NAME: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "kind": kind_of,
    "item_or_spare": _shown_as,
    "time_zone": _zone,
    "market": _market,
    "isrc": well_formed_isrc,
    "mbid": well_formed_mbid,
    **dict.fromkeys(("target", "surface", "shelf_id", "title", "album_id", "blend_id"), said),
}


def _read(name: str, kind: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    if name in _BY_NAME:
        return _BY_NAME[name](pl.col(name).cast(pl.String).str.strip_chars()).alias(name)
    if name == "markets":
        return read_list(pl.col(name), kind).list.eval(pl.element().str.to_uppercase()).alias(name)
    by_type: dict[type, Callable[[pl.Expr, pl.DataType], pl.Expr]] = {
        pl.List: read_list,
        pl.Boolean: lambda column, _: read_bool(column),
        pl.Int32: partial(read_number, least=1, most=LONGEST_TRACK_MS) if name == "duration_ms" else read_number,
        pl.Date: lambda column, kind: column.cast(pl.Date) if kind.is_temporal() else read_date(column),
        pl.Datetime: _moment,
        # an id stays as it came, but a blank one is none
        pl.String: lambda column, _: pl.when(said(column.cast(pl.String)).is_not_null()).then(column.cast(pl.String)),
    }
    read = by_type.get(type(wanted), lambda column, _: column.cast(wanted, strict=False))
    return read(pl.col(name), kind).alias(name)


def _moment(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.Datetime):
        aware = column.dt.convert_time_zone("UTC") if kind.time_zone else column.dt.replace_time_zone("UTC")
        return aware.cast(pl.Datetime("us", "UTC"))
    if kind == pl.String:
        return read_time(column, "iso")
    return column.cast(pl.Datetime("us", "UTC"), strict=False)
