"""What a night and its failures say: lines a service can read, exit codes, and nobody's id in any of it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main as cli
from pipelines.features import features
from pipelines.ingest import ingest
from pipelines.runtime import logs
from tests.pipelines.byte_search import encodings
from tests.pipelines.tiny import NIGHT, put
from transforms.common.errors import GateFailed, JobFailed, LostRace, UserError
from transforms.ingest import beam as ingest_beam
from transforms.tables.warehouse import Warehouse

END = date(2026, 1, 8)
WHO = [f"zq-person-{n}@example.org" for n in range(4)]
PLAIN = ("plain", "utf-16", "hex", "json", "html", "percent", "md5", "sha1", "sha256")


def log(folder: Path, name: str = "log.csv", day: int = 5) -> str:
    path = folder / name
    rows = [f"{w},t{n},2026-01-0{day}T10:0{n}:00Z,60000" for n, w in enumerate(WHO)]
    broken = [f"{WHO[0]}", f",t1,{WHO[1]},x", f"{WHO[2]},t1,never,1", f'"{WHO[3]},t1']
    path.write_text("\n".join(["listener_id,track_id,started_at,ms_played", *rows, *broken, f",{name},,"]) + "\n")
    return str(path)


def nightshelf(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    base = {k: v for k, v in os.environ.items() if k not in (logs.ENVIRONMENT, logs.DEBUG)}
    command = [sys.executable, "-m", "pipelines.cli.main", *args]
    return subprocess.run(command, capture_output=True, text=True, env={**base, **environment})


def names_nobody(text: str) -> None:
    for who in WHO:
        for kind, form in encodings(who).items():
            if kind in PLAIN:
                assert form.decode("utf-8", "replace") not in text, f"{kind} of an id in: {text[:2000]}"


@pytest.fixture
def warehouse(tmp_path: Path) -> str:
    ingest(str(tmp_path / "w"), "csv", [log(tmp_path)], end_date=END)
    return str(tmp_path / "w")


def main(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """The program in this process: its exit code."""
    monkeypatch.setattr(sys, "argv", ["nightshelf", *args])
    with pytest.raises(SystemExit) as ended:
        cli._run()
    return int(ended.value.code or 0)


def raising(message: str) -> Callable[..., Any]:
    def fail(*args: object, **kwargs: object) -> None:
        raise ValueError(message)

    return fail


def test_an_error_nobody_foresaw_is_told_without_its_text(
    warehouse: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("transforms.listening.beam.fold", raising(f"cannot fold {WHO[1]}"))
    assert main(monkeypatch, "run", "--date", "2026-01-08", "--warehouse", warehouse) == 1
    monkeypatch.setattr(ingest_beam, "clean", raising(f"cannot clean {WHO[2]}"))
    assert (
        main(monkeypatch, "ingest", "--format", "csv", "--input", log(tmp_path, "b.csv", 6), "--warehouse", warehouse)
        == 1
    )
    with pytest.raises(JobFailed) as raised:
        features(warehouse, END, END)
    out, err = capfd.readouterr()
    records = "\n".join(f"{r.name} {r.getMessage()} {r.exc_text} {r.exc_info}" for r in caplog.records)
    for text in (out, err, records, str(raised.value)):
        names_nobody(text)
    assert "job features failed in step" in err and "ValueError at" in err and logs.DEBUG in err
    assert "job ingest failed in step" in err


FAILS = """
import sys
import transforms.listening.beam as step
from pipelines.cli.main import main
def fail(*args, **kwargs):
    raise ValueError("cannot fold a row of " + {who!r})
