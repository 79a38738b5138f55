"""csv, lastfm-1k and sessions: what is taken, what is refused and why, however the file is cut."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.common.errors import UserError
from transforms.formats import csv, lastfm_1k, sessions
from transforms.formats.base import REASONS, Options, Parsed, hashed
from transforms.formats.containers import opened
from transforms.formats.mapping import IDENTITY, load_mapping
from transforms.formats.text import LineBlock, blocks, delimited

END = date(2026, 1, 31)
MAPPING = load_mapping("columns: {listener_id: u, track_id: t, started_at: at, ms_played: ms, artist: a}", "m.yaml")
OPTIONS = Options(end_date=END, mapping=MAPPING)
NAMES = ["u", "t", "at", "ms", "a"]


def parsed(text: str | bytes, options: Options = OPTIONS) -> Parsed:
    data = text if isinstance(text, bytes) else text.encode()
    return csv.parse(LineBlock("log.csv", 2, data), NAMES, options)


def refusals(result: Parsed) -> list[tuple[int, str]]:
    return result.rejects.select("line", "reason").rows()


def test_a_line_becomes_a_play_and_a_track() -> None:
    result = parsed("ann,t1,2026-01-05T10:00:00Z,210000,Low;Ann\n")
    assert result.plays.rows() == [(2, "ann", "t1", datetime(2026, 1, 5, 10, tzinfo=UTC), 210000)]
    assert result.catalog.rows() == [("t1", ["Low", "Ann"])]
    assert result.rows == 1 and not result.rejects.height


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"ann,t1", "broken_line"),
        (b"ann,t1,2026-01-05,1,x,left over", "broken_line"),
        (b'ann,"t1,2026-01-05,1,x', "broken_line"),
        (b"\xff\xfe,t1,2026-01-05,1,x", "bad_encoding"),
        (b",t1,2026-01-05,1,x", "empty_listener"),
        (b"  ,t1,2026-01-05,1,x", "empty_listener"),
        (b"ann,,2026-01-05,1,x", "empty_track"),
        (b"ann,t1,,1,x", "bad_time"),
        (b"ann,t1,N/A,1,x", "bad_time"),
        (b"ann,t1,2026-02-30,1,x", "bad_time"),
        (b"ann,t1,1970-01-01T00:00:05Z,1,x", "before_1990"),
        (b"ann,t1,2026-02-01T00:00:00Z,1,x", "future"),
        (b"ann,t1,2026-01-05,-1,x", "bad_ms_played"),
        (b"ann,t1,2026-01-05,soon,x", "bad_ms_played"),
        (b"ann,t1,2026-01-05,99999999999,x", "bad_ms_played"),
        (b"", "empty_listener"),
    ],
)
def test_a_refused_line_takes_no_neighbour_along(line: bytes, reason: str) -> None:
    good = b"ann,t1,2026-01-05T10:00:00Z,,Low"
    result = parsed(good + b"\n" + line + b"\n" + good + b"\n")
    assert reason in REASONS
    if line:
        assert refusals(result) == [(3, reason)]
    assert result.plays["line"].to_list() == [2, 4]
    assert result.rows == 3


def test_a_refused_line_is_kept_as_a_hash_unless_it_names_nobody() -> None:
    result = parsed("ann,t1,never,1,x\n,t1,2026-01-05,1,x\n")
    assert result.rejects["raw"].to_list() == [hashed("ann,t1,never,1,x"), ",t1,2026-01-05,1,x"]


def test_ids_stay_as_they_came() -> None:
    assert parsed('" ann ",007,2026-01-05,,\n').plays.select("listener_id", "track_id").row(0) == (" ann ", "007")


def test_quotes_and_windows_line_ends() -> None:
    result = parsed(b'ann,"a ""b"", c",2026-01-05,7.0,\r\nbob,t1,2026-01-05,,\r\n')
    assert result.plays["track_id"].to_list() == ['a "b", c', "t1"]
    assert result.plays["ms_played"].to_list() == [7, None]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-05T10:00:00Z",
        "2026-01-05 10:00:00",
        "2026-01-05 10:00:00 UTC",
        "2026-01-05T10:00:00.000+00:00",
        "2026-01-05T12:00:00+02:00",
    ],
)
def test_iso_times(text: str) -> None:
    assert parsed(f"ann,t1,{text},,\n").plays["started_at"].to_list() == [datetime(2026, 1, 5, 10, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("unit", "text"), [("unix_s", "1767607200"), ("unix_ms", "1767607200000"), ("unix_us", "1767607200000000")]
)
def test_unix_times(unit: str, text: str) -> None:
    options = Options(END, MAPPING.model_copy(update={"time": unit}))
    assert parsed(f"ann,t1,{text},,\n", options).plays["started_at"].to_list() == [datetime(2026, 1, 5, 10, tzinfo=UTC)]


def test_without_a_mapping_the_columns_are_called_like_ours() -> None:
    result = csv.parse(
        LineBlock("f", 2, b"t1,ann,2026-01-05,x\n"), ["track_id", "listener_id", "started_at", "more"], Options(END)
    )
    assert result.plays.columns == ["line", "listener_id", "track_id", "started_at"]


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"f: expected a column 'u' as the mapping says, found 'user', 't'"):
        csv.parse(LineBlock("f", 2, b"a,b\n"), ["user", "t"], OPTIONS)


@pytest.mark.parametrize(
    ("between", "said"), [("\t", r'delimiter: "\\t"'), (";", 'delimiter: ";"'), ("|", r'delimiter: "\|"')]
)
def test_a_file_of_one_column_hints_at_what_stands_between_columns(between: str, said: str) -> None:
    with pytest.raises(UserError, match=f"--mapping, and say there {said}, which the only column found"):
        MAPPING.present([between.join(("u", "t", "at"))], "f")
    with pytest.raises(UserError, match="--mapping\\.$"):
        MAPPING.present([between.join(("u", "t")), "at"], "f")


def test_a_file_of_one_column_without_a_header_hints_too() -> None:
    mapping = load_mapping("columns: {listener_id: 1, track_id: 3, started_at: 2}\nheader: false", "m")
    with pytest.raises(UserError, match='and say there delimiter: ... if columns are not separated by ","'):
        mapping.present(["1"], "f")


def test_an_artists_id_is_read_before_the_name() -> None:
    mapping = load_mapping("columns: {listener_id: u, track_id: t, started_at: s, artist: a, artist_id: i}", "m")
    names = ["u", "t", "s", "a", "i"]
    result = csv.parse(LineBlock("f", 2, b"ann,t1,2026-01-05,Low,x1;x2\n"), names, Options(END, mapping))
    assert result.catalog["artist_ids"].to_list() == [["x1", "x2"]]


def test_a_file_without_a_header_is_mapped_by_number() -> None:
    mapping = load_mapping("columns: {listener_id: 1, track_id: 3, started_at: 2}\nheader: false\ntime: unix_s", "m")
    names = csv.header_of(b"ann,1767607200,t1", mapping, "f")
    assert csv.parse(LineBlock("f", 1, b"ann,1767607200,t1\n"), names, Options(END, mapping)).plays[
        "track_id"
    ].to_list() == ["t1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found nothing"),
        ("[1", "not YAML"),
        ("- a", "found list"),
        ("columns: {listener_id: u}", "'track_id' is not mapped"),
        ("columns: {listener_id: u, track_id: t, started_at: s, song: x}", "'song' is none of our columns"),
        ("columns: {listener_id: u, track_id: t, started_at: s}\ntime: unix", "key 'time'.*found 'unix'"),
        ("columns: {listener_id: u, track_id: t, started_at: s}\ndelimeter: x", "key 'delimeter'"),
    ],
)
def test_a_wrong_mapping_names_key_and_value(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_mapping(text, "m.yaml")


def test_lastfm_1k() -> None:
    lines = (
        "user_1\t2009-05-04T23:08:57Z\tam1\tLow\ttm1\tSong\n"
        'user_1\t2009-05-04T13:54:10Z\t\t坂本龍一\t\tA "quoted title\n'
        'user_2\t2009-05-03T13:54:10Z\t\t坂本龍一\t\tA "quoted title\n'
        "user_2\t2009-05-03T13:54:10Z\t\tLow\t\t\n"
        "user_2\t2009-05-03T13:54:10Z\tbroken\n"
    )
    result = lastfm_1k.parse(LineBlock("f", 1, lines.encode()), Options(END))
    first, second, third = result.plays["track_id"].to_list()
    assert first == "tm1" and second == third and len(second) == 16
    assert refusals(result) == [(4, "empty_track"), (5, "broken_line")]
    known = {
        t: (title, artists, mbid)
        for t, title, artists, mbid in result.catalog.select("track_id", "title", "artist_ids", "mbid").rows()
    }
    assert known == {"tm1": ("Song", ["am1"], None), second: ('A "quoted title', ["坂本龍一"], None)}


def session_plays(text: str, options: Options) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows, broken = sessions.read_lines(LineBlock("f", 1, text.encode()), 0)
    result = sessions.plays_of(sessions.invent_times(rows, options), options)
    return result.plays, pl.concat([broken, result.rejects])


def test_the_last_session_falls_on_the_end_date_and_earlier_ones_a_day_apart() -> None:
    found, rejects = session_plays("ann,t1,t2\nbob,t9\nann,t3\n", Options(END))
    at = [(i, t, s) for i, t, s in found.select("listener_id", "track_id", "started_at").iter_rows()]
    last = datetime(2026, 1, 31, tzinfo=UTC)
    before = last - timedelta(days=1)
    assert at == [
        ("ann", "t1", before),
        ("ann", "t2", before + timedelta(seconds=210)),
        ("bob", "t9", last),
        ("ann", "t3", last),
    ]
    assert not rejects.height and "ms_played" not in found.columns


def test_a_session_never_reaches_the_next_day() -> None:
    found, rejects = session_plays("ann," + ",".join(f"t{i}" for i in range(1000)) + "\n", Options(END))
    assert found.height == 1000 and not rejects.height
    assert found["started_at"].max() < datetime(2026, 1, 31, 23, tzinfo=UTC)


def test_anonymous_lines_are_listeners_of_their_own_spread_in_order() -> None:
    found, _ = session_plays("ann,t1\nann,t2\nann,t3\n", Options(END, anonymous=True))
    assert found["listener_id"].n_unique() == 3
    assert found["started_at"].is_sorted() and found["track_id"].to_list() == ["t1", "t2", "t3"]
    assert found["started_at"].min() == datetime(2025, 12, 3, tzinfo=UTC)
    assert found["started_at"].max() < datetime(2026, 2, 1, tzinfo=UTC)


def test_lines_that_are_no_sessions() -> None:
    found, rejects = session_plays("ann,t1,,t2\nann\n,t1\n", Options(END))
    assert found["track_id"].to_list() == ["t1", "t2"]
    assert sorted(refusals(Parsed(found, found, rejects, 0))) == [
        (1, "empty_track"),
        (2, "broken_line"),
        (3, "empty_listener"),
    ]


def test_sessions_need_an_end_date() -> None:
    with pytest.raises(UserError, match="--end-date"):
        session_plays("ann,t1\n", Options())


LINES = st.lists(
    st.sampled_from(
        [
            "ann,t1,2026-01-05,1,x",
            "bob,t2,2026-01-06,,",
            "ann,t1",
            '"ann,t1,2026-01-05,1,x',
            ",,,,",
            "",
            "é,ü,2026-01-07,,ß",
            "a,b,c,d,e,f",
        ]
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=100)
@given(LINES, st.integers(1, 60), st.booleans())
def test_however_a_file_is_cut_every_line_is_a_play_or_a_reject(lines: list[str], size: int, zipped: bool) -> None:
    data = "\n".join(lines).encode() + b"\n"
    stream = opened(io.BytesIO(gzip.compress(data) if zipped else data), "f")
    whole = parsed(data)
    parts = [csv.parse(LineBlock("f", b.first_line + 1, b.data), NAMES, OPTIONS) for b in blocks(stream, "f", size)]
    assert pl.concat([p.plays for p in parts]).equals(whole.plays)
    assert pl.concat([p.rejects for p in parts]).equals(whole.rejects)
    assert sum(p.rows for p in parts) == whole.rows == whole.plays.height + whole.rejects.height
    assert set(whole.plays["line"]) | set(whole.rejects["line"]) == set(range(2, 2 + len(lines)))


def test_a_damaged_gzip_file() -> None:
    cut = io.BytesIO(gzip.compress(b"ann,t1\n" * 1000)[:-20])
    with pytest.raises(UserError, match=r"log.gz: expected a whole gzip file"):
        list(blocks(opened(cut, "log.gz"), "log.gz"))


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    (block,) = blocks(io.BytesIO(b"\xef\xbb\xbfu,t\n"), "f")
    assert csv.header_of(block.data, IDENTITY, "f") == ["u", "t"]


def test_delimited_without_quotes() -> None:
    table = delimited(LineBlock("f", 1, b'a"\tb\n'), ["x", "y"], "\t", quote=None)
    assert table.frame.rows() == [('a"', "b", 1)]
