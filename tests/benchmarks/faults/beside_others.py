"""Two commands at once: one is held at a point while the other goes all the way, then goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.faults.case import GONE, Case, Fault
from tests.pipelines.byte_search import found
from tests.pipelines.world import hashes
from transforms.tables.warehouse import Warehouse

WRITES, COMMITS = "listens/*.parquet", "listens/*/_current.json"


def again(case: Case, *commands: str) -> None:
    """Give them again: whoever was refused does its part, whoever was not has nothing to do."""
    for command in commands:
        case.run(command)
        assert case.codes[-1] == 0, f"{command} given again ended with {case.codes[-1]}"


def same_files(pattern: str, case: Case) -> str:
    """The same ingest twice at once."""
    said = case.held("ingest", pattern, lambda: case.run("ingest"))
    again(case, "ingest")
    case.equal("ingest")
    return said


def different_files(pattern: str, case: Case) -> str:
    """Two ingests that have nothing in common but the catalog."""
    for name, numbers in (("a", (0,)), ("b", (1, 2))):
        (case.folder / name).mkdir()
        for n in numbers:
            shutil.copy(case.log / f"log-{n}.csv", case.folder / name)
        shutil.copy(case.log / "mapping.yaml", case.folder / name)
    whole, case.log = case.log, case.folder / "a"
    said = case.held("ingest", pattern, lambda: case.run("ingest", log=case.folder / "b" / "*.csv"))
    again(case, "ingest")
    case.run("ingest", log=case.folder / "b" / "*.csv")
    case.log = whole
    case.run("ingest")
    from tests.benchmarks.faults.rows import same_rows

    same_rows(case.url, case.made["ingest"])
    return said


def pair(stage: str | None, first: str, pattern: str, second: str, result: str, case: Case) -> str:
    """Any two commands."""
    case.start(stage)
    said = case.held(first, pattern, lambda: case.run(second))
    again(case, second, first)
    if second == "forget" or first == "forget":
        again(case, "forget")
        assert found(case.url, [GONE]) == [], "an id stays"
    if (first, second) == ("features", "forget") and "exit 0" in said:
        # forgotten before the fold was committed: sums over listeners, which a later forgetting leaves, are without them
        from tests.benchmarks.faults.races import undisturbed

        whole = Warehouse(str(undisturbed(case, "ingest", "forget", "features")))
        assert hashes(Warehouse(str(case.url))) == hashes(whole), "tables differ"
        return said
    case.equal(result)
    return said


def faults() -> Iterator[Fault]:
    """Pairs of commands at points within and before commits."""
    for pattern, where in (
        (WRITES, "writing"),
        (COMMITS, "committing"),
        ("tracks/*/_current.json", "committing the catalog"),
    ):
        yield Fault(f"the same ingest while one is {where}", "race", "ingest", partial(same_files, pattern))
        yield Fault(
            f"an ingest of other files while one is {where}", "race", "ingest", partial(different_files, pattern)
        )
    for first, stage, second, result, places in (
        ("ingest", None, "clean", "ingest", (WRITES, COMMITS, "rejects/*/_current.json")),
        (
            "features",
            "ingest",
            "clean",
            "features",
            ("sessions/*.parquet", "sessions/*/_current.json", "library/*/_current.json"),
        ),
        ("features", "ingest", "features", "features", ("sessions/*.parquet", "library/*/_current.json")),
        ("features", "ingest", "ingest", "features", ("sessions/*.parquet", "sessions/*/_current.json")),
        ("features", "ingest", "forget", "forget", ("sessions/*.parquet", "library/*/_current.json")),
        ("forget", "features", "forget", "forget", ("listens/*.parquet", "listens/*/_manifest.json")),
        ("forget", "features", "clean", "forget", ("listens/*.parquet", "listens/*/_manifest.json")),
        ("forget", "features", "repair", "forget", ("listens/*.parquet", "listens/*/_current.json")),
        ("forget", "features", "status", "forget", ("listens/*.parquet", "listens/*/_current.json")),
    ):
        for pattern in places:
            yield Fault(
                f"{second} while {first} is at {pattern}",
                "race",
                second,
                partial(pair, stage, first, pattern, second, result),
            )
