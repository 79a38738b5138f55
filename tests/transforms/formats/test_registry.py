"""The formats as rows."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from transforms.common.errors import UserError
from transforms.formats.base import Options
from transforms.formats.files import identify
from transforms.formats.formats import FORMATS, check, named, parse_log, pieces

BRAINZ = {
    "user_name": "ann",
    "listened_at": 1767607200,
    "track_metadata": {"artist_name": "Low", "track_name": "Monkey"},
}
SPOTIFY = {
    "ts": "2026-01-05T10:03:30Z",
    "ms_played": 210000,
    "spotify_track_uri": "spotify:track:t1",
    "username": "ann",
}
LINES = {
    "csv": "listener_id,track_id,started_at\nann,t1,2026-01-05T10:00:00Z\n",
    "lastfm-1k": "ann\t2026-01-05T10:00:00Z\ta\tLow\tt1\tMonkey\n",
    "listenbrainz": json.dumps(BRAINZ) + "\n",
    "sessions": "ann,t1\n",
    "spotify-history": json.dumps([SPOTIFY]),
}


def test_every_format_is_listed_once_and_says_what_it_holds() -> None:
    names = [row.name for row in FORMATS]
    assert names == sorted(set(names)) and {*LINES, "parquet"} == set(names)
    assert all(row.holds for row in FORMATS)
    with pytest.raises(UserError, match="expected one of csv, .* or bigquery, found 'mp3'"):
        named("mp3")


@pytest.mark.parametrize("name", sorted(LINES))
def test_one_play_is_looked_at_and_parsed_by_the_reader_of_its_row(name: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LINES[name])
    files, options = identify([str(tmp_path / "log")]), Options(date(2026, 1, 5))
    assert check(name, files[0], options) == 1
    (piece,) = pieces(name, files)
    ((number, parsed),) = parse_log(name, piece, options)
    assert number == 0 and parsed.plays["listener_id"].to_list() == ["ann"] and parsed.rejects.is_empty()
