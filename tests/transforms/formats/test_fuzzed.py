"""Mutated inputs through the adapters; `python -m tests.benchmarks.fuzz` feeds as many as one likes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fuzzing import run
from tests.fuzzing.run import LOGS, TEXTS, TURNS, fuzz
from transforms.common.errors import UserError
from transforms.formats import containers, parquet, spotify_history, text
from transforms.formats.base import Options
from transforms.formats.containers import opened
from transforms.formats.files import InputFile
from transforms.formats.formats import parse_log, pieces
from transforms.formats.text import LineBlock, blocks, delimited


def test_two_thousand_mutated_inputs_are_refused_in_a_sentence_or_accounted_for(tmp_path: Path) -> None:
    tally = fuzz(2000, seed=20260131, folder=tmp_path)
    assert set(tally.counts) == set(TURNS), "every format had its turn"
    for kind in LOGS:
        assert tally.counts[kind]["plays"] and tally.counts[kind]["rejects"], f"{kind}: both were met"
    for kind in TEXTS:
        assert tally.counts[kind]["refused"], kind


def test_the_same_seed_makes_the_same_inputs() -> None:
    for make in LOGS.values():
        assert make(Random("1/7")).data == make(Random("1/7")).data


def test_a_lost_row_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def loses(*args: object) -> object:
        for number, parsed in parse_log(*args):  # type: ignore[arg-type]
            yield (
                number,
                type(parsed)(
                    parsed.plays[1:], parsed.catalog, parsed.rejects, parsed.rows - min(1, parsed.plays.height)
                ),
            )

    monkeypatch.setattr(run.formats, "parse_log", loses)
    with pytest.raises(run.Finding, match="accounted for|missing"):
        fuzz(100, seed=1, folder=tmp_path)


@pytest.mark.parametrize("evil", [b'x"y,"z', b'c,"d', b"a\rb,c", b"a,b\r\r", b"\xff,b", b"a\x00,b", b'"open,'])
@pytest.mark.parametrize("last", [True, False])
def test_a_line_that_cannot_be_read_never_takes_its_neighbours_along(evil: bytes, last: bool) -> None:
    lines = [b"t1,u1", b'"a ""b""",u2', b't"3,u3', evil, *([] if last else [b'"t4",u4', b"t5,u5"])]
    for end in (b"\n", b""):
        table = delimited(LineBlock("log.csv", 1, b"\n".join(lines) + end), ["t", "u"], ",")
        assert table.broken["line"].to_list() == [4]
        tracks = dict(table.frame.select("line", "u").iter_rows())
        assert tracks == {1: "u1", 2: "u2", 3: "u3"} | ({} if last else {5: "u4", 6: "u5"})


def test_json_nested_beyond_any_stack_is_one_broken_line(tmp_path: Path) -> None:
    good = {"user_name": "ann", "listened_at": 1_767_600_000, "track_metadata": {"artist_name": "a", "track_name": "t"}}
    lines = [json.dumps(good), "[" * 100_000, '{"a":' * 100_000, '{"user_name": "\\ud800"}', json.dumps(good)]
    path = tmp_path / "log.json"
    path.write_text("\n".join(lines) + "\n")
    (piece,) = pieces("listenbrainz", [InputFile(str(path), "log", "", 0)])
    ((_, parsed),) = parse_log("listenbrainz", piece, Options())
    assert parsed.plays["line"].to_list() == [1, 5]
    assert parsed.rejects["reason"].to_list() == ["broken_line", "broken_line", "bad_encoding"]


def test_entries_after_a_broken_one_and_after_the_arrays_end_are_not_dropped() -> None:
    entry = json.dumps({"ts": "2026-01-05T10:00:00Z", "ms_played": 1, "spotify_track_uri": "t", "username": "ann"})
    text = f'[{entry}, {{"ts": oops}}, {entry}] [{entry}]'
    parsed = spotify_history.parse(text.encode(), "ann/history.json", Options())
    assert parsed.plays.height == 3
    assert parsed.rejects["reason"].to_list() == ["broken_line", "broken_line"]


def test_a_message_does_not_name_the_folder_that_a_personal_export_lies_in() -> None:
    with pytest.raises(UserError) as found:
        spotify_history.parse(b"no json", "exports/ann-lastname/history.json", Options())
    assert "ann-lastname" not in str(found.value)


def test_a_gzip_bomb_stops_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "UNPACKED_FREELY", 1 << 20)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"ann,t1\n" * (1 << 20)))
    with path.open("rb") as stream, pytest.raises(UserError, match="unfolds to over 200 times its size"):
        list(blocks(opened(stream, "bomb"), "bomb", 1 << 16))


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "LONGEST_LINE", 1 << 10)
    path = tmp_path / "line"
    path.write_bytes(b"ann\n" + b"x" * (1 << 14))
    with path.open("rb") as stream, pytest.raises(UserError, match="expected lines of at most"):
        list(blocks(stream, "line", 256))


def test_a_parquet_file_that_unfolds_to_more_than_a_worker_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"a": ["x" * 10_000] * 5_000}), path)
    assert path.stat().st_size < 100_000
    file = parquet.open_file(str(path), "bomb")
    assert parquet.read(file, [0], ["a"], "bomb").height == 5_000
    monkeypatch.setattr(parquet, "MOST_BYTES", 1 << 24)
    with pytest.raises(UserError, match="smaller row groups"):
        parquet.read(file, [0], ["a"], "bomb")
    monkeypatch.setattr(parquet, "MOST_ROWS", 1_000)
    with pytest.raises(UserError, match=r"at most 1,000 rows, found 5,000"):
        parquet.open_file(str(path), "bomb")


def test_parquet_text_that_is_not_utf8_never_reaches_the_program(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    raw = pa.array([b"ann", b"\xff\xfe"]).view(pa.string())
    pq.write_table(pa.table({"a": raw}), path, store_schema=False)
    with pytest.raises(UserError, match="damaged row groups"):
        parquet.read(parquet.open_file(str(path), "log"), [0], ["a"], "log")
