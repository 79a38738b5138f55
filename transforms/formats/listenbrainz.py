"""ListenBrainz dumps and exports: one JSON object a line.

    {"user_id": 1, "user_name": "ann", "listened_at": 1588000000, "track_metadata": {"artist_name": "Low",
     "track_name": "Monkey", "release_name": "The Great Destroyer", "additional_info": {"recording_msid": "..."},
     "mbid_mapping": {"recording_mbid": "...", "artist_mbids": ["..."], "artists": [{"artist_mbid": "...",
     "artist_credit_name": "Low"}]}}}

`timestamp` stands for `listened_at` in older dumps. A track's id is its MusicBrainz id where ListenBrainz mapped one or
the player sent one, else its MessyBrainz id, else a hash of artist and title; "None", which clients send, is no id. A
user's own export names nobody: whose it is, the `listener` option says. `duration` is in seconds by the format's words;
a number of seconds beyond a day is milliseconds, as many clients send it, and a length beyond a day in either is unknown.
"""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from transforms.common.errors import UserError
from transforms.formats.base import Options, Parsed, accept, encodable, hashed, rejects_frame
from transforms.formats.songs import one_artist, with_track_ids
from transforms.formats.text import LineBlock
from transforms.formats.times import read_time
from transforms.formats.values import LONGEST_TRACK_MS, real_id, said, unread, well_formed_isrc, well_formed_mbid

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
_MAPPED = ("track_metadata", "mbid_mapping")
_LISTS = {
    "mapped_artists": (*_MAPPED, "artist_mbids"),
    "info_artists": ("track_metadata", "additional_info", "artist_mbids"),
}


def parse(block: LineBlock, options: Options) -> Parsed:
    """Parse a block of lines.

    Raises:
        UserError: the file names nobody and the option does not say whose it is, or both do and differ.
    """
    rows: dict[str, list[Any]] = {name: [] for name in ("line", *_FIELDS, *_LISTS, "mapped_names")}
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
        rows["mapped_names"].append(_names(_at(listen, _MAPPED)))
    schema: dict[str, Any] = {
        "line": pl.Int64,
        **dict.fromkeys(_FIELDS, pl.String),
        **dict.fromkeys((*_LISTS, "mapped_names"), pl.List(pl.String)),
    }
    frame = _named(pl.DataFrame(rows, schema=schema), block, options)
    found = _ours(frame)
    lengths, sent = (
        frame.select(pl.coalesce(*names)).to_series()
        for names in (
            ("info_duration_ms", "info_duration"),
            (real_id(pl.col(name)) for name in ("mapped_mbid", "info_recording_mbid")),
        )
    )
    lost = {
        "duration_ms": unread(lengths, found["duration_ms"]),
        "isrc": unread(frame["info_isrc"], found["isrc"]),
        "mbid": unread(sent, found["mbid"]),
    }
    return accept(found, block.raw, options, rejects_frame(broken), lost)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, (dict, list)) or value == "" else str(value)


def _texts(value: Any) -> list[str] | None:
    return [text for v in value if v and (text := str(v).strip())] or None if isinstance(value, list) else None


def _names(mapped: Any) -> list[str] | None:
    """Names of the mapped artists in the order of their ids, where every one of them has a name."""
    artists, ids = _at(mapped, ("artists",)), _texts(_at(mapped, ("artist_mbids",)))
    if not isinstance(artists, list) or ids is None:
        return None
    by_id = {_at(a, ("artist_mbid",)): _at(a, ("artist_credit_name",)) for a in artists if isinstance(a, dict)}
    names = [by_id.get(i) for i in ids]
    return [str(n).strip() for n in names] if all(isinstance(n, str) and n.strip() for n in names) else None


def _named(frame: pl.DataFrame, block: LineBlock, options: Options) -> pl.DataFrame:
    """The frame with `listener_id`: who the line names, else who the option says."""
    frame = frame.with_columns(listener_id=pl.coalesce(said(pl.col("user_name")), said(pl.col("user_id"))))
    own = frame["listener_id"]
    if options.listener is None:
        if block.first_line == 1 and frame.height and own.null_count() == frame.height:
            raise UserError(
                f"{block.file}: expected user_name (or user_id) in every line, found none, as in a user's own export; say "
                "whose it is with --listener NAME."
            )
        return frame
    if (own.drop_nulls() != options.listener).any():
        raise UserError(
            f"{block.file}: expected lines that name nobody, since --listener says whose they are, found lines that name "
            "another listener; leave --listener out."
        )
    return frame.with_columns(listener_id=pl.lit(options.listener))


def _length(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64, strict=False)


def _ours(frame: pl.DataFrame) -> pl.DataFrame:
    at = pl.coalesce("listened_at", "timestamp")
    seconds = _length("info_duration")
    milliseconds = pl.when(seconds * 1000 > LONGEST_TRACK_MS).then(seconds).otherwise(seconds * 1000)
    duration = pl.coalesce(_length("info_duration_ms"), milliseconds).round(0)
    sent = pl.coalesce(real_id(pl.col("mapped_mbid")), real_id(pl.col("info_recording_mbid")))
    frame = frame.with_columns(artist=said(pl.col("artist")))
    frame = frame.with_columns(
        track_id=pl.coalesce(sent, real_id(pl.col("info_recording_msid")), real_id(pl.col("recording_msid"))),
        started_at=pl.coalesce(read_time(at, "unix_s"), read_time(at, "iso")),
        duration_ms=pl.when(duration.is_between(1, LONGEST_TRACK_MS)).then(duration).cast(pl.Int32),
        mbid=well_formed_mbid(sent),
        isrc=well_formed_isrc(pl.col("info_isrc")),
        artist_ids=pl.coalesce("mapped_artists", "info_artists", one_artist(pl.col("artist"))),
        platform=pl.coalesce("info_media_player", "info_music_service"),
    )
    # of several ids, the one name of the credit belongs to none
    alone = pl.col("artist_ids").list.len() == 1
    names = pl.when(pl.col("mapped_artists").is_not_null()).then("mapped_names")
    frame = frame.with_columns(artist_names=pl.coalesce(names, pl.when(alone).then(one_artist(pl.col("artist")))))
    return with_track_ids(frame)
