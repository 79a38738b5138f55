"""The columns that a log adapter can give: of plays, of tracks and of lines that are refused."""

from __future__ import annotations

import polars as pl

PLAY_COLUMNS: dict[str, pl.DataType] = {
    "listener_id": pl.String(),
    "track_id": pl.String(),
    "started_at": pl.Datetime("us", "UTC"),
    "ms_played": pl.Int32(),
    "skipped": pl.Boolean(),
    "completed": pl.Boolean(),
    "context": pl.String(),
    "shelf_id": pl.String(),
    "device_id": pl.String(),
    "shuffle": pl.Boolean(),
    "platform": pl.String(),
    "country": pl.String(),
}
CATALOG_COLUMNS: dict[str, pl.DataType] = {
    "title": pl.String(),
    "artist_ids": pl.List(pl.String()),
    "album_id": pl.String(),
    "duration_ms": pl.Int32(),
    "isrc": pl.String(),
    "mbid": pl.String(),
    "tags": pl.List(pl.String()),
}
REJECT_COLUMNS: dict[str, pl.DataType] = {
    "line": pl.Int64(),
    "reason": pl.String(),
    "raw": pl.String(),
    "listener_id": pl.String(),
}
