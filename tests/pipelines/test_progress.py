"""Progress: plain lines into a log, a redrawn line on a terminal."""

from __future__ import annotations

import io
import re

import pytest

from pipelines.runtime.progress import seconds, stage, working


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_plain_lines_with_rows_and_time() -> None:
    out, ticks = io.StringIO(), iter([0.0, 75.0])
    with stage("ingest", out, clock=lambda: next(ticks)) as at:
        at.rows(10)
        at.rows(1_234_567)
    assert out.getvalue().splitlines() == ["ingest: started", "ingest: 1,234,567 rows, 1 min 15 s, done"]


def test_a_stage_that_raises_is_shown_as_failed_and_the_error_goes_on() -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError, match="boom"), stage("score", out):
        raise RuntimeError("boom")
    assert out.getvalue().splitlines()[-1].endswith("failed")


def test_a_long_stage_says_now_and_then_that_it_is_at_work() -> None:
    out = io.StringIO()
    with stage("train", out, every=0.001):
        while "at work" not in out.getvalue():
            pass
    assert re.search(r"train: [\d.]+ s, at work\n", out.getvalue())


def test_a_terminal_gets_one_line_with_the_stage_and_its_rows() -> None:
    out = Terminal()
    with stage("features", out) as at:
        at.rows(42_000)
    assert "features" in out.getvalue() and "42,000 rows" in out.getvalue()
    with pytest.raises(ValueError, match="boom"), stage("score", out):
        raise ValueError("boom")
    assert "score: failed" in out.getvalue()


def test_a_stage_that_starts_no_job_is_current_and_not_work() -> None:
    out = io.StringIO()
    with stage("models", out, makes=True):
        pass
    with stage("score", out, makes=True) as at:
        working()
        at.rows(7)
    assert out.getvalue().splitlines()[:2] == ["models: current", "score: started"]
    assert re.fullmatch(r"score: 7 rows, [\d.]+ s, done", out.getvalue().splitlines()[2])
    shown = Terminal()
    with stage("models", shown, makes=True):
        pass
    assert "current" in shown.getvalue()


def test_durations_are_for_people() -> None:
    assert [seconds(s) for s in (0.04, 59.94, 60, 7322)] == ["0.0 s", "59.9 s", "1 min 0 s", "2 h 2 min"]
