"""The catalog as of a date, and the listeners: the newest table up to it.

A batch of listening is often ingested at once for many days, so its catalog may stand on a later date than an early night.
Then the earliest later one is read. Of tracks that are released after the night, or have no release date, a night knows
those that somebody has played by then: `known_by` is what may be recommended. The facts of all others are kept beside it,
since a fact that is left out (who performs it, where it may be played, that it is explicit, which recording it is) would
count as unknown, and no rule could hold on it.
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


def all_tracks(place: Warehouse, manifest: Manifest | None) -> pl.DataFrame:
    """Table `tracks`, whatever is released when; empty where there is no catalog."""
    return TABLES["tracks"].empty() if manifest is None else place.read_manifest(manifest)


def known_by(tracks: pl.DataFrame, day: date, played: pl.Series) -> pl.DataFrame:
    """The tracks that a night knows: released by its date, or played by somebody."""
    return tracks.filter((pl.col("released_on") <= day).fill_null(False) | pl.col("track_id").is_in(played.implode()))
