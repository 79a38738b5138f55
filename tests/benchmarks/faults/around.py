"""The machine around a command, and odd input: equal bytes wherever it finishes, a sentence wherever it does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks.faults.case import END, FIRST, LISTENERS, REMEDY, Case, Fault
from transforms.tables.warehouse import Warehouse

ENVIRONMENTS = {
    "LANG=C": {"LANG": "C", "LC_ALL": "C"},
    "LC_ALL=POSIX, no UTF-8 mode": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "a locale with decimal commas": {"LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8"},
    "time zone Pacific/Kiritimati": {"TZ": "Pacific/Kiritimati"},
    "time zone America/St_Johns": {"TZ": "America/St_Johns"},
    "a time zone that is none": {"TZ": "Nowhere/Nothing"},
    "HOME unset": {"HOME": ""},
    "one BLAS thread": {"OPENBLAS_NUM_THREADS": "1"},
    "eight BLAS threads": {"OPENBLAS_NUM_THREADS": "8"},
    "one Polars thread": {"POLARS_MAX_THREADS": "1"},
    "another hash seed": {"PYTHONHASHSEED": "7"},
    "the emulator's variable set": {"STORAGE_EMULATOR_HOST": "http://evil.example"},
}
SHELLS = {
    "stdin closed": "CMD 0<&-",
    "stdout closed": "CMD 1>&-",
    "stderr closed": "CMD 2>&-",
    "every stream closed": "CMD 0<&- 1>&- 2>&-",
    "output cut off by head": "CMD | head -c 1",
    "a full disk behind stderr": "CMD 2>/dev/full",
    "one CPU": "taskset -c 0 CMD",
    "umask 077": "umask 077; CMD",
    "few open files (ulimit -n 256)": "ulimit -n 256; CMD",
    "a low priority": "nice -n 19 CMD",
}


def around(env: dict[str, str], shell: str, case: Case) -> str:
    """An ingest and a fold in some surroundings."""
    for command in ("ingest", "features"):
        said = case.run(command, env=env, shell=shell)
    case.equal("features")
    return said


def refused(make: str, case: Case) -> str:
    """Input that cannot be ingested: one sentence, nothing committed; then the log itself."""
    path = case.folder / "odd.csv"
    if make == "folder":
        path.mkdir()
    elif make == "pipe":
        os.mkfifo(path)
    elif make == "nothing":
        pass
    elif make == "line of 200 MB":
        path.write_text("u,t,at,ms\n" + "x" * 200_000_000 + ",t1,2026-01-05T10:00:00Z,1\n")
    elif make == "other columns":
        path.write_text("a,b\n1,2\n")
    elif make == "bytes of a picture":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
    said = case.run("ingest", log=path)
    assert case.codes[-1] == 2 and REMEDY.search(said), f"{case.codes[-1]}: {said}"
    assert not Warehouse(str(case.url)).dates("listens")
    case.run("ingest")
    case.equal("ingest")
    return said


def taken(make: str, case: Case) -> str:
    """Input that is odd and right: every play of it stands once, whatever the fold then makes."""
    path = case.folder / "odd.csv"
    row = "{},{},{}T10:{:02}:00Z,{}"
    rows = {
        "one play": [row.format(LISTENERS[0], "t1", FIRST, 0, 200_000)],
        "one track": [row.format(who, "t1", FIRST, 0, 200_000) for who in LISTENERS],
        "only skips": [row.format(who, f"t{n}", FIRST, n, 900) for who in LISTENERS for n in range(5)],
        "two plays a year": [
            row.format(LISTENERS[0], "t1", f"{2006 + n // 2}-0{1 + n % 2}-01", 0, 200_000) for n in range(40)
        ],
        "titles and ids that move a terminal": [row.format("\x1b[2J'=1+1", "\x1b]0;x\x07", FIRST, 0, 200_000)],
    }[make]
    path.write_text("\n".join(["u,t,at,ms", *rows]) + "\n")
    if make.startswith("titles"):
        renamed = Path(os.fsdecode(os.fsencode(path.parent) + b"/J\xf6rg\x1b[2J.csv"))
        path = path.rename(renamed)
    said = case.run("ingest", log=path)
    assert case.codes[-1] == 0, said
    warehouse = Warehouse(str(case.url))
    assert sum(warehouse.need("listens", d).rows for d in warehouse.dates("listens")) == len(rows)
    first = min(warehouse.dates("listens"))
    folded = case.run(
        ["features", "--from", str(first), "--to", str(END), "--accept-gates", "--warehouse", str(case.url)]
    )
    assert case.codes[-1] == 0, folded
    case.run("status")
    assert case.codes[-1] == 0 and "\x1b" not in said
    return said


def faults() -> Iterator[Fault]:
    """Surroundings, then input."""
    for name, env in ENVIRONMENTS.items():
        yield Fault(name, "machine", "ingest, features", partial(around, env, ""))
    for name, shell in SHELLS.items():
        yield Fault(name, "machine", "ingest, features", partial(around, {}, shell))
    for make in ("folder", "pipe", "nothing", "line of 200 MB", "other columns", "bytes of a picture"):
        yield Fault(
            f"a log that is a {make}" if make != "nothing" else "a log that is not there",
            "input",
            "ingest",
            partial(refused, make),
        )
    for make in ("one play", "one track", "only skips", "two plays a year", "titles and ids that move a terminal"):
        yield Fault(f"a log of {make}", "input", "ingest, features", partial(taken, make))