step.fold = fail
sys.argv = ["nightshelf", "features", "--from", "2026-01-05", "--to", "2026-01-05", "--warehouse", {warehouse!r}]
main()
"""


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_process_that_fails_ends_with_1_and_only_debug_tells_the_text(warehouse: str, debug: str) -> None:
    """In a process of its own: with the text told, a chain of errors that had no end once kept it from ending."""
    program = FAILS.format(who=WHO[1], warehouse=warehouse)
    base = {k: v for k, v in os.environ.items() if k not in (logs.ENVIRONMENT, logs.DEBUG)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**base, logs.DEBUG: debug}, timeout=300
    )
    assert done.returncode == 1, done.stderr[-2000:]
    assert ("cannot fold a row of" in done.stderr) == bool(debug)
    assert not Warehouse(warehouse).dates("library")


def test_failures_that_were_foreseen_name_nobody(warehouse: str, tmp_path: Path) -> None:
    wrong = tmp_path / "mapping.yaml"
    wrong.write_text("columns: {listener_id: u, track_id: t, started_at: at}\n")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"listener_id,track_id,started_at\n" + f"{WHO[0]},\xff,never\n".encode("latin-1") * 3)
    opened = Warehouse(warehouse)
    broken = opened.need("listens", date(2026, 1, 5)).files[0]
    (Path(warehouse) / broken.path).write_bytes(b"PAR1" + "".join(WHO).encode() + b"PAR1")
    cases = [
        ("show", WHO[0], "--warehouse", warehouse),
        ("show", *WHO, "--warehouse", warehouse),
        ("forget", "--warehouse", warehouse),
        (
            "ingest",
            "--format",
            "csv",
            "--input",
            log(tmp_path, "c.csv"),
            "--mapping",
            str(wrong),
            "--warehouse",
            warehouse,
        ),
        ("ingest", "--format", "csv", "--input", str(binary), "--warehouse", str(tmp_path / "v")),
        ("ingest", "--format", "lastfm-1k", "--input", log(tmp_path, "d.csv"), "--warehouse", warehouse),
        ("run", "--date", "2026-01-08", "--warehouse", warehouse),
    ]
    for case in cases:
        done = nightshelf(*case)
        assert done.returncode == 2, (case, done.stderr)
        assert "Traceback" not in done.stderr and done.stderr.strip()
        names_nobody(done.stdout + done.stderr)
    for path in Path(warehouse).rglob("runs/*.json"):
        names_nobody(path.read_text())
        record = json.loads(path.read_text())
        assert all(name.replace(".", "").replace("_", "").isalpha() for name in record["counters"])


def test_a_listener_without_shelves_is_not_named(tmp_path: Path) -> None:
    from tests.pipelines.tiny import shelves_of

    put(Warehouse(str(tmp_path)), "shelves", NIGHT, shelves_of())
    done = nightshelf("show", WHO[0], "--warehouse", str(tmp_path))
    assert done.returncode == 2 and "no shelves of" in done.stderr
    names_nobody(done.stdout + done.stderr)


def test_json_lines_are_what_a_logging_service_reads(tmp_path: Path) -> None:
    path = log(tmp_path)
    ingest(str(tmp_path / "w"), "csv", [path], end_date=END)
    done = nightshelf("run", "--date", "2026-01-05", "--warehouse", str(tmp_path / "w"), "--log-format", "json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines and all({"time", "severity", "message"} <= set(line) for line in lines)
    over = next(line for line in lines if line.get("stage", "").startswith("features") and line["state"] == "done")
    assert over["severity"] == "INFO" and over["rows"] > 0 and over["seconds"] > 0
    assert any(run.rsplit("-", 1)[1] == "1" for run in over["run"])
    assert over["time"].endswith("Z")
    failed = nightshelf("show", "x", "--warehouse", str(tmp_path / "none"), NIGHTSHELF_LOG_FORMAT="json")
    (line,) = [json.loads(text) for text in failed.stderr.splitlines()]
    assert (line["severity"], line["exit_code"]) == ("ERROR", 2) == ("ERROR", failed.returncode)


@pytest.mark.parametrize(
    ("error", "code"),
    [(UserError("x"), 2), (GateFailed("x"), 3), (LostRace("x"), 4), (RuntimeError("x"), 1), (KeyboardInterrupt(), 130)],
)
def test_exit_codes(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("pipelines.runtime.settings_file.to_yaml", fail)
    assert main(monkeypatch, "config") == code


def test_exit_code_of_a_usage_error_is_that_of_a_user_error() -> None:
    assert nightshelf("run").returncode == 2
    assert nightshelf("status", "--help").returncode == 0


def test_libraries_log_the_same_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("lib.x", logging.WARNING, "f.py", 1, "slow %s", ("disk",), None)
    monkeypatch.setenv(logs.ENVIRONMENT, "json")
    body = json.loads(logs._Formatter().format(record))
    assert (body["severity"], body["message"], body["logger"]) == ("WARNING", "slow disk", "lib.x")
    try:
        raise ValueError(WHO[0])
    except ValueError:
        record = logging.LogRecord("lib.x", logging.ERROR, "f.py", 1, "it failed", (), sys.exc_info())
    assert WHO[0] not in logs._Formatter().format(record) and "ValueError" in logs._Formatter().format(record)
