"""Progress: plain lines into a log, a redrawn line on a terminal."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys

import pytest

from pipelines.runtime.progress import Numbered, numbered, seconds, silent, stage, working


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


def test_stages_of_several_say_which_they_are_and_about_how_long_the_rest_takes() -> None:
    out, ticks = io.StringIO(), iter([0.0, 0.0, 30.0, 30.0, 30.5, 30.5, 31.0])
    with numbered(["features", "models", "score"], [1.0, 1.0, 4.0], clock=lambda: next(ticks)):
        with stage("features", out, clock=lambda: next(ticks)):
            pass
        with stage("models", out, clock=lambda: next(ticks), makes=True):
            pass
        with stage("another", out, clock=lambda: next(ticks)):
            pass
    assert out.getvalue().splitlines() == [
        "1 of 3 features: started",
        "1 of 3 features: 30.0 s, done, about 2 min left",
        "2 of 3 models: current",
        "another: started",
        "another: 0.5 s, done",
    ]
    with stage("features", out, clock=lambda: 0.0):
        pass
    assert out.getvalue().splitlines()[-1] == "features: 0.0 s, done", "after the command nothing is numbered"


def test_the_rest_goes_at_the_pace_so_far() -> None:
    steps = Numbered(("features", "models", "score"), (10.0, 20.0, 30.0), 100.0)
    assert steps.left("features", 120.0) == 100.0
    assert steps.left("models", 130.0) == 30.0
    assert steps.left("score", 500.0) is None and steps.left("prompts", 500.0) is None


def test_a_process_that_the_command_starts_numbers_its_stages_alike() -> None:
    code = "from pipelines.runtime.progress import stage\nwith stage('score'): pass"
    with numbered(["features", "score"], [1.0, 2.0]):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[0] == "2 of 2 score: started", done.stderr


def test_json_lines_have_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_LOG_FORMAT", "json")
    out, ticks = io.StringIO(), iter([0.0, 0.0, 30.0])
    with (
        numbered(["features", "score"], [1.0, 2.0], clock=lambda: next(ticks)),
        stage("features", out, clock=lambda: next(ticks)),
    ):
        pass
    line = json.loads(out.getvalue().splitlines()[-1])
    assert (line["stage"], line["step"], line["steps"], line["seconds_left"]) == ("features", 1, 2, 60)


def test_nothing_is_shown_where_only_somebody_asks_what_would_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    with silent(), stage("features"):
        working()
    assert capsys.readouterr().err == ""
