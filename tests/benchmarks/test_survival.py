"""The fault bench: a hundred faults by name, a sample of them done, and one that does not survive is said to."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.faults import cut_anywhere
from tests.benchmarks.faults.case import Case, Fault
from tests.benchmarks.survival import every, survive, written

SAMPLE = (
    "cut short ingest SIGKILL at a later date",
    "cut short exclusions SIGKILL 50%",
    "race ingest of other files committing the catalog",
    "storage repair edited counts of listens",
)


def test_a_hundred_faults_have_names_of_their_own() -> None:
    faults = every()
    names = [(f.command, f.name) for f in faults]
    assert len(names) == len(set(names)) >= 100
    assert {f.kind for f in faults} == {"cut short", "race", "storage", "machine", "input"}
    others = {subject.command for subject in cut_anywhere.SUBJECTS}
    assert {"live", "prompt", "exclusions", "experiment", "blend"} <= others
    for command in ("ingest", "features", "forget", *others):
        assert sum(f.command == command and f.name.startswith(("SIGKILL", "SIGTERM")) for f in faults) >= 5


def test_a_sample_survives_and_a_loss_would_be_said(tmp_path: Path) -> None:
    def loses(case: Case) -> str:
        case.start("ingest")
        next(case.url.glob("listens/*/run=*/*.parquet")).unlink()
        case.equal("ingest")
        return "nothing"

    sample = [found for words in SAMPLE for found in every(words)[:1]]
    assert len(sample) == len(SAMPLE)
    *outcomes, lost = survive([*sample, Fault("a loss that nobody makes good", "storage", "ingest", loses)], tmp_path)
    assert [(one.fault.name, one.why) for one in outcomes if one.why] == []
    assert "listens@" in lost.why
    table = written([one.row() for one in (*outcomes, lost)])
    assert table.count("| survived |") == len(SAMPLE) + 1 and "| not survived: AssertionError" in table
