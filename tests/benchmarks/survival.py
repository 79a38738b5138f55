"""Every fault that a warehouse may meet, done to it, and what was left after the documented remedy.

    python -m tests.benchmarks.survival [--list] [--only WORDS] [--every N] [--table FILE.md]
    python -m tests.benchmarks.survival --lines PRINTED ... --table FILE.md
    python -m tests.benchmarks.survival --night [--listeners 200]

A fault is done to a command on a log of four days; then the remedy that its message or docs/operations.md names; then three
questions: is every committed table readable and equal to that of an undisturbed warehouse, is nothing lost or doubled, did the
message say what to do. A JSON line a fault, and one for the end; `--table` writes them as a table. Exits with 1 if one did not
survive, which is said and not hidden. `--night` kills a whole night at twenty points, each time started again where it was left.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.faults import (
    around,
    beside_others,
    buckets,
    cut,
    cut_anywhere,
    damage,
    disks,
    hostile,
    inputs,
    machines,
    publishing,
    races,
    readers,
)
from tests.benchmarks.faults.case import Case, Fault, stages

FAMILIES = (
    cut,
    cut_anywhere,
    publishing,
    beside_others,
    races,
    readers,
    damage,
    disks,
    buckets,
    around,
    machines,
    inputs,
    hostile,
)
SURVIVED = "survived"
COLUMNS = ("kind", "fault", "command", "what was said", "outcome")


@dataclass(frozen=True)
class Outcome:
    """What came of a fault; `why` is empty where it survived."""

    fault: Fault
    said: str
    why: str

    def row(self) -> dict[str, str]:
        """As the columns of the table."""
        outcome = f"not survived: {self.why}" if self.why else SURVIVED
        told = (self.fault.kind, self.fault.name, self.fault.command, self.said, outcome)
        return dict(zip(COLUMNS, told, strict=True))


def every(words: str | Sequence[str] = "", step: int = 1) -> list[Fault]:
    """All faults, or those that have all the words of a text in kind, command or name, text by text; of these every `step`-th."""
    texts = [text.split() for text in ([words] if isinstance(words, str) else words)]
    left, found = [fault for family in FAMILIES for fault in family.faults()], []
    for text in texts:
        mine = [f for f in left if all(w in f"{f.kind} {f.command} {f.name}" for w in text)]
        found += mine
        left = [f for f in left if f not in mine]
    return found[::step]


def survive(faults: Sequence[Fault], folder: Path) -> Iterator[Outcome]:
    """Do each fault to a case of its own."""
    log, made = stages(folder)
    for number, fault in enumerate(faults):
        case = Case(folder / f"fault-{number}", log, made)
        shutil.rmtree(case.folder, ignore_errors=True)
        case.folder.mkdir()
        try:
            said, why = fault.do(case), ""
        except Exception as error:
            said, why = "", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        yield Outcome(fault, said.replace(str(folder), "..."), why.replace(str(folder), "...")[:300])
        shutil.rmtree(case.folder, ignore_errors=True)


def written(rows: Sequence[Mapping[str, str]]) -> str:
    """Two Markdown tables: how many of each kind and command survived, and every fault."""
    counted = Counter((row["kind"], row["command"]) for row in rows)
    well = Counter((row["kind"], row["command"]) for row in rows if row["outcome"] == SURVIVED)
    lines = ["| kind | command | faults | survived |", "| --- | --- | --: | --: |"]
    lines += [f"| {kind} | {command} | {n} | {well[kind, command]} |" for (kind, command), n in counted.items()]
    lines += [f"| all | | {len(rows)} | {well.total()} |", ""]
    lines += [" | ".join(["", *COLUMNS, ""]).strip(), "| --- | --- | --- | --- | --- |"]
    for row in rows:
        cells = [row[name].replace("|", "\\|").replace("\n", " ")[:300] for name in COLUMNS]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def file_table(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the tables into a page; what stands there above the first table stays."""
    page = path.read_text() if path.exists() else ""
    above = page.partition("| kind |")[0]
    path.write_text(above + written(rows))


