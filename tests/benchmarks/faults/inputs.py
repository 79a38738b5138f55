"""Input that changes while it is read, is far too long or too odd, and nights far outside of what was listened to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from tests.benchmarks.faults.case import FIRST, GONE, LAST, REMEDY, Case, Fault
from tests.pipelines.byte_search import found
from tests.pipelines.test_kill import assert_readable
from tests.pipelines.world import hashes
from transforms.tables.warehouse import Warehouse


def appended(path: Path) -> None:
    with path.open("a") as log:
        log.write(f"{GONE},t1,{LAST}T20:00:00Z,200000\n")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def rewritten(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_text("\n".join(path.read_text().splitlines()[::-1][:-1]))
    new.rename(path)


CHANGES: dict[str, Callable[[Path], None]] = {
    "is appended to": appended,
    "is cut in half": truncated,
    "is replaced by another": rewritten,
    "is emptied, as copytruncate does": lambda path: os.truncate(path, 0),
    "is deleted": Path.unlink,
}


def changing(change: Callable[[Path], None], case: Case) -> str:
    """A file of the log changes after it was hashed and before it is committed; then it is what it was."""
    own = case.folder / "own"
    own.mkdir()
    for path in case.log.iterdir():
        (own / path.name).write_bytes(path.read_bytes())
    words = case.words("ingest", own / "*.csv")
    path = own / "log-1.csv"
    before = path.read_bytes()

    def meanwhile() -> str:
        change(path)
        return ""

    said = case.held(words, "listens/*.parquet", meanwhile)
    dates = Warehouse(str(case.url)).dates("listens") if case.url.exists() else []
    if case.codes[-1] == 0:
        assert dates, "nothing was committed"
    else:
        assert case.codes[-1] == 2 and REMEDY.search(said) and not dates, f"{case.codes[-1]}: {said}"
    path.write_bytes(before)
    case.run(words)
    case.run("ingest")
    assert case.codes[-1] == 0
    warehouse, whole = Warehouse(str(case.url)), Warehouse(str(case.made["ingest"]))
    rows = [sum(w.need("listens", d).rows for d in w.dates("listens")) for w in (warehouse, whole)]
    assert rows[0] == rows[1], f"{rows[0]} plays instead of {rows[1]}"
    return said.rstrip("; ")


def many_plays(case: Case) -> str:
    """One listener with 300,000 plays in 300 days, and three others."""
    path = case.folder / "many.csv"
    with path.open("w") as log:
        log.write("u,t,at,ms\n")
        for day in range(300):
            on = LAST - timedelta(day)
            for n in range(1000):
                hour, second = divmod(n * 80, 3600)
                log.write(f"much,t{(day * 7 + n) % 4000},{on}T{hour:02}:{second // 60:02}:{second % 60:02}Z,60000\n")
            for who in range(3):
                log.write(f"listener {who},t{day + who},{on}T10:00:00Z,200000\n")
    began = time.monotonic()
    said = case.run("ingest", log=path)
    assert case.codes[-1] == 0, said
    warehouse = Warehouse(str(case.url))
    assert sum(warehouse.need("listens", d).rows for d in warehouse.dates("listens")) == 300 * 1003
    case.done(["features", "--from", str(LAST - timedelta(2)), "--to", str(LAST), "--warehouse", str(case.url)])
    heard = warehouse.read("library", LAST)
    assert heard.filter(heard["listener_id"] == "much").height > 0
    assert_readable(warehouse)
    return f"{said}; {time.monotonic() - began:.0f} s"


def twenty_years(case: Case) -> str:
    """Two plays a year for twenty years: every command in seconds."""
    path, days = case.folder / "long.csv", [f"{2006 + n // 2}-0{1 + n % 2 * 6}-01" for n in range(40)]
    path.write_text(
        "\n".join(["u,t,at,ms", *(f"{GONE},t{n},{day}T10:00:00Z,200000" for n, day in enumerate(days))]) + "\n"
    )
    told = []
    for words in (
        case.words("ingest", path),
        ["features", "--from", days[0], "--to", days[-1], "--warehouse", str(case.url)],
        case.words("status"),
        case.words("forget"),
    ):
        began = time.monotonic()
        case.done(words)
        told.append(f"{words[0]} {time.monotonic() - began:.0f} s")
    assert found(case.url, [GONE]) == []
    return ", ".join(told)


def catalog(rows: list[str], case: Case) -> str:
    """A log with an odd catalog."""
    path = case.folder / "tracks.csv"
    path.write_text("\n".join(["track_id,title,artist_ids", *rows]) + "\n")
    words = [*case.words("ingest"), "--tracks", str(path)]
    said = case.run(words)
    assert case.codes[-1] == 0, said
    warehouse = Warehouse(str(case.url))
    names = warehouse.read_newest("tracks", LAST + timedelta(1))["track_id"]
    assert names.is_unique().all() and len(names) == 25
    whole = Warehouse(str(case.made["ingest"]))
    for day in whole.dates("listens"):
        assert warehouse.need("listens", day).rows == whole.need("listens", day).rows
    case.done("features")
    return said


def night(command: str, day: date, case: Case) -> str:
    """A night far outside; the warehouse's own dates are as they were."""
    case.start("features")
    before = hashes(Warehouse(str(case.url)))
    words = {
        "run": ["run", "--date", str(day)],
        "features": ["features", "--from", str(day), "--to", str(day)],
        "evaluate": ["evaluate", "--date", str(day), "--days", "7"],
    }[command]
    began = time.monotonic()
    said = case.run([*words, "--warehouse", str(case.url)])
    assert case.codes[-1] == 0 or (case.codes[-1] in (2, 3) and REMEDY.search(said)), f"{case.codes[-1]}: {said}"
    after = hashes(Warehouse(str(case.url)))
    assert [key for key in before if after.get(key) != before[key]] == []
    if after.keys() == before.keys():
        case.equal("features")
    else:
        assert_readable(Warehouse(str(case.url)))
    return f"{said}; {time.monotonic() - began:.0f} s"


def faults() -> Iterator[Fault]:
    """Changing, long, odd, outside."""
    for name, change in CHANGES.items():
        yield Fault(f"a file that {name} while it is read", "input", "ingest", partial(changing, change))
    yield Fault("one listener with 300,000 plays", "input", "ingest, features", many_plays)
    yield Fault(
        "twenty years with two plays a year, in seconds", "input", "ingest, features, status, forget", twenty_years
    )
    twice = [f"t{n},Title {n} {again},a{n % 5}" for n in range(25) for again in "ab"]
    for name, rows in (("is empty", []), ("names every track twice", twice)):
        yield Fault(f"a catalog that {name}", "input", "ingest, features", partial(catalog, rows))
    for command in ("run", "features", "evaluate"):
        for day, where in (
            (FIRST - timedelta(3000), "before the first listen"),
            (LAST + timedelta(3000), "after the last"),
        ):
            yield Fault(f"a night eight years {where}", "input", command, partial(night, command, day))
