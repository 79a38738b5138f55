"""ListenBrainz dumps and exports: one JSON object a line.

    {"user_id": 1, "user_name": "ann", "listened_at": 1588000000, "track_metadata": {"artist_name": "Low",
     "track_name": "Monkey", "release_name": "The Great Destroyer", "additional_info": {"recording_msid": "..."},
     "mbid_mapping": {"recording_mbid": "...", "artist_mbids": ["..."]}}}

`timestamp` stands for `listened_at` in older dumps. A track's id is its MusicBrainz id where ListenBrainz mapped one or
the player sent one, else its MessyBrainz id, else a hash of artist and title.
"""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from transforms.formats.base import Options, Parsed, accept, encodable, hashed, rejects_frame
from transforms.formats.lastfm_1k import with_track_ids
from transforms.formats.text import Block
from transforms.formats.times import read_time

_INFO = ("recording_mbid", "recording_msid", "duration_ms", "duration", "isrc", "music_service", "media_player")
_FIELDS = {
    "user_name": ("user_name",),
    "user_id": ("user_id",),
    "listened_at": ("listened_at",),
    "timestamp": ("timestamp",),
    "recording_msid": ("recording_msid",),
    "artist": ("track_metadata", "artist_name"),
    "title": ("track_metadata", "track_name"),
    "album_id": ("track_metadata", "release_name"),
    "mapped_mbid": ("track_metadata", "mbid_mapping", "recording_mbid"),
    **{f"info_{n}": ("track_metadata", "additional_info", n) for n in _INFO},
}
_LISTS = {
    "mapped_artists": ("track_metadata", "mbid_mapping", "artist_mbids"),
    "info_artists": ("track_metadata", "additional_info", "artist_mbids"),
}


def parse(block: Block, options: Options) -> Parsed:
    """Parse a block of lines."""
    rows: dict[str, list[Any]] = {name: [] for name in ("line", *_FIELDS, *_LISTS)}
    broken = []
    decode = json.JSONDecoder().decode
    fields, lists = list(_FIELDS.items()), list(_LISTS.items())
    for number, line in enumerate(block.lines(), block.first_line):
        try:
            listen = decode(line.decode())
        except UnicodeDecodeError:
            broken.append((number, "bad_encoding", hashed(line)))
            continue
        except (ValueError, RecursionError):
            listen = None
        if not isinstance(listen, dict):
            broken.append((number, "broken_line", hashed(line)))
            continue
        if b"\\u" in line and not encodable(listen):
            broken.append((number, "bad_encoding", hashed(line)))
            continue
        rows["line"].append(number)
        for name, path in fields:
            rows[name].append(_text(_at(listen, path)))
        for name, path in lists:
            rows[name].append(_texts(_at(listen, path)))
    schema: dict[str, Any] = {
        "line": pl.Int64,
        **dict.fromkeys(_FIELDS, pl.String),
        **dict.fromkeys(_LISTS, pl.List(pl.String)),
    }
    return accept(_ours(pl.DataFrame(rows, schema=schema)), block.raw, options, rejects_frame(broken))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, (dict, list)) or value == "" else str(value)


def _texts(value: Any) -> list[str] | None:
    return [str(v) for v in value if v] or None if isinstance(value, list) else None


def _ours(frame: pl.DataFrame) -> pl.DataFrame:
    seconds = pl.coalesce("listened_at", "timestamp")
    duration = pl.coalesce(
        pl.col("info_duration_ms").cast(pl.Float64, strict=False),
        pl.col("info_duration").cast(pl.Float64, strict=False) * 1000,
    ).round(0)
    mbid = pl.coalesce("mapped_mbid", "info_recording_mbid")
    frame = frame.with_columns(
        listener_id=pl.coalesce("user_name", "user_id"),
        track_id=pl.coalesce(mbid, "info_recording_msid", "recording_msid"),
        started_at=pl.coalesce(read_time(seconds, "unix_s"), read_time(seconds, "iso")),
        duration_ms=pl.when(duration.is_between(1, 2**31 - 1)).then(duration).cast(pl.Int32),
        mbid=mbid,
        isrc="info_isrc",
        artist_ids=pl.coalesce("mapped_artists", "info_artists", pl.concat_list("artist")),
        platform=pl.coalesce("info_media_player", "info_music_service"),
    )
    return with_track_ids(frame)
