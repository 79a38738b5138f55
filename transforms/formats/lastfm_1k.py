"""Last.fm-1K (Celma, 2010): six tab-separated columns, no header, newest play first.

    user_000001 <tab> 2009-05-04T23:08:57Z <tab> artist mbid <tab> artist <tab> track mbid <tab> track

Either MusicBrainz id may be empty. A track without one gets an id made from artist and title, so that the same song
played twice is one track; an artist without one is called by name. The format knows no quotes: a `"` belongs to a
title.
"""

from __future__ import annotations

import polars as pl

from transforms.formats.base import Options, Parsed, accept
from transforms.formats.songs import one_artist, with_track_ids
from transforms.formats.text import LineBlock, delimited
from transforms.formats.times import read_time
from transforms.formats.values import real_id, said, well_formed_mbid

COLUMNS = ["listener_id", "time", "artist_mbid", "artist", "track_mbid", "title"]


def parse(block: LineBlock, options: Options) -> Parsed:
    """Parse a block of lines."""
    table = delimited(block, COLUMNS, "\t", quote=None)
    frame = table.frame.with_columns(track_id=real_id(pl.col("track_mbid")), artist=said(pl.col("artist")))
    frame = with_track_ids(frame).with_columns(
        started_at=read_time(pl.col("time"), "iso"),
        artist_ids=one_artist(pl.coalesce(real_id(pl.col("artist_mbid")), "artist")),
        artist_names=one_artist(pl.col("artist")),
        mbid=well_formed_mbid(pl.col("track_mbid")),
    )
    return accept(frame, block.raw, options, table.broken)
