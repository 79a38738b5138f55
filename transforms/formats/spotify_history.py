"""Spotify's extended streaming history: JSON arrays, one export a person.

    [{"ts": "2023-01-05T10:03:30Z", "ms_played": 210000, "spotify_track_uri": "spotify:track:...",
      "master_metadata_track_name": "Monkey", "master_metadata_album_artist_name": "Low", "reason_end": "trackdone"}]

`ts` is when the play ended, so started_at = ts - ms_played. `reason_end` "trackdone" means completed. Whose export it
is stands in older files (`username`); else it is the `listener` option, else the name of the folder the file lies in.
Podcast episodes, audiobooks and videos are refused as `not_music`. An entry's number in the array stands for its
line.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from transforms.common.errors import UserError
from transforms.formats.base import Options, Parsed, accept, encodable, hashed, rejects_frame
from transforms.formats.times import read_time

_TEXT = {
    "ts": "ts",
    "username": "username",
    "track_id": "spotify_track_uri",
    "title": "master_metadata_track_name",
    "artist": "master_metadata_album_artist_name",
    "album_id": "master_metadata_album_album_name",
    "episode": "spotify_episode_uri",
    "audiobook": "audiobook_uri",
    "reason_end": "reason_end",
    "platform": "platform",
    "country": "conn_country",
}
_SPACE = " \t\r\n,"
_NEXT = re.compile(r"[\s,\]\[]\{")
_MOST_BROKEN = 1000  # places to begin again at; after them the rest of the file is one reject


def parse(data: bytes, file: str, options: Options) -> Parsed:
    """Parse a whole file.

    Raises:
        UserError: it is not a JSON array, or another of Spotify's exports.
    """
    entries, broken = _entries(data, file)
    known = [(n, e) for n, e in entries if isinstance(e, dict)]
    broken += [(n, "broken_line", hashed(json.dumps(e))) for n, e in entries if not isinstance(e, dict)]
    if b"\\u" in data:
        broken += [(n, "bad_encoding", hashed(json.dumps(e))) for n, e in known if not encodable(e)]
        known = [(n, e) for n, e in known if encodable(e)]
    if known and not any("ts" in e for _, e in known):
        found = ", ".join(sorted(map(str, known[0][1]))[:6]) or "nothing"
        raise UserError(
            f"{_name(file)}: expected the extended streaming history with 'ts' and 'ms_played' in each entry, found {found}; "
            "the account data export has no track ids: ask Spotify for the extended one."
        )
    columns: dict[str, Any] = {name: [_text(e.get(key)) for _, e in known] for name, key in _TEXT.items()}
    columns["line"] = [n for n, _ in known]
    columns["ms_played"] = [_whole(e.get("ms_played")) for _, e in known]
    columns["skipped"] = [_flag(e.get("skipped")) for _, e in known]
    columns["shuffle"] = [_flag(e.get("shuffle")) for _, e in known]
    schema = {
        "line": pl.Int64,
        **dict.fromkeys(_TEXT, pl.String),
        "ms_played": pl.Int64,
        "skipped": pl.Boolean,
        "shuffle": pl.Boolean,
    }
    raw = {n: json.dumps(e, sort_keys=True) for n, e in known}
    frame = _ours(pl.DataFrame(columns, schema=schema), options.listener or _folder(file))
    return accept(frame, lambda lines: {n: raw[n] for n in lines}, options, rejects_frame(broken))


def _ours(frame: pl.DataFrame, listener: str | None) -> pl.DataFrame:
    ms = pl.col("ms_played")
    other = pl.col("track_id").is_null() & (pl.col("episode").is_not_null() | pl.col("audiobook").is_not_null())
    wrong = ms.is_null() | ~ms.is_between(0, 2**31 - 1)
    return frame.with_columns(
        listener_id=pl.coalesce("username", pl.lit(listener, dtype=pl.String)),
        started_at=read_time(pl.col("ts"), "iso") - pl.duration(milliseconds=pl.when(~wrong).then(ms)),
        ms_played=pl.when(~wrong).then(ms).cast(pl.Int32),
        completed=pl.col("reason_end") == "trackdone",
        artist_ids=pl.concat_list("artist"),
        reason=pl.when(other)
        .then(pl.lit("not_music"))
        .when(pl.col("track_id").is_null())
        .then(pl.lit("empty_track"))
        .when(read_time(pl.col("ts"), "iso").is_null())
        .then(pl.lit("bad_time"))
        .when(wrong)
        .then(pl.lit("bad_ms_played")),
    )


def _entries(data: bytes, file: str) -> tuple[list[tuple[int, Any]], list[tuple[int, str, str]]]:
    """Numbered entries of the array; what cannot be read is one reject up to where the next entry seems to begin."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{_name(file)}: expected a JSON file in UTF-8, found bytes that are not.") from None
    if not text.lstrip().startswith("["):
        raise UserError(
            f"{_name(file)}: expected the extended streaming history, a JSON array that begins with '[', found "
            f"{'an empty file' if not text.strip() else 'other text'}."
        )
    try:
        return list(enumerate(json.loads(text), 1)), []
    except (ValueError, RecursionError):
        pass
    entries: list[tuple[int, Any]] = []
    broken: list[tuple[int, str, str]] = []
    decoder, at, number = json.JSONDecoder(), text.index("[") + 1, 1
    while at < len(text):
        if text[at] in _SPACE:
            at += 1
            continue
        if text[at] == "]" and not text[at + 1 :].strip():
            break
        try:
            entry, at = decoder.raw_decode(text, at)
            entries.append((number, entry))
        except (ValueError, RecursionError) as error:
            again = None
            if isinstance(error, ValueError) and len(broken) < _MOST_BROKEN:
                again = _NEXT.search(text, at + 1)
            end = again.start() + 1 if again else len(text)
            broken.append((number, "broken_line", hashed(text[at:end].encode(errors="replace"))))
            at = end
        number += 1
    return entries, broken


def _name(file: str) -> str:
    return PurePosixPath(file).name  # the folder may be called like the person


def _folder(file: str) -> str | None:
    return PurePosixPath(file).parent.name or None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: Any) -> int | None:
    return (
        int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**62 else None
    )


def _flag(value: Any) -> bool | None:
    return bool(value) if isinstance(value, (bool, int)) else None
