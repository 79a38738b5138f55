"""Spotify's extended streaming history: JSON arrays, one export a person.

    [{"ts": "2023-01-05T10:03:30Z", "ms_played": 210000, "spotify_track_uri": "spotify:track:...",
      "master_metadata_track_name": "Monkey", "master_metadata_album_artist_name": "Low", "reason_end": "trackdone"}]

`ts` is when the play ended, so started_at = ts - ms_played; of a play without a network it is when the play was told, and
`offline_timestamp` (seconds or milliseconds) when it began. `reason_end` "trackdone" means completed. A private session
(`incognito_mode`) is left out and counted, as `private`. Whose export it is stands in older files (`username`); else it is
the `listener` option, else the name of the folder the file lies in, unless every export has such a folder. Podcast
episodes, audiobooks and videos are refused as `not_music`. A local file has no id, so one is made of artist and title. An
entry's number in the array stands for its line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from transforms.common.errors import UserError
from transforms.formats.base import EARLIEST, Options, Parsed, accept, encodable, hashed, rejects_frame
from transforms.formats.songs import one_artist, with_track_ids
from transforms.formats.times import read_time
from transforms.formats.values import LONGEST_TRACK_MS, said

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
_NUMBERS = ("ms_played", "offline_timestamp")
_FLAGS = ("skipped", "shuffle", "offline", "incognito_mode")
_MILLISECONDS = 100_000_000_000  # a larger number of seconds lies beyond the year 5000
# How the services and people's machines call the folder that an export is unpacked to.
_OF_EVERYONE = re.compile(
    r"(?:my[ _-]?data|(?:my[ _-])?spotify(?:[ _-](?:extended|account))?(?:[ _-](?:streaming|data|history|export))*"
    r"|(?:extended[ _-])?streaming[ _-]?history|end[ _-]?song|downloads?|exports?|data|history|inputs?|unzipped|desktop|tmp)"
    r"(?:[ _-]*\(?\d+\)?)?"
)
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
    columns |= {name: [_whole(e.get(name)) for _, e in known] for name in _NUMBERS}
    columns |= {name: [_flag(e.get(name)) for _, e in known] for name in _FLAGS}
    schema = {
        "line": pl.Int64,
        **dict.fromkeys(_TEXT, pl.String),
        **dict.fromkeys(_NUMBERS, pl.Int64),
        **dict.fromkeys(_FLAGS, pl.Boolean),
    }
    raw = {n: json.dumps(e, sort_keys=True) for n, e in known}
    plays = pl.DataFrame(columns, schema=schema)
    lost = {
        name: sum(e.get(name) is not None for _, e in known) - plays[name].count() for name in ("skipped", "shuffle")
    }
    whose = pl.Series("listener_id", _whose(plays["username"], file, options), dtype=pl.String)
    plays = _ours(plays.with_columns(whose))
    return accept(plays, lambda lines: {n: raw[n] for n in lines}, options, rejects_frame(broken), lost)


def _whose(named: pl.Series, file: str, options: Options) -> pl.Series:
    """Whose each play is.

    Raises:
        UserError: nobody says, or the file and the option say different things.
    """
    if options.listener is not None:
        if (named.drop_nulls() != options.listener).any():
            raise UserError(
                f"{_name(file)}: expected entries that name nobody, since --listener says whose they are, found entries "
                "that name another listener; leave --listener out."
            )
        return named.fill_null(options.listener)
    folder = PurePosixPath(file).parent.name
    if named.null_count() and (not folder or _OF_EVERYONE.fullmatch(folder.lower())):
        raise UserError(
            f"{_name(file)}: expected to know whose export this is, found it in a folder that everyone's export has; say it "
            "with --listener NAME, or put each person's files into a folder called like them."
        )
    return named.fill_null(folder) if folder else named


def check_folders(files: Sequence[str], options: Options) -> None:
    """See that no two folders would pass for the same person.

    Raises:
        UserError: two folders of one name hold files, and nothing says whose they are.
    """
    first: dict[str, PurePosixPath] = {}
    for parent in (PurePosixPath(f).parent for f in files):
        if options.listener is None and first.setdefault(parent.name, parent) != parent:
            raise UserError(
                f"--input: expected one folder a person, found several folders called {parent.name!r}; ingest each with "
                "--listener NAME, or give each a name of its own."
            )


def _ours(frame: pl.DataFrame) -> pl.DataFrame:
    ms, said_time = pl.col("ms_played"), read_time(pl.col("ts"), "iso")
    other = pl.col("track_id").is_null() & (pl.col("episode").is_not_null() | pl.col("audiobook").is_not_null())
    wrong = ms.is_null() | ~ms.is_between(0, LONGEST_TRACK_MS)
    frame = with_track_ids(frame.with_columns(other=other, artist=said(pl.col("artist"))))
    begun = pl.col("offline_timestamp")
    micros = pl.when(begun >= _MILLISECONDS).then(begun * 1_000).when(begun > 0).then(begun * 1_000_000)
    offline = pl.when("offline").then(micros.cast(pl.Datetime("us", "UTC")))
    ended = said_time - pl.duration(milliseconds=pl.when(~wrong).then(ms))
    return frame.with_columns(
        started_at=pl.when(offline.is_between(EARLIEST, said_time)).then(offline).otherwise(ended),
        ms_played=pl.when(~wrong).then(ms).cast(pl.Int32),
        completed=pl.col("reason_end") == "trackdone",
        artist_ids=one_artist(pl.col("artist")),
        artist_names=one_artist(pl.col("artist")),
        reason=pl.when("other")
        .then(pl.lit("not_music"))
        .when("incognito_mode")
        .then(pl.lit("private"))
        .when(pl.col("track_id").is_null())
        .then(pl.lit("empty_track"))
        .when(said_time.is_null())
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


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: Any) -> int | None:
    return (
        int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**62 else None
    )


def _flag(value: Any) -> bool | None:
    return bool(value) if isinstance(value, (bool, int)) else None
