"""Dependencies are audited: an advisory ends the build, an unreachable database is said and does not, and nothing is unpinned."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from tests import audit
from tests.audit import judged, main

ROOT = Path(__file__).parent.parent
SAFE = {"name": "click", "version": "8.1", "vulns": []}
SKIPPED = {"name": "polars", "skip_reason": "Dependency not found on PyPI and could not be audited: polars (2.0)"}
NAMED = {
    "name": "jinja2",
    "version": "3.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["3.1"], "description": "x"}],
}


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """A program in pip-audit's place that prints what stands in the file `answer`, as that does."""
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


@pytest.mark.parametrize(
    ("answer", "code", "line"),
    [
        ([SAFE, SKIPPED], 0, "no advisory names any of 1 versions, 1 are in no database"),
        ([SAFE, NAMED], 1, "jinja2 3.0: PYSEC-1, mended in 3.1; raise it"),
        ([SKIPPED, SKIPPED], 0, "no advisory database could be asked"),
        (None, 0, "no advisory database could be asked"),
    ],
)
def test_what_is_known_decides(
    answer: list[dict[str, object]] | None, code: int, line: str, said: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (said.parent / "answer").write_text("" if answer is None else json.dumps({"dependencies": answer, "fixes": []}))
    assert main(str(said), ["constraints.txt"]) == code
    assert line in capsys.readouterr().out


def test_without_the_program_nothing_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("/nowhere/pip-audit", ["constraints.txt"]) == 0
    assert "nothing is known" in capsys.readouterr().out


def test_an_accepted_advisory_is_accepted_by_any_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(audit.ACCEPTED, "CVE-1", "only read by tests")
    assert judged(json.dumps({"dependencies": [NAMED]})).found == []


def test_the_build_audits_every_file_of_pinned_versions() -> None:
    assert "make audit" in (ROOT / ".ci" / "run").read_text().splitlines()
    target = re.search(r"^audit:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert target is not None
    for path in ("constraints.txt", *(f"tests/{p.name}" for p in sorted((ROOT / "tests").glob("*.txt")))):
        assert path in target[1]
        pins = [line for line in (ROOT / path).read_text().splitlines() if line and not line.startswith("#")]
        assert pins and all(re.fullmatch(r"[\w.\-]+(\[[\w,\-]+\])?==[\w.+!]+( ;.*)?", line) for line in pins), path
