"""Ids and titles that would move a terminal, or be a formula: every command prints them as text."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from tests.pipelines import tiny
from tests.pipelines.tiny import NIGHT, frame, put
from transforms.gates.check import Check
from transforms.tables.warehouse import Warehouse

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b1m\u202e"
FORMULA = "=HYPERLINK(A1)"
AT = ["--date", str(NIGHT)]


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """The warehouse written by hand, with names that are none of a person's."""
    monkeypatch.setattr(tiny, "LISTENERS", [f"{FORMULA}{ESCAPES}{n}" for n in range(12)])
    monkeypatch.setattr(tiny, "TRACKS", [f"{ESCAPES}t{n}" for n in range(20)])
    warehouse = tiny.build(tmp_path)
    rows = [
        {"track_id": t, "recording_id": t, "title": f"{FORMULA}{t}\n\r", "artist_ids": [f"artist{ESCAPES}"]}
        for t in tiny.TRACKS
    ]
    put(warehouse, "tracks", NIGHT, frame("tracks", rows))
    return warehouse


def orders(text: str) -> set[str]:
    """Characters that a terminal would obey."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"}


def test_what_is_printed_moves_no_terminal(hostile: Warehouse) -> None:
    who = tiny.LISTENERS[3]
    for words in (["show", who, *AT], ["listeners", "--sample", "3"], ["status"], ["report", *AT], ["repair"]):
        done = CliRunner().invoke(cli, [*words, "--warehouse", hostile.url])
        assert done.exception is None or isinstance(done.exception, SystemExit), (words[0], done.exception)
        assert done.output and not orders(done.output), (words[0], sorted(map(repr, orders(done.output))))
    page = hostile.store.read(f"reports/date={NIGHT}/report.html").decode()
    assert not orders(page)


def test_a_checks_examples_move_no_terminal(hostile: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Check("unknown tracks", "FAIL", f"tracks {ESCAPES}x", "none")
    monkeypatch.setattr("pipelines.runtime.check.judged", lambda *_: [found])
    done = CliRunner().invoke(cli, ["check", *AT, "--warehouse", hostile.url])
    assert "unknown tracks" in done.output and not orders(done.output)
