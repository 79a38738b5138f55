"""Names of time zones that can be reckoned with: those of the IANA database that Polars knows.

Python's `zoneinfo` also lists names that its machine's files define and Polars does not ("localtime", "Factory"), so one
library's list must not stand for the other's.

    >>> known_zones(["Europe/Stockholm", "localtime", "Factory", "Mars/Olympus", None])
    {'Europe/Stockholm'}
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache

import polars as pl


@cache
def _known(name: str) -> bool:
    some_time = pl.Series([datetime(2026, 1, 1, tzinfo=UTC)])  # starts Polars' threads, so not when this is imported
    try:
        some_time.dt.convert_time_zone(name)
    except pl.exceptions.PolarsError:
        return False
    return True


def known_zones(names: Iterable[str | None]) -> set[str]:
    """Those of the names that times can be converted to."""
    return {name for name in names if name and _known(name)}
