"""Last.fm-1K (Celma, 2010): six tab-separated columns, no header, newest play first.

    user_000001 <tab> 2009-05-04T23:08:57Z <tab> artist mbid <tab> artist <tab> track mbid <tab> track

Either MusicBrainz id may be empty. A track without one gets an id made from artist and title, so that the same song
played twice is one track; an artist without one is called by name. The format knows no quotes: a `"` belongs to a
title.
"""

from __future__ import annotations

import polars as pl

from transforms.common.hashing import hex_id
from transforms.formats.base import Options, Parsed, accept
from transforms.formats.text import Block, delimited
from transforms.formats.times import read_time

COLUMNS = ["listener_id", "time", "artist_mbid", "artist", "track_mbid", "title"]


def parse(block: Block, options: Options) -> Parsed:
    """Parse a block of lines."""
    table = delimited(block, COLUMNS, "\t", quote=None)
    frame = with_track_ids(table.frame.with_columns(track_id="track_mbid")).with_columns(
        started_at=read_time(pl.col("time"), "iso"),
        artist_ids=pl.concat_list(pl.coalesce("artist_mbid", "artist")),
        mbid="track_mbid",
    )
    return accept(frame, block.raw, options, table.broken)


def with_track_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """Fill missing `track_id`s with a hash of `artist` and `title`; still null where both of these are missing too."""
    unnamed = frame["track_id"].is_null() & (frame["title"].is_not_null())
    if not unnamed.any():
        return frame
    songs = frame.filter(unnamed).select(pl.col("artist", "title").fill_null("")).unique(maintain_order=True)
    songs = songs.with_columns(hex_id(songs["artist"], songs["title"], purpose="track").alias("made"))
    named = frame.with_columns(_a=pl.col("artist").fill_null(""), _t=pl.col("title").fill_null("")).join(
        songs.rename({"artist": "_a", "title": "_t"}), on=["_a", "_t"], how="left", maintain_order="left"
    )
    made = pl.when(pl.col("title").is_not_null()).then("made")
    return named.with_columns(pl.coalesce("track_id", made).alias("track_id")).drop("_a", "_t", "made")
