"""Tables of what comes from outside: the log, the catalog, its listeners, and what they were shown."""

from __future__ import annotations

import pyarrow as pa

from transforms.tables.columns import HOW_IT_WENT, LISTENER, STRINGS, TIMESTAMP, TRACK, Column, Table, started

LOGGED: tuple[Table, ...] = (
    Table(
        "listens",
        "play",
        ("listener_id", "started_at", "track_id"),
        (
            LISTENER,
            TRACK,
            started("start of the play, UTC"),
            *HOW_IT_WENT,
            Column("context", pa.string(), "what it was played from (playlist, album, radio, ...)", True),
            Column("shelf_id", pa.string(), "the Nightshelf shelf it was played from", True),
            Column("device_id", pa.string(), "device", True),
            Column("shuffle", pa.bool_(), "shuffle was on", True),
            Column("platform", pa.string(), "client platform", True),
            Column("country", pa.string(), "ISO 3166 country of the play", True),
            Column("ingested_at", TIMESTAMP, "end of the batch's end date: the moment it stands for, not a clock's"),
            Column("late", pa.bool_(), "arrived after its own date had closed; filed under the oldest open date"),
            Column("listen_id", pa.string(), "hash of listener, track and start"),
        ),
        personal=True,
    ),
    Table(
        "rejects",
        "refused input line",
        ("file", "line", "reason"),
        (
            Column("batch", pa.string(), "ingest batch"),
            Column("file", pa.string(), "input file's name"),
            Column("line", pa.int64(), "line (or row) number in the file, from 1"),
            Column("reason", pa.string(), "reason code"),
            Column("raw", pa.string(), "the raw line, or sha256:... of it where it is personal", True),
            Column("listener_print", pa.int32(), "16 bits of a hash of the line's listener, for `forget`", True),
        ),
        sharded_by=None,
    ),
    Table(
        "tracks",
        "track in the catalog",
        ("track_id",),
        (
            TRACK,
            Column("title", pa.string(), "title", True),
            Column("artist_ids", STRINGS, "every credited artist, main artist first", True),
            Column("recording_id", pa.string(), "tracks that are the same music share it"),
            Column("album_id", pa.string(), "album", True),
            Column("disc_no", pa.int32(), "disc on the album, from 1", True),
            Column("track_no", pa.int32(), "position on the disc, from 1", True),
            Column("released_on", pa.date32(), "first release; a track is on no shelf before it", True),
            Column("duration_ms", pa.int32(), "length in milliseconds", True),
            Column(
                "explicit",
                pa.bool_(),
                "explicit content; null = unknown, never shown to who has explicit_ok = false",
                True,
            ),
            Column("tags", STRINGS, "genres and tags", True),
            Column("markets", STRINGS, "markets where it can be played; null = everywhere", True),
            Column("isrc", pa.string(), "ISRC", True),
            Column("mbid", pa.string(), "MusicBrainz recording id", True),
        ),
        sharded_by=None,
    ),
    Table(
        "listeners",
        "listener",
        ("listener_id",),
        (
            LISTENER,
            Column("market", pa.string(), "market", True),
            Column("time_zone", pa.string(), "IANA time zone", True),
            Column(
                "explicit_ok",
                pa.bool_(),
                "explicit tracks may be shown; null = yes, what could not be read is false",
                True,
            ),
            Column("joined_on", pa.date32(), "first day", True),
        ),
        personal=True,
    ),
    Table(
        "feedback",
        "explicit act",
        ("listener_id", "at", "kind", "target"),
        (
            LISTENER,
            Column(
                "kind",
                pa.string(),
                "save, like, dislike, block_track, block_artist, follow_artist, own, exclude_from_taste",
            ),
            Column(
                "target",
                pa.string(),
                "track or artist; for exclude_from_taste a device id, a session id or a time range (start/end, ISO 8601)",
            ),
            Column("at", TIMESTAMP, "when, UTC"),
        ),
        personal=True,
    ),
    Table(
        "impressions",
        "shelf item shown",
        ("listener_id", "shown_at", "surface", "shelf_id", "position"),
        (
            LISTENER,
            Column("surface", pa.string(), "surface"),
            Column("shelf_id", pa.string(), "shelf"),
            Column("version", pa.string(), "version of the shelves row shown", True),
            TRACK,
            Column("position", pa.int32(), "position shown, from 1"),
            Column("item_or_spare", pa.string(), "item or spare"),
            Column("shown_at", TIMESTAMP, "when, UTC"),
        ),
        personal=True,
    ),
    Table(
        "blends",
        "group asked for",
        ("blend_id",),
        (
            Column("blend_id", pa.string(), "the group"),
            Column("listener_ids", STRINGS, "its members"),
        ),
        sharded_by=None,
        personal=True,
    ),
)
