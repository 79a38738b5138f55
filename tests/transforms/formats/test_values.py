"""How cells are read: what counts as yes, as a list, as nothing, and what is counted because it was lost."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.common.errors import UserError
from transforms.formats import csv, parquet
from transforms.formats.base import Options
from transforms.formats.mapping import load_mapping
from transforms.formats.tables import rows_of
from transforms.formats.text import LineBlock
from transforms.formats.times import read_time
from transforms.formats.values import read_bool, read_date, read_list, unread, well_formed_isrc, well_formed_mbid

END = date(2026, 1, 31)
AT = datetime(2026, 1, 5, 10, tzinfo=UTC)
NAN = math.nan


def of(read, values: list, kind: pl.DataType | None = None) -> list:
    return pl.DataFrame({"c": pl.Series(values, dtype=kind)}).select(read(pl.col("c"))).to_series().to_list()


@pytest.mark.parametrize("yes", ["true", " YES ", "t", "1", "1.0", "on", 1, 1.0, True])
def test_yes(yes: object) -> None:
    assert of(read_bool, [yes]) == [True]


@pytest.mark.parametrize("no", ["false", "No", "f", "0", "0.0", "off", 0, 0.0, False])
def test_no(no: object) -> None:
    assert of(read_bool, [no]) == [False]


@pytest.mark.parametrize("neither", ["maybe", "2", 2, 0.5, NAN, "", None, "nan"])
def test_neither(neither: object) -> None:
    assert of(read_bool, [neither]) == [None]


def test_items_of_a_list_are_trimmed_and_empty_ones_dropped() -> None:
    cells = ["queen; bowie", ";queen;;", " ; ", "", None]
    assert of(lambda c: read_list(c, pl.String()), cells) == [["queen", "bowie"], ["queen"], [], None, None]
    lists = [["queen ", " ", None, "bowie"], [], None]
    assert of(lambda c: read_list(c, pl.List(pl.String())), lists, pl.List(pl.String)) == [["queen", "bowie"], [], None]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-05", date(2026, 1, 5)),
        (" 2026-01-05T10:00:00Z", date(2026, 1, 5)),
        ("2026-03", date(2026, 3, 1)),
        ("2027", date(2027, 1, 1)),
        ("2027.0", date(2027, 1, 1)),
        ("05/01/2025", None),
        ("2026-13-01", None),
    ],
)
def test_dates(text: str, day: date | None) -> None:
    assert of(read_date, [text]) == [day]


@pytest.mark.parametrize(
    ("text", "code"),
    [("us-abc-12-34567", "USABC1234567"), (" gbaye0000351 ", "GBAYE0000351"), ("N/A", None), ("USABC0000000", None)],
)
def test_isrcs(text: str, code: str | None) -> None:
    assert of(well_formed_isrc, [text]) == [code]


def test_mbids() -> None:
    one = "9B1F2C3D-1111-4000-8000-000000000001"
    assert of(well_formed_mbid, [one, "None", "0" * 8 + "-0000-0000-0000-" + "0" * 12]) == [one.lower(), None, None]


def test_what_is_lost_is_counted_and_what_was_never_there_is_not() -> None:
    cells = pl.Series(["yes", "maybe", "", None, "N/A"])
    assert unread(cells, pl.Series([True, None, None, None, None])) == 1
    numbers = pl.Series([1.0, 7.0, NAN, None])
    assert unread(numbers, pl.Series([True, None, None, None])) == 1


def test_nan_of_a_parquet_log_is_unknown_and_refuses_no_play(tmp_path: Path) -> None:
    at = [datetime(2026, 1, 5, 10, n, tzinfo=UTC) for n in range(4)]
    table = pa.table(
        {
            "listener_id": ["ann"] * 4,
            "track_id": ["t1", "t2", "t3", "t4"],
            "started_at": pa.array(at, pa.timestamp("us", "UTC")),
            "ms_played": pa.array(np.array([200000.0, NAN, 180000.0, -5.0]), from_pandas=False),
            "skipped": pa.array(np.array([1.0, 0.0, NAN, 0.0]), from_pandas=False),
            "duration_ms": pa.array(np.array([200000.0, NAN, 1e12, 7.0]), from_pandas=False),
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    file = parquet.open_file(str(tmp_path / "log.parquet"), "log.parquet")
    (piece,) = parquet.pieces(file)
    parsed = parquet.parse(file, piece, "log.parquet", Options(END))
    assert parsed.plays["ms_played"].to_list() == [200000, None, 180000]
    assert parsed.plays["skipped"].to_list() == [True, False, None]
    assert parsed.rejects.select("line", "reason").rows() == [(4, "bad_ms_played")]
    assert parsed.unread == {"duration_ms": 1}


@pytest.mark.parametrize("year", [2263, 2600, 9999])
def test_a_time_beyond_what_nanoseconds_hold_is_in_the_future_and_not_in_2015(tmp_path: Path, year: int) -> None:
    at = [datetime(2026, 1, 5, 10), datetime(year, 1, 1)]
    table = pa.table(
        {"listener_id": ["ann"] * 2, "track_id": ["t1", "t2"], "started_at": pa.array(at, pa.timestamp("us"))}
    )
    pq.write_table(table, tmp_path / "log.parquet", use_deprecated_int96_timestamps=True)
    file = parquet.open_file(str(tmp_path / "log.parquet"), "log.parquet")
    (piece,) = parquet.pieces(file)
    parsed = parquet.parse(file, piece, "log.parquet", Options(END))
    assert parsed.plays["started_at"].to_list() == [datetime(2026, 1, 5, 10, tzinfo=UTC)]
    assert parsed.rejects.select("line", "reason").rows() == [(2, "future")]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-05T10:00:00Z",
        "2026-01-05 10:00:00",
        "2026-01-05  10:00:00 ",
        "2026-01-05 10:00:00 utc",
        "2026-01-05 10:00:00 GMT",
        "2026-01-05t10:00:00z",
        "20260105T100000Z",
        "2026-01-05T10:00:00,000Z",
        "2026-01-05 12:00:00 +02:00",
        "2026-01-05T05:00:00-0500",
        "2026-01-05T11:00:00+01",
        "2026-01-05T11:00:00+01:00[Europe/Berlin]",
        "2026-01-05 10:00",
    ],
)
def test_spellings_of_a_time(text: str) -> None:
    assert of(lambda c: read_time(c, "iso"), [text, None, "2026-01-05T10:00:00Z"]) == [AT, None, AT]


def test_the_end_of_a_day_is_the_beginning_of_the_next_and_a_day_is_its_beginning() -> None:
    texts = ["2026-01-04T24:00:00Z", "2026-01-05", "2026-01-05T10:00:00.123456789Z", "yesterday", "2026-13-01"]
    midnight = datetime(2026, 1, 5, tzinfo=UTC)
    expected = [midnight, midnight, AT.replace(microsecond=123456), None, None]
    assert of(lambda c: read_time(c, "iso"), texts) == expected


def test_songs_without_an_id_have_one_made_of_artist_and_title() -> None:
    mapping = load_mapping(
        "columns: {listener_id: user, started_at: uts, title: track, artist: artist}\ntime: unix_s", "m"
    )
    names = ["user", "uts", "artist", "track", "track_mbid"]
    data = b"ann,1767607200,Low,Monkey,\nann,1767607500,Low,Monkey,\nann,1767607800,Low,,\nann,1767607900,Low,Sunflower,x1\n"
    parsed = csv.parse(LineBlock("log.csv", 2, data), names, Options(END, mapping))
    one, again, other = parsed.plays["track_id"].to_list()
    assert one == again != other and len(one) == 16
    assert parsed.rejects.select("line", "reason").rows() == [(4, "empty_track")]
    with_id = load_mapping(
        "columns: {listener_id: user, track_id: track_mbid, started_at: uts, title: track, artist: artist}\ntime: unix_s",
        "m",
    )
    found = csv.parse(LineBlock("log.csv", 2, data), names, Options(END, with_id))
    assert found.plays["track_id"].to_list() == [one, one, "x1"]
    assert found.artists.rows() == [("Low", "Low", 3)]


def test_a_log_of_one_person_needs_no_column_of_listeners() -> None:
    mapping = load_mapping("columns: {track_id: t, started_at: at}", "m")
    data = b"t1,2026-01-05T10:00:00Z\n"
    assert (
        csv.parse(LineBlock("f", 2, data), ["t", "at"], Options(END, mapping, listener="ann")).plays["listener_id"][0]
        == "ann"
    )
    with pytest.raises(UserError, match="or --listener NAME"):
        csv.parse(LineBlock("f", 2, data), ["t", "at"], Options(END, mapping))
    both = load_mapping("columns: {listener_id: u, track_id: t, started_at: at}", "m")
    with pytest.raises(UserError, match="leave --listener out"):
        csv.parse(LineBlock("f", 2, b"bob," + data), ["u", "t", "at"], Options(END, both, listener="ann"))


def test_names_stand_beside_the_ids_of_artists() -> None:
    names = ["listener_id", "track_id", "started_at", "artist_id", "artist"]
    data = (
        b"ann,t1,2026-01-05T10:00:00Z,q; b,Queen; David Bowie\n"
        b"ann,t2,2026-01-05T10:05:00Z,q,QUEEN\n"
        b"ann,t2,2026-01-05T10:10:00Z,q,Queen\n"
        b"ann,t3,2026-01-05T10:15:00Z,q;b,Queen and David Bowie\n"
        b"ann,t4,2026-01-05T10:20:00Z,,Low\n"
    )
    parsed = csv.parse(LineBlock("log.csv", 2, data), names, Options(END))
    assert parsed.artists.rows() == [("Low", "Low", 1), ("b", "David Bowie", 1), ("q", "QUEEN", 1), ("q", "Queen", 2)]


def test_cells_of_a_csv_log_that_cannot_be_read_are_counted_by_column() -> None:
    names = ["listener_id", "track_id", "started_at", "skipped", "duration_ms", "isrc", "artist_ids"]
    data = (
        b"ann,t1,2026-01-05T10:00:00Z,1.0,210000,USABC1234567,queen; bowie\n"
        b"ann,t2,2026-01-05T10:05:00Z,perhaps,99999999999,X1, ;\n"
        b"ann,t3,2026-01-05T10:10:00Z,,,N/A,\n"
    )
    parsed = csv.parse(LineBlock("log.csv", 2, data), names, Options(END))
    assert parsed.plays["skipped"].to_list() == [True, None, None]
    assert parsed.unread == {"skipped": 1, "duration_ms": 1, "isrc": 1}
    tracks = {row["track_id"]: row for row in parsed.catalog.to_dicts()}
    assert tracks["t1"]["artist_ids"] == ["queen", "bowie"] and tracks["t1"]["isrc"] == "USABC1234567"
    assert tracks["t2"]["isrc"] is None and tracks["t3"]["isrc"] is None


@pytest.mark.parametrize(("cell", "may"), [("0.0", False), ("nan", False), ("???", False), ("1.0", True), ("", None)])
def test_an_explicit_ok_that_cannot_be_read_is_no(cell: str, may: bool | None) -> None:
    found = rows_of("listeners", pl.DataFrame({"listener_id": ["ann"], "explicit_ok": [cell]}), 2, None)
    assert found.kept["explicit_ok"].to_list() == [may]


@pytest.mark.parametrize(("number", "may"), [(0.0, False), (NAN, False), (0.5, False), (1.0, True), (None, None)])
def test_so_is_a_number_in_parquet(number: float | None, may: bool | None) -> None:
    frame = pl.DataFrame({"listener_id": ["ann"], "explicit_ok": pl.Series([number], dtype=pl.Float64)})
    assert rows_of("listeners", frame, 1, None).kept["explicit_ok"].to_list() == [may]


def test_a_catalog_file_in_every_spelling() -> None:
    frame = pl.DataFrame(
        {
            "track_id": ["a", "b", "c"],
            "artist_ids": ["queen; bowie", None, ";"],
            "released_on": ["2027", "05/01/2025", "2020-01-31"],
            "explicit": ["1.0", "nan", "maybe"],
            "markets": ["se; NO ", "", ";"],
            "isrc": ["N/A", "usabc1234567", "X"],
            "duration_ms": ["210000.0", "0", "-1"],
        }
    )
    found = rows_of("tracks", frame, 2, None)
    assert found.kept["artist_ids"].to_list() == [["queen", "bowie"], None, []]
    assert found.kept["released_on"].to_list() == [date(2027, 1, 1), None, date(2020, 1, 31)]
    assert found.kept["explicit"].to_list() == [True, None, None]
    assert found.kept["markets"].to_list() == [["SE", "NO"], None, []], "a cell with no market in it names none"
    assert found.kept["isrc"].to_list() == [None, "USABC1234567", None]
    assert found.unread == {"released_on": 1, "explicit": 1, "isrc": 1, "duration_ms": 2}


def test_a_year_in_a_parquet_catalog_is_no_number_of_days() -> None:
    frame = pl.DataFrame({"track_id": ["a"], "released_on": [2027]})
    assert rows_of("tracks", frame, 1, None).kept["released_on"].to_list() == [date(2027, 1, 1)]


def test_a_time_zone_nobody_can_reckon_with_is_told_and_counts_as_utc() -> None:
    names = ["localtime", "Factory", "Mars/Olympus", " Europe/Stockholm ", ""]
    found = rows_of("listeners", pl.DataFrame({"listener_id": list("abcde"), "time_zone": names}), 2, None)
    assert found.kept["time_zone"].to_list() == [None, None, None, "Europe/Stockholm", None]
    assert found.unread == {"time_zone": 3}


@pytest.mark.parametrize(
    ("kind", "target", "reason"),
    [
        ("block_artist", "queen", None),
        ("Block_Artist", "queen", None),
        (" block-artist ", "queen", None),
        ("ban_artist", "queen", "unknown_kind"),
        ("", "queen", "broken_line"),
        ("save", "  ", "broken_line"),
        ("exclude_from_taste", "ann-speaker", None),
        ("exclude_from_taste", "2026-01-18/2026-01-19", None),
        ("exclude_from_taste", "2026-01-19/2026-01-18", "bad_target"),
        ("exclude_from_taste", "2026-01-19/tomorrow", "bad_target"),
        ("exclude_from_taste", "0001-01-01T00:00:00+14:00/2026-01-01", "bad_target"),
    ],
)
def test_feedback_is_kept_where_it_can_act_and_refused_where_it_cannot(
    kind: str, target: str, reason: str | None
) -> None:
    row = {"listener_id": ["ann"], "kind": [kind], "target": [target], "at": ["2026-01-05T00:00:00Z"]}
    found = rows_of("feedback", pl.DataFrame(row), 2, END)
    assert found.rejects["reason"].to_list() == ([reason] if reason else [])
    if not reason:
        assert found.kept["kind"].item() in ("block_artist", "exclude_from_taste")


def test_an_impression_is_an_item_or_a_spare() -> None:
    columns = {"listener_id": "ann", "surface": "home", "shelf_id": "s", "track_id": "t", "position": "1"}
    frame = pl.DataFrame(
        [{**columns, "item_or_spare": w, "shown_at": "2026-01-05"} for w in ("Item ", "spare", "other")]
    )
    found = rows_of("impressions", frame, 2, END)
    assert found.kept["item_or_spare"].to_list() == ["item", "spare"]
    assert found.rejects.select("line", "reason").rows() == [(4, "unknown_kind")]
