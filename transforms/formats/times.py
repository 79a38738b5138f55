"""Times as logs write them, read as columns: ISO 8601 text in its common spellings, and Unix numbers.

A time without a zone is UTC. What cannot be read is null, never an error: the row is refused by `base.accept`.

    >>> pl.select(read_time(pl.lit("2009-05-04T23:08:57Z"), "iso")).item().isoformat()
    '2009-05-04T23:08:57+00:00'
    >>> pl.select(read_time(pl.lit("1397965917"), "unix_s")).item().isoformat()
    '2014-04-20T03:51:57+00:00'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl

TimeUnit = Literal["iso", "unix_s", "unix_ms", "unix_us"]
UNIT_MEANINGS: dict[TimeUnit, str] = {
    "iso": "ISO 8601 text; without a zone it is UTC",
    "unix_s": "seconds since 1970, UTC; fractions are read",
    "unix_ms": "milliseconds since 1970, UTC",
    "unix_us": "microseconds since 1970, UTC",
}
US_PER: dict[str, int] = {"unix_s": 1_000_000, "unix_ms": 1_000, "unix_us": 1}

_NAIVE = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y%m%dT%H%M%S%.f", "%Y%m%dT%H%M")
_ZONED = tuple(f"{form}%#z" for form in _NAIVE)
_YEAR_5000_US = 95_617_584_000_000_000


def read_time(column: pl.Expr, unit: TimeUnit) -> pl.Expr:
    """Text (or numbers, for the Unix units) as Datetime("us", "UTC"); null where unreadable."""
    if unit != "iso":
        number = column.cast(pl.Float64, strict=False) if unit != "unix_us" else column.cast(pl.Int64, strict=False)
        micros = (number * US_PER[unit]).round(0) if unit != "unix_us" else number
        sane = pl.when(micros.is_between(-_YEAR_5000_US, _YEAR_5000_US)).then(micros)
        return sane.cast(pl.Int64, strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return column.cast(pl.String).map_batches(_iso, return_dtype=pl.Datetime("us", "UTC"))


def _iso(text: pl.Series) -> pl.Series:
    """The two common spellings first; all others only of the cells where these fail, since they cost ten times as much."""
    cells = text.to_frame("t")
    found = cells.select(
        _first(pl.col("t").str.replace(" ", "T", literal=True).str.strip_suffix("Z"), _NAIVE[:1])
    ).to_series()
    left = found.is_null() & text.is_not_null()
    if left.any():
        found = found.scatter(left.arg_true(), _any_spelling(cells.filter(left)))
    return found.rename(text.name)


def _first(text: pl.Expr, forms: Sequence[str]) -> pl.Expr:
    return pl.coalesce(text.str.to_datetime(f, time_unit="us", strict=False).dt.replace_time_zone("UTC") for f in forms)


def _any_spelling(cells: pl.DataFrame) -> pl.Series:
    """Column `t`: "2026-01-05 10:00:00,5 utc" becomes "2026-01-05T10:00:00.5", and then is read."""
    text = pl.col("t").str.strip_chars().str.to_uppercase()
    text = text.str.replace(r"^(\d{4}-?\d{2}-?\d{2})(?:T|\s+)", "${1}T").str.replace(r",(\d+)", ".${1}")
    text = text.str.replace(r"(Z|[+-]\d{2}:?\d{2})\[[A-Z_/+-]+\]$", "${1}")  # a zone's name beside its offset
    text = text.str.replace(r"\s*(?:UTC|GMT|Z)$", "").str.replace(r"\s+([+-]\d{2}:?(?:\d{2})?)$", "${1}")
    plain = cells.select(text)
    # ISO 8601 may call midnight the end of the day before
    plain = plain.with_columns(ends=pl.col("t").str.contains(r"T24:?00(?::?00(?:[.]0+)?)?(?:[+-].*)?$"))
    plain = plain.with_columns(pl.when("ends").then(pl.col("t").str.replace("T24", "T00")).otherwise("t").alias("t"))
    t = pl.col("t")
    zoned = (t.str.to_datetime(f, time_unit="us", strict=False).dt.convert_time_zone("UTC") for f in _ZONED)
    dated = t.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    later = pl.when("ends").then(pl.duration(days=1)).otherwise(pl.duration(days=0))
    return plain.select(pl.coalesce(_first(t, _NAIVE), *zoned, dated) + later).to_series()
