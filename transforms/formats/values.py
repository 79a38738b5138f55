"""How one cell becomes a value: lists, yes or no, numbers, dates and the identifiers of the trade.

Every reader gives null for what it cannot read. `unread` counts the cells that held something of which nothing is left,
so that an ingest can say so by column: nothing vanishes without a number. NaN, which numpy writes for "missing", is a
missing value wherever one is allowed.

    >>> cells = pl.Series("c", ["1.0", "no", "maybe", " ", None])
    >>> values = cells.to_frame().select(read_bool(pl.col("c"))).to_series()
    >>> values.to_list(), unread(cells, values)
    ([True, False, None, None, None], 1)

An ISRC is two letters, three letters or digits, and seven digits (ISO 3901), however it is hyphenated; a MusicBrainz id
is a UUID. "N/A", "None" or a run of zeros is what programs write where there is none.
"""

from __future__ import annotations

import polars as pl

from transforms.signals.declared import LONGEST, MOST

INT32_MAX = 2**31 - 1
LONGEST_TRACK_MS = 86_400_000  # a day: longer lengths are another unit, or noise
YES = ("true", "t", "yes", "y", "1", "1.0", "on")
NO = ("false", "f", "no", "n", "0", "0.0", "off")
NOTHING = ("", "none", "null", "nil", "nan", "n/a", "na", "-", "--", "?", "unknown", "undefined", "<na>", "nat")
PLACEHOLDERS = (*NOTHING, "0", "00000000-0000-0000-0000-000000000000")
_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_ISRC = r"^[A-Z]{2}[A-Z0-9]{3}[0-9]{7}$"


def read_bool(column: pl.Expr) -> pl.Expr:
    """Text or a number as a boolean: true, t, yes, y, on, 1, 1.0 and their opposites, in any case; else null."""
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    return pl.when(text.is_in(YES)).then(pl.lit(True)).when(text.is_in(NO)).then(pl.lit(False))


def read_list(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """A cell of `;`-joined items, or a list, as a list of trimmed items without empty ones; null for a blank cell.

    A cell that holds separators and nothing else is an empty list: it says something, namely that there is no item.
    """
    if isinstance(kind, pl.List):
        items = column.cast(pl.List(pl.String))
    else:
        text = column.cast(pl.String)
        items = pl.when(text.str.strip_chars() != "").then(text.str.split(";"))
    trimmed = pl.element().str.strip_chars()
    return items.list.eval(trimmed.filter(trimmed != ""))


def read_number(column: pl.Expr, kind: pl.DataType, least: int = 0, most: int = INT32_MAX) -> pl.Expr:
    """A whole number within bounds, as Int32; 210000 and 210000.0 are one; null where it is none."""
    number = column if kind.is_integer() else column.cast(pl.Float64, strict=False).round(0)
    return pl.when(number.is_between(least, most)).then(number).cast(pl.Int32)


def signal_of(column: pl.Expr, kind: pl.DataType, number: bool) -> pl.Expr:
    """A signal's cell: a number within MOST either way (true and false are 1 and 0), or a text of at most LONGEST characters."""
    if number:
        value = column.cast(pl.Float64, strict=False)
        if kind == pl.String:
            flag = read_bool(column).cast(pl.Float64)
            value = pl.coalesce(column.str.strip_chars().cast(pl.Float64, strict=False), flag)
        return pl.when(value.abs() <= MOST).then(value)  # NaN is beyond every bound
    text = said(column.cast(pl.String))
    tags = text.str.split(";").list.eval(pl.element().str.len_chars()).list.max()
    return pl.when((tags <= LONGEST) & ~text.str.to_lowercase().is_in(NOTHING)).then(text)


def read_date(column: pl.Expr) -> pl.Expr:
    """ISO text as a date: YYYY-MM-DD, with a time behind it or not, YYYY-MM or YYYY alone (the first day of it)."""
    text = column.cast(pl.String).str.strip_chars()
    day = text.str.extract(r"^(\d{4}-\d{2}-\d{2})(?:[T ].*)?$")
    month = pl.format("{}-01", text.str.extract(r"^(\d{4}-\d{2})$"))
    year = pl.format("{}-01-01", text.str.extract(r"^(\d{4})(?:\.0)?$"))
    return pl.coalesce(*(found.str.to_date("%Y-%m-%d", strict=False) for found in (day, month, year)))


def missing(cells: pl.Series) -> pl.Series:
    """Which cells hold nothing: null, NaN, blanks, or a word that programs write for nothing."""
    if cells.dtype.is_float():
        return cells.is_null() | cells.is_nan().fill_null(True)
    if cells.dtype == pl.String:
        return cells.is_null() | cells.str.strip_chars().str.to_lowercase().is_in(NOTHING).fill_null(True)
    return cells.is_null()


def unread(cells: pl.Series, values: pl.Series) -> int:
    """How many cells held something of which nothing is left."""
    lost = values.is_null()
    return int((lost & ~missing(cells)).sum()) if lost.any() else 0


def said(text: pl.Expr) -> pl.Expr:
    """Text, trimmed; null where it is blank."""
    trimmed = text.str.strip_chars()
    return pl.when(trimmed != "").then(trimmed)


def real_id(column: pl.Expr) -> pl.Expr:
    """An identifier as it came, trimmed; null for what programs write where there is none."""
    text = column.str.strip_chars()
    return pl.when(~text.str.to_lowercase().is_in(PLACEHOLDERS)).then(text)


def well_formed_mbid(column: pl.Expr) -> pl.Expr:
    """A MusicBrainz id in lower case; null where it is none."""
    text = column.str.strip_chars().str.to_lowercase()
    return pl.when(text.str.contains(_UUID) & ~text.is_in(PLACEHOLDERS)).then(text)


def well_formed_isrc(column: pl.Expr) -> pl.Expr:
    """An ISRC in capitals without hyphens; null where it is none, or only zeros after the registrant."""
    text = column.str.to_uppercase().str.replace_all(r"[\s-]+", "").str.strip_prefix("ISRC")
    return pl.when(text.str.contains(_ISRC) & ~text.str.ends_with("0000000")).then(text)
