"""A warehouse in a bucket: throttled, refused, with listings that lag, and commands that are killed at a request."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.faults.case import QUIET, REMEDY, Case, Fault
from tests.benchmarks.faults.kept import kept
from tests.pipelines.test_kill import assert_readable
from tests.pipelines.world import hashes
from tests.storage_emulator import Storage, storage_emulator
from transforms.tables.warehouse import Warehouse

STAGE = {"ingest": None, "features": "ingest", "clean": "features"}


def emulator() -> Storage:
    """One for all faults of this process."""
    return kept(storage_emulator)


class Bucket:
    """A prefix of its own in the bucket, with what an undisturbed command left."""

    def __init__(self, case: Case, command: str) -> None:
        self.case, self.command = case, command
        os.environ.update(emulator().environment)  # for readers in this process
        name = f"{case.folder.parent.name}-{case.folder.name}-{command}"  # a case may hold another
        self.url = f"gs://{emulator().bucket}/{name}"
        stage = STAGE[command]
        if stage:
            emulator().upload(case.made[stage], name)

    def run(self, spec: str, wrong: tuple[str, str, str] = QUIET) -> str:
        """Give the command over such a wire."""
        words = [self.url if word == str(self.case.url) else word for word in self.case.words(self.command)]
        return self.case.run(words, wrong, within={**emulator().environment, "FAULTS_WIRE": spec})

    def equal(self) -> None:
        """Ask whether it is what the undisturbed command left in a folder."""
        warehouse = Warehouse(self.url)
        assert_readable(warehouse)
        expected = hashes(Warehouse(str(self.case.made["features" if self.command == "clean" else self.command])))
        found = hashes(warehouse)
        assert found.keys() == expected.keys(), f"tables {sorted(found.keys() ^ expected.keys())[:3]}"
        assert [key for key in expected if found[key] != expected[key]] == []


def over(spec: str, command: str, case: Case) -> str:
    """A command over a wire; then over one without faults."""
    bucket = Bucket(case, command)
    said = bucket.run(spec)
    assert case.codes[-1] == 0 or (case.codes[-1] in (2, 4) and REMEDY.search(said)), f"{case.codes[-1]}: {said}"
    bucket.run("")
    assert case.codes[-1] == 0
    bucket.equal()
    return said


def killed(percent: int, command: str, case: Case) -> str:
    """Killed at a request that changes something; given again."""
    bucket = Bucket(case, command)
    other = Case(case.folder / "undisturbed", case.log, case.made)
    other.folder.mkdir()
    Bucket(other, command).run("", ("count", "(request)", "0"))
    count = len((other.folder / "changes").read_text().splitlines())
    said = bucket.run("", ("kill", "(request)", str(max(1, -(-count * percent // 100)))))
    assert case.codes[-1] != 0, "it was not killed"
    bucket.run("")
    assert case.codes[-1] == 0
    bucket.equal()
    return said


def faults() -> Iterator[Fault]:
    """Refused, late, killed."""
    for command in ("ingest", "features"):
        for code, word in ((429, "throttled"), (503, "away")):
            do = partial(over, f"{code}:3:60", command)
            yield Fault(f"a bucket: {word} for a while ({code})", "storage", command, do)
        yield Fault("a bucket: listings one behind", "storage", command, partial(over, "stale", command))
        yield Fault("a bucket: no right to replace", "storage", command, partial(over, "403:changes", command))
        yield Fault("a bucket: no right to delete", "storage", command, partial(over, "403:deletes", command))
        for percent in (30, 60, 90):
            yield Fault(
                f"a bucket: SIGKILL {percent}% on the way", "cut short", command, partial(killed, percent, command)
            )
    yield Fault("a bucket: no right to delete", "storage", "clean", partial(over, "403:deletes", "clean"))
