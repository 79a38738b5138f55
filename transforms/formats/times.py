"""Times as logs write them, read as columns: ISO 8601 text in its common spellings, and Unix numbers.

A time without a zone is UTC. What cannot be read is null, never an error: the row is refused by `base.accept`.

    >>> pl.select(read_time(pl.lit("2009-05-04T23:08:57Z"), "iso")).item().isoformat()
    '2009-05-04T23:08:57+00:00'
    >>> pl.select(read_time(pl.lit("1397965917"), "unix_s")).item().isoformat()
    '2014-04-20T03:51:57+00:00'
"""

from __future__ import annotations

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

_NAIVE = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_YEAR_5000_US = 95_617_584_000_000_000


def read_time(column: pl.Expr, unit: TimeUnit) -> pl.Expr:
    """Text (or numbers, for the Unix units) as Datetime("us", "UTC"); null where unreadable."""
    if unit != "iso":
        number = column.cast(pl.Float64, strict=False) if unit != "unix_us" else column.cast(pl.Int64, strict=False)
        micros = (number * US_PER[unit]).round(0) if unit != "unix_us" else number
        sane = pl.when(micros.is_between(-_YEAR_5000_US, _YEAR_5000_US)).then(micros)
        return sane.cast(pl.Int64, strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    text = column.cast(pl.String).str.strip_chars().str.strip_suffix(" UTC").str.replace(" ", "T", literal=True)
    bare = text.str.strip_suffix("Z")
    naive = [bare.str.to_datetime(f, time_unit="us", strict=False).dt.replace_time_zone("UTC") for f in _NAIVE]
    dated = bare.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    zoned = [text.str.to_datetime(f, time_unit="us", strict=False).dt.convert_time_zone("UTC") for f in _ZONED]
    return pl.coalesce(*naive, *zoned, dated)
