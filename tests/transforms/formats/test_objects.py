"""listenbrainz, spotify-history, parquet and table files: what is taken, what is refused and why."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from transforms.common.errors import UserError
from transforms.formats import listenbrainz, parquet, spotify_history
from transforms.formats.base import Options, Parsed
from transforms.formats.files import identify
from transforms.formats.formats import check, pieces
from transforms.formats.mapping import load_mapping
from transforms.formats.tables import check_columns, rows_of
from transforms.formats.text import LineBlock

END = date(2026, 1, 31)
AT = datetime(2026, 1, 5, 10, tzinfo=UTC)
SECONDS = int(AT.timestamp())


def brainz(*listens: Any, listener: str | None = None) -> Parsed:
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in listens]
    return listenbrainz.parse(LineBlock("f", 1, b"\n".join(lines) + b"\n"), Options(END, listener=listener))


def listen(**over: Any) -> dict[str, Any]:
    track = {"artist_name": "Low", "track_name": "Monkey", **over.pop("track", {})}
    return {"user_name": "ann", "listened_at": SECONDS, "track_metadata": track, **over}


REC, A1, A2 = (f"9b1f2c3d-1111-4000-8000-00000000000{n}" for n in range(1, 4))


def test_a_listenbrainz_listen() -> None:
    artists = [{"artist_mbid": A2, "artist_credit_name": "Tom"}, {"artist_mbid": A1, "artist_credit_name": "Low "}]
    mapped = {
        "mbid_mapping": {"recording_mbid": REC, "artist_mbids": [A1, A2], "artists": artists},
        "additional_info": {"duration_ms": 210000},
    }
    result = brainz(listen(track=mapped))
    assert result.plays.select("listener_id", "track_id", "started_at").rows() == [("ann", REC, AT)]
    assert result.catalog.select("title", "artist_ids", "duration_ms", "mbid").rows() == [
        ("Monkey", [A1, A2], 210000, REC)
    ]
    assert result.artists.rows() == [(A1, "Low", 1), (A2, "Tom", 1)]


def test_the_one_name_of_a_credit_is_no_name_of_several_artists() -> None:
    several = listen(track={"mbid_mapping": {"artist_mbids": [A1, A2]}})
    alone = listen(track={"mbid_mapping": {"artist_mbids": [A1]}})
    assert brainz(several).artists.is_empty() and brainz(listen()).artists.rows() == [("Low", "Low", 1)]
    assert brainz(alone).artists.rows() == [(A1, "Low", 1)]


@pytest.mark.parametrize("nothing", ["None", "none", "N/A", "", "00000000-0000-0000-0000-000000000000"])
def test_what_stands_for_no_id_is_none(nothing: str) -> None:
    songs = [
        listen(track={"track_name": n, "additional_info": {"recording_mbid": nothing, "recording_msid": f"m{n}"}})
        for n in ("one", "two")
    ]
    result = brainz(*songs)
    assert result.plays["track_id"].to_list() == ["mone", "mtwo"]
    assert result.catalog["mbid"].to_list() == [None, None] and not result.unread


@pytest.mark.parametrize(
    ("info", "length"),
    [
        ({"duration": 215}, 215_000),
        ({"duration": 215_000}, 215_000),
        ({"duration_ms": 215_000, "duration": 1}, 215_000),
        ({"duration_ms": 2_150_000_000}, None),
        ({"duration": -1}, None),
        ({"duration": "long"}, None),
        ({}, None),
    ],
)
def test_lengths_in_the_unit_that_was_meant(info: dict[str, Any], length: int | None) -> None:
    result = brainz(listen(track={"additional_info": info}))
    assert result.catalog["duration_ms"].to_list() == [length]
    assert result.unread == ({"duration_ms": 1} if info and length is None else {})


def test_a_users_own_export_says_whose_it_is_by_an_option() -> None:
    own = listen()
    del own["user_name"]
    with pytest.raises(UserError, match="say whose it is with --listener"):
        brainz(own)
    assert brainz(own, listener="ann").plays["listener_id"].to_list() == ["ann"]
    assert brainz(listen(), listener="ann").plays["listener_id"].to_list() == ["ann"]
    with pytest.raises(UserError, match="leave --listener out"):
        brainz(listen(), listener="bob")


def test_a_listenbrainz_track_id_is_the_best_there_is() -> None:
    result = brainz(
        listen(track={"additional_info": {"recording_mbid": "sent", "recording_msid": "messy"}}),
        listen(track={"additional_info": {"recording_msid": "messy"}}),
        listen(recording_msid="older"),
        listen(),
        listen(user_name="bob"),
    )
    sent, messy, older, made, again = result.plays["track_id"].to_list()
    assert (sent, messy, older) == ("sent", "messy", "older")
    assert made == again and len(made) == 16


def test_older_dumps_say_timestamp_and_number_their_users() -> None:
    old = {"user_id": 7, "timestamp": SECONDS, "track_metadata": {"artist_name": "Low", "track_name": "Monkey"}}
    assert brainz(old).plays.select("listener_id", "started_at").rows() == [("7", AT)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "broken_line"),
        (b"", "broken_line"),
        (b"[]", "broken_line"),
        (b"null", "broken_line"),
        (b'{"user_name": "\xff"}', "bad_encoding"),
        ({"listened_at": SECONDS, "track_metadata": {"track_name": "x"}}, "empty_listener"),
        ({"user_name": "ann", "listened_at": SECONDS}, "empty_track"),
        ({"user_name": "ann", "listened_at": SECONDS, "track_metadata": "x"}, "empty_track"),
        ({"user_name": "ann", "track_metadata": {"track_name": "x"}}, "bad_time"),
        ({"user_name": "ann", "listened_at": {}, "track_metadata": {"track_name": "x"}}, "bad_time"),
        ({"user_name": "ann", "listened_at": 5, "track_metadata": {"track_name": "x"}}, "before_1990"),
        ({"user_name": "ann", "listened_at": 2**33, "track_metadata": {"track_name": "x"}}, "future"),
    ],
)
def test_refused_listenbrainz_lines(line: Any, reason: str) -> None:
    result = brainz(listen(), line, listen())
    assert result.rejects.select("line", "reason").rows() == [(2, reason)]
    assert result.plays["line"].to_list() == [1, 3]


def entry(**over: Any) -> dict[str, Any]:
    return {
        "ts": "2026-01-05T10:03:30Z",
        "ms_played": 210_000,
        "spotify_track_uri": "spotify:track:1",
        "master_metadata_track_name": "Monkey",
        "master_metadata_album_artist_name": "Low",
        "reason_end": "trackdone",
        "skipped": False,
        **over,
    }


def spotify(*entries: Any, file: str = "exports/ann/history.json", listener: str | None = None) -> Parsed:
    return spotify_history.parse(json.dumps(list(entries)).encode(), file, Options(END, listener=listener))


def test_a_spotify_play_started_before_its_timestamp() -> None:
    result = spotify(entry(), entry(reason_end="fwdbtn", skipped=True))
    assert result.plays.select("listener_id", "track_id", "started_at", "ms_played", "completed", "skipped").rows() == [
        ("ann", "spotify:track:1", AT, 210_000, True, False),
        ("ann", "spotify:track:1", AT, 210_000, False, True),
    ]


def test_whose_export_it_is() -> None:
    assert spotify(entry(username="own")).plays["listener_id"][0] == "own"
    assert spotify(entry(), listener="said").plays["listener_id"][0] == "said"
    assert spotify(entry(username="ann"), listener="ann").plays["listener_id"][0] == "ann"
    with pytest.raises(UserError, match="leave --listener out"):
        spotify(entry(username="bob"), listener="ann")


@pytest.mark.parametrize(
    "folder", ["Spotify Extended Streaming History", "MyData", "my_spotify_data", "MyData (1)", "Downloads", "."]
)
def test_a_folder_that_everyone_has_is_nobodys_name(folder: str) -> None:
    with pytest.raises(UserError, match="say it with --listener NAME"):
        spotify(entry(), file=f"{folder}/h.json")
    assert spotify(entry(), file=f"{folder}/h.json", listener="ann").plays["listener_id"].to_list() == ["ann"]
    assert spotify(entry(username="own"), file=f"{folder}/h.json").plays["listener_id"].to_list() == ["own"]


def test_two_folders_of_one_name_are_not_one_person() -> None:
    spotify_history.check_folders(["ann/a.json", "ann/b.json", "bob/a.json"], Options(END))
    spotify_history.check_folders(["x/music/a.json", "y/music/a.json"], Options(END, listener="ann"))
    with pytest.raises(UserError, match="several folders called 'music'"):
        spotify_history.check_folders(["x/music/a.json", "y/music/a.json"], Options(END))


def test_a_play_without_a_network_began_when_it_says_and_not_when_it_was_told() -> None:
    said_time = "2026-01-09T18:00:00Z"
    result = spotify(
        entry(ts=said_time, offline=True, offline_timestamp=SECONDS),
        entry(ts=said_time, offline=True, offline_timestamp=(SECONDS + 300) * 1000),
        entry(ts=said_time, offline=True, offline_timestamp=0),
        entry(ts=said_time, offline=True, offline_timestamp=None),
        entry(ts=said_time, offline=True, offline_timestamp=SECONDS * 2),
        entry(ts=said_time, offline=False, offline_timestamp=SECONDS),
    )
    by_the_end = datetime(2026, 1, 9, 17, 56, 30, tzinfo=UTC)
    assert result.plays["started_at"].to_list() == [AT, AT + timedelta(minutes=5), *[by_the_end] * 4]


def test_a_private_session_leaves_no_play_and_a_local_file_has_an_id() -> None:
    local = entry(spotify_track_uri=None)
    result = spotify(entry(incognito_mode=True), local, local, entry(skipped="maybe", shuffle="no"))
    assert result.rejects.select("line", "reason").rows() == [(1, "private")]
    made, again, _ = result.plays["track_id"].to_list()
    assert made == again and len(made) == 16
    assert result.unread == {"skipped": 1, "shuffle": 1}
    assert result.artists.rows() == [("Low", "Low", 3)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (entry(spotify_track_uri=None, spotify_episode_uri="spotify:episode:1"), "not_music"),
        (entry(spotify_track_uri=None, audiobook_uri="spotify:show:1"), "not_music"),
        (entry(spotify_track_uri=None, master_metadata_track_name=None), "empty_track"),
        (entry(ts=None), "bad_time"),
        (entry(ts="yesterday"), "bad_time"),
        (entry(ms_played=-1), "bad_ms_played"),
        (entry(ms_played="long"), "bad_ms_played"),
        (entry(ts="2026-02-03T00:00:00Z"), "future"),
        (7, "broken_line"),
    ],
)
def test_refused_spotify_entries(bad: Any, reason: str) -> None:
    result = spotify(entry(), bad, entry())
    assert result.rejects.select("line", "reason").rows() == [(2, reason)]
    assert result.rows == 3 == result.plays.height + 1


def test_a_spotify_file_cut_short_keeps_its_whole_entries() -> None:
    data = json.dumps([entry(), entry()]).encode()[:-30]
    result = spotify_history.parse(data, "ann/h.json", Options(END))
    assert result.plays.height == 1
    assert result.rejects.select("line", "reason").rows() == [(2, "broken_line")]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"{}", "other text"),
        (b"\xff\xfe", "bytes that are not"),
        (b'[{"endTime": "2026-01-05 10:03", "artistName": "Low", "trackName": "M", "msPlayed": 1}]', "artistName"),
    ],
)
def test_other_files_than_the_extended_history(data: bytes, found: str) -> None:
    with pytest.raises(UserError, match=f"h.json: expected.*{found}"):
        spotify_history.parse(data, "h.json", Options(END))


def as_parquet(frame: pl.DataFrame, row_group_size: int = 2) -> pq.ParquetFile:
    out = io.BytesIO()
    pq.write_table(frame.to_arrow(), out, row_group_size=row_group_size)
    return parquet.open_file(io.BytesIO(out.getvalue()), "f.parquet")


LOG = pl.DataFrame(
    {
        "listener_id": [1, None, 2, 2, 2],
        "track_id": ["a", "b", "", "d", "e"],
        "started_at": [AT.replace(tzinfo=None)] * 4 + [None],
        "ms_played": [1, 2, 3, -4, 5],
        "other": ["x"] * 5,
    }
)


def test_parquet_row_groups_carry_row_numbers() -> None:
    file = as_parquet(LOG)
    done = [parquet.parse(file, piece, "f", Options(END)) for piece in parquet.pieces(file, rows=2)]
    assert len(done) == 3
    assert pl.concat([d.plays for d in done]).rows() == [(1, "1", "a", AT, 1)]
    assert pl.concat([d.rejects for d in done]).select("line", "reason").rows() == [
        (2, "empty_listener"),
        (3, "empty_track"),
        (4, "bad_ms_played"),
        (5, "bad_time"),
    ]


def test_parquet_times_as_numbers_need_a_unit() -> None:
    file = as_parquet(pl.DataFrame({"listener_id": ["ann"], "track_id": ["a"], "started_at": [SECONDS]}))
    with pytest.raises(UserError, match="say time: unix_s"):
        parquet.check(file, "f", Options(END))
    mapping = load_mapping(
        "columns: {listener_id: listener_id, track_id: track_id, started_at: started_at}\ntime: unix_s", "m"
    )
    parquet.check(file, "f", Options(END, mapping))
    assert parquet.parse(file, parquet.RowGroups((0,), 0, 1), "f", Options(END, mapping)).plays["started_at"][0] == AT


def test_wrong_files_are_told_before_anything_starts(tmp_path: Path) -> None:
    files = {
        "log.parquet": b"no parquet",
        "log.json": b"not json\n" * 5,
        "log.tsv": b"a,b,c\n" * 5,
        "log.csv": b"user,song\nann,t1\n",
        "times.csv": b"listener_id,track_id,started_at\nann,t1,never\n",
        "sessions.txt": b"one\ntwo\n",
    }
    expected = {
        "log.parquet": ("parquet", "expected a Parquet file"),
        "log.json": ("listenbrainz", "5 lines can be taken .5 of them: broken_line"),
        "log.tsv": ("lastfm-1k", "expected lastfm-1k, six tab-separated columns"),
        "log.csv": ("csv", "expected a column 'listener_id'"),
        "times.csv": ("csv", "1 of them: bad_time"),
        "sessions.txt": ("sessions", "expected sessions"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        fmt, message = expected[name]
        with pytest.raises(UserError, match=message):
            check(fmt, identify([str(tmp_path / name)])[0], Options(END))


def test_an_empty_file_is_an_empty_log(tmp_path: Path) -> None:
    path = tmp_path / "empty.tsv"
    path.touch()
    (file,) = identify([str(path)])
    check("lastfm-1k", file, Options(END))
    assert len(pieces("lastfm-1k", [file])) == 1


def test_rows_of_a_table_file() -> None:
    frame = pl.DataFrame(
        {
            "listener_id": ["ann", "ann", None],
            "kind": ["save"] * 3,
            "target": ["t1"] * 3,
            "at": ["2026-01-05", "2026-03-05", "2026-01-05"],
        }
    )
    found = rows_of("feedback", frame, 2, END)
    rejects = found.rejects
    assert found.kept.rows() == [("ann", "save", "t1", datetime(2026, 1, 5, tzinfo=UTC))]
    assert rejects.select("line", "reason").rows() == [(3, "future"), (4, "broken_line")]


def test_a_table_file_without_a_required_column() -> None:
    with pytest.raises(
        UserError, match=r"f: expected the columns of table 'feedback', listener_id, kind, target, at at least"
    ):
        check_columns("feedback", ["listener_id", "kind"], "f")
    check_columns("tracks", ["track_id", "title"], "f")