def read_lines(paths: Sequence[str]) -> list[dict[str, str]]:
    """Rows that were printed by runs of pieces, of faults that there are; of one that was done again, the last."""
    found, known = {}, {(f.kind, f.command, f.name) for f in every()}
    for path in paths:
        for line in Path(path).read_text().splitlines():
            row = json.loads(line) if line.startswith("{") else {}
            if "outcome" in row:
                found[row["kind"], row["command"], row["fault"]] = row
    return [row for key, row in found.items() if key in known]


def main(faults: Sequence[Fault], table: str | None, scratch: str | None = None) -> int:
    """Print a line a fault and the sum; returns the number that did not survive."""
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="nightshelf-survival-") as own:
        for one in survive(faults, Path(scratch or own)):
            outcomes.append(one)
            print(json.dumps(one.row()), flush=True)
    lost = sum(bool(one.why) for one in outcomes)
    print(json.dumps({"faults": len(outcomes), "survived": len(outcomes) - lost, "not": lost}), flush=True)
    if table:
        file_table(Path(table), [one.row() for one in outcomes])
    return lost


def night_killed(listeners: int) -> None:
    """Build a world, kill its night at every point, compare."""
    from pipelines.nightly import night
    from tests.pipelines.kill_points import TWENTY
    from tests.pipelines.test_kill import assert_equal, assert_readable, killed
    from tests.pipelines.world import NIGHT, SETTINGS, World, build, manifests, without

    with tempfile.TemporaryDirectory(prefix="nightshelf-survival-") as scratch:
        world = build(Path(scratch), listeners)
        warehouse = World.copy(world.made, Path(scratch) / "killed")
        without(warehouse, NIGHT)
        for number, (pattern, n, what) in enumerate(TWENTY, 1):
            before = set(manifests(warehouse))
            killed("night", warehouse, pattern, n)
            assert_readable(warehouse)
            after = set(manifests(warehouse))
            assert after >= before, "a kill took something away"
            assert (f"shelves@{NIGHT}" in after) == (pattern == "runs/*"), "shelves must come last"
            outcome = {"kill": number, "where": what, "current": len(after), "new": len(after - before)}
            print(json.dumps(outcome), flush=True)
        night(warehouse.url, NIGHT, SETTINGS)
        assert_equal(warehouse, world.warehouse)
        print(json.dumps({"kills": len(TWENTY), "listeners": listeners, "equal_to_unkilled": True}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--list", action="store_true", help="only name the faults")
    parser.add_argument(
        "--only",
        action="append",
        help="words that a fault's kind, command or name has; given more than once, faults that fit one of the texts",
    )
    parser.add_argument("--scratch", help="folder that keeps what faults begin with, for another run of the same code")
    parser.add_argument(
        "--done", nargs="*", default=[], help="files of printed lines; faults that survived there are left out"
    )
    parser.add_argument("--every", type=int, default=1, help="of these, every n-th")
    parser.add_argument("--table", help="page to write the Markdown tables into")
    parser.add_argument(
        "--lines", nargs="+", help="do nothing, and write the table of what earlier runs printed into these files"
    )
    parser.add_argument("--night", action="store_true", help="a whole night, killed at twenty points")
    parser.add_argument("--listeners", type=int, default=200)
    asked = parser.parse_args()
    if asked.night:
        try:
            night_killed(asked.listeners)
        except AssertionError as error:
            print(json.dumps({"equal_to_unkilled": False, "why": str(error)[:500]}), flush=True)
            sys.exit(1)
    elif asked.lines:
        file_table(Path(asked.table), read_lines(asked.lines))
    elif asked.list:
        for one in every(asked.only or "", asked.every):
            print(f"{one.kind}: {one.command}: {one.name}")
    else:
        known = {
            (row["kind"], row["command"], row["fault"]) for row in read_lines(asked.done) if row["outcome"] == SURVIVED
        }
        left = [f for f in every(asked.only or "", asked.every) if (f.kind, f.command, f.name) not in known]
        sys.exit(1 if main(left, asked.table, asked.scratch) else 0)
