"""The catalog as of a date, and the listeners: the newest table up to it.

A batch of listening is often ingested at once for many days, so its catalog may stand on a later date than an early night.
Then the earliest later one is read, without what was released after the night; a track with no release date is known
once somebody has played it, which the fit's vocabulary decides.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from transforms.tables.manifest import Manifest
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse


def newest_or_first(place: Warehouse, table: str, day: date) -> Manifest | None:
    """The newest manifest up to a date, else the first after it."""
    found = place.newest(table, day)
    if found is not None:
        return found
    later = place.dates(table)
    return place.current(table, later[0]) if later else None


def tracks_as_of(place: Warehouse, manifest: Manifest | None, day: date) -> pl.DataFrame:
    """Table `tracks` without what was released after `day`; empty where there is no catalog."""
    if manifest is None:
        return TABLES["tracks"].empty()
    tracks = place.read_manifest(manifest)
    return tracks.filter(pl.col("released_on").is_null() | (pl.col("released_on") <= day))
