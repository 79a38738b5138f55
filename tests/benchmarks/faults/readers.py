"""A reader that polls throughout: every table of every date that it reads is whole, as it was before or as it is after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

from tests.benchmarks.faults.case import Case, Fault
from tests.benchmarks.faults.cut_anywhere import Subject, given, of_commands
from transforms.tables.upkeep import tables
from transforms.tables.warehouse import Warehouse

Seen = tuple[str, str, str]  # table, date, digest of all rows


def digests(url: Path) -> set[Seen]:
    """All rows of all tables of all dates, as a reader reads them."""
    warehouse, found = Warehouse(str(url)), set()
    for table in tables(warehouse) if url.exists() else ():
        for day in warehouse.dates(table):
            manifest = warehouse.current(table, day)
            if manifest is not None and all(str(f.path).endswith(".parquet") for f in manifest.files):
                rows = warehouse.read(table, day)
                text = rows.sort(rows.columns[0], maintain_order=True).write_json().encode()
                found.add((table, day.isoformat(), sha256(text).hexdigest()[:16]))
    return found


class Reader(threading.Thread):
    """Reads everything, again and again, until it is told to stop."""

    def __init__(self, url: Path) -> None:
        super().__init__(daemon=True)
        self._url, self.over, self.seen, self.polls = url, threading.Event(), set[Seen](), 0
        self.failed: Exception | None = None

    def run(self) -> None:
        """Until told to stop, or a reading fails."""
        while not self.over.is_set():
            try:
                found = digests(self._url)
                self.seen |= found
                self.polls += bool(found)  # before the first commit there is nothing to be read
            except Exception as error:
                self.failed = error
                return


def watched(start: Callable[[Case], None], do: Callable[[Case], object], case: Case) -> str:
    """Do something while a reader polls."""
    start(case)
    before = digests(case.url)
    reader = Reader(case.url)
    reader.start()
    do(case)
    polls = reader.polls
    while reader.polls < polls + 2 and reader.is_alive():  # whatever it began meanwhile is read to its end
        reader.join(0.05)
    reader.over.set()
    reader.join()
    assert reader.failed is None, f"a reading failed: {type(reader.failed).__name__} {reader.failed}"
    strange = reader.seen - before - digests(case.url)
    assert not strange, f"read what never was: {sorted(strange)[:2]}"
    return f"{reader.polls} readings of everything, each as before or as after"


def killed_and_again(command: str, pattern: str, case: Case) -> None:
    """A command is killed in its commit and given again."""
    case.run(command, ("kill", pattern, "2"))
    assert case.codes[-1] != 0, "it was not killed"
    case.done(command)


def command_of(subject: Subject, case: Case) -> None:
    """Give the command of a subject."""
    case.run(given(subject, case, subject.words))
    assert case.codes[-1] in (0, 2)


def faults() -> Iterator[Fault]:
    """Over every command that changes tables."""
    name = "a reader polls throughout"
    for command, stage in (("ingest", None), ("features", "ingest"), ("forget", "features")):
        start = partial(Case.start, stage=stage)
        yield Fault(name, "race", command, partial(watched, start, partial(Case.done, command=command)))
    for command, stage, pattern in (
        ("features", "ingest", "*/_current.json"),
        ("forget", "features", "listens/*/_current.json"),
    ):
        do = partial(killed_and_again, command, pattern)
        yield Fault(f"{name}, with a kill", "race", command, partial(watched, partial(Case.start, stage=stage), do))
    for subject in of_commands(("rollback", "clean", "backfill", "score")):
        yield Fault(name, "race", subject.command, partial(watched, subject.start, partial(command_of, subject)))
