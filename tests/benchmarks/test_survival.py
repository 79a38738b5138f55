"""The fault bench: a hundred faults by name, a sample of them done, and one that does not survive is said to."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.faults import cut_anywhere
from tests.benchmarks.faults.case import Case, Fault
from tests.benchmarks.survival import every, file_table, read_lines, survive, written

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
    assert {f.kind for f in faults} == {"cut short", "race", "storage", "machine", "input", "security"}
    others = {subject.command for subject in cut_anywhere.SUBJECTS} | {"publish"}
    assert {"live", "prompt", "exclusions", "experiment", "blend"} <= others
    for command in ("ingest", "features", "forget", *others):
        for word in ("SIGKILL", "SIGTERM"):
            assert sum(f.command == command and f.name.startswith(word) for f in faults) >= 5, (command, word)


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
    page = tmp_path / "page.md"
    page.write_text("# What stands above\n\n| kind | of before |\n")
    file_table(page, [one.row() for one in (*outcomes, lost)])
    assert page.read_text() == f"# What stands above\n\n{table}"
    assert table.count("| survived |") == len(SAMPLE) + 1 and "| not survived: AssertionError" in table


def test_of_printed_lines_the_last_counts_and_faults_that_are_no_more_are_left_out(tmp_path: Path) -> None:
    first = every("cut short ingest SIGKILL")[0]
    row = {
        "kind": first.kind,
        "fault": first.name,
        "command": first.command,
        "what was said": "",
        "outcome": "not survived: x",
    }
    lines = [
        row,
        {**row, "outcome": "survived"},
        {**row, "fault": "one of an earlier bench"},
        {"faults": 3, "survived": 1},
    ]
    path = tmp_path / "lines"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + "a warning of a library\n")
    assert read_lines([str(path)]) == [{**row, "outcome": "survived"}]


def test_texts_are_taken_in_their_order_and_no_fault_twice() -> None:
    found = every(["race forget", "cut short forget SIGKILL", "race forget"])
    kinds = [f.kind for f in found]
    assert kinds.index("cut short") == kinds.count("race") > 0 and len(set(map(id, found))) == len(found)
