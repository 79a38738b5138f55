"""Commands cut short (a kill, a signal, no space, no rights, a disk that fails) at every kind of place they write."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.benchmarks.faults.case import Case, Fault

PLACES = {
    "ingest": [
        ("rejects/*/_claim", 1, "its claim"),
        ("listens/*.parquet", 1, "its first file"),
        ("listens/*.parquet", 9, "a later file"),
        ("listens/*/_manifest.json", 2, "a run's manifest"),
        ("listens/*/_current.json", 1, "its first date"),
        ("listens/*/_current.json", 3, "a later date"),
        ("listeners/*/_current.json", 1, "the listeners"),
        ("tracks/*/_current.json", 1, "the catalog"),
        ("rejects/*/_current.json", 1, "the ledger"),
        ("runs/*.json", 1, "its record"),
    ],
    "features": [
        ("sessions/*/_claim", 1, "its first claim"),
        ("sessions/*.parquet", 1, "its first file"),
        ("co_listens/*.parquet", 2, "a later file"),
        ("sessions/*/_current.json", 1, "its first date"),
        ("track_stats/*/_current.json", 2, "a later date"),
        ("library/*/_current.json", 1, "the library"),
        ("runs/*.json", 1, "its record"),
    ],
    "forget": [
        ("forgotten/_list.json", 1, "the list"),
        ("listens/*.parquet", 1, "its first rewrite"),
        ("sessions/*.parquet", 2, "a later rewrite"),
        ("listens/*/_manifest.json", 1, "a run's manifest"),
        ("listens/*/_current.json", 2, "a date"),
        ("library/*/_current.json", 1, "the library"),
    ],
}
STAGE = {"ingest": None, "features": "ingest", "forget": "features"}
WRONG = {
    "kill": "SIGKILL",
    "term": "SIGTERM",
    "ENOSPC": "no space left",
    "EIO": "input/output error",
    "EACCES": "permission denied",
}


def cut(command: str, what: str, pattern: str, n: int, case: Case) -> str:
    """Cut a command short, and give it again. An error that passes may pass unnoticed: a step of a job is tried again."""
    case.start(STAGE[command])
    said = case.run(command, (what, pattern, str(n)))
    if case.codes[0] == 0:
        assert what.startswith("E") and pattern.endswith(".parquet"), "it was not cut short"
        said = "nothing: the step was tried again and went through"
    case.run(command)
    assert case.codes[-1] == 0, f"the same command again ended with {case.codes[-1]}"
    case.equal(command)
    return said


def faults() -> Iterator[Fault]:
    """Every command at every place, by every cause."""
    for command, places in PLACES.items():
        for what, word in WRONG.items():
            for pattern, n, where in places:
                yield Fault(f"{word} at {where}", "cut short", command, partial(cut, command, what, pattern, n))
