"""The disk under a warehouse: a small one that fills up, one that may only be read, files that another user may not open.

Disks are mounted, so these need the rights of root; without them each says so and counts as not survived.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.benchmarks.faults.case import GONE, REMEDY, Case, Fault
from tests.benchmarks.faults.cut import STAGE
from tests.benchmarks.faults.damage import file_of
from tests.pipelines.byte_search import found
from tests.pipelines.test_kill import assert_readable
from transforms.tables.warehouse import Warehouse

NOBODY = 65534
FRACTIONS = (10, 30, 50, 70, 90)


def size(folder: Path) -> int:
    """Bytes of files on a disk of 4 KB blocks."""
    return sum(-(-p.lstat().st_size // 4096) * 4096 for p in folder.rglob("*") if p.is_file())


@contextmanager
def mounted(at: Path, *options: str) -> Iterator[None]:
    """Something is mounted at a folder."""
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", *options, str(at)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def full(command: str, percent: int, case: Case) -> str:
    """A disk of its own with room for a part of what a command writes; then room is made."""
    stage = STAGE[command]
    held = size(case.made[stage]) if stage else 0
    writes = max(
        size(case.made[command]) - held, held // 4
    )  # a forgetting writes files anew before it deletes the old ones
    room = held + writes * percent // 100
    with mounted(case.url, "-t", "tmpfs", "-o", f"size={room // 1024}k", "none"):
        if stage:
            shutil.copytree(case.made[stage], case.url, symlinks=True, dirs_exist_ok=True)
        said = case.run(command)
        assert case.codes[-1] == 0 or (case.codes[-1] == 2 and REMEDY.search(said)), f"{case.codes[-1]}: {said}"
        if stage:
            assert_readable(Warehouse(str(case.url)))
        subprocess.run(["mount", "-o", "remount,size=64m", str(case.url)], check=True)
        case.done(command)
        case.equal(command)
    return f"{said} ({room // 1024} KB)"


def only_read(command: str, case: Case) -> str:
    """The mount may only be read; then it may be written."""
    case.start(STAGE[command] or "ingest")
    with mounted(case.url, "--bind", str(case.url)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(case.url)], check=True)
        said = case.run(command)
    if STAGE[command]:  # the ingest has nothing to do
        assert case.codes[-1] == 2 and REMEDY.search(said), f"{case.codes[-1]}: {said}"
    case.done(command)
    case.equal(command)
    return said


def as_nobody(case: Case) -> dict[str, str]:
    """A command of a user without rights, to whom the warehouse belongs."""
    for path in (case.folder, *case.folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    for path in (case.folder, *case.folder.parents):
        if path.stat().st_uid == 0 and path.stat().st_mode & 0o001 == 0:
            path.chmod(path.stat().st_mode | 0o011)
    return {"FAULTS_AS_USER": str(NOBODY)}


def closed(path_of: Callable[[Case], Path], mode: int, command: str, result: str, case: Case) -> str:
    """Something of the warehouse is closed to the user at work; then its rights are mended."""
    stage = "features" if command in ("forget", "repair", "clean") else "ingest"
    case.start(stage)
    env = as_nobody(case)
    path = path_of(case)
    before = path.stat().st_mode & 0o777
    path.chmod(mode)
    said = case.run(command, within=env)
    assert case.codes[-1] == 0 or (case.codes[-1] == 2 and REMEDY.search(said)), f"{case.codes[-1]}: {said}"
    path.chmod(before)
    case.done(command, within=env)
    if command == "forget":
        assert found(case.url, [GONE]) == [], "an id stays"
    case.equal(result)
    return said


def two_users(case: Case) -> str:
    """One user ingests, another (root) folds, the first forgets."""
    case.url.mkdir()
    env = as_nobody(case)
    case.done("ingest", within=env)
    case.done("features")
    said = case.run("forget", within=env)
    assert case.codes[-1] == 0 or (case.codes[-1] == 2 and REMEDY.search(said)), f"{case.codes[-1]}: {said}"
    as_nobody(case)
    case.done("forget", within=env)
    case.equal("forget")
    return said


def shard(table: str, case: Case) -> Path:
    return file_of(case, table)


def folder(table: str, case: Case) -> Path:
    return file_of(case, table).parent


CLOSED: Sequence[tuple[str, Callable[[Case], Path], int, str, str]] = (
    ("a shard of listens may not be read", partial(shard, "listens"), 0o000, "features", "features"),
    ("a shard of listens may not be read", partial(shard, "listens"), 0o000, "forget", "forget"),
    ("a shard of sessions may not be read", partial(shard, "sessions"), 0o000, "repair", "features"),
    ("a run's folder may not be listed", partial(folder, "listens"), 0o000, "features", "features"),
    ("a run's folder may not be listed", partial(folder, "listens"), 0o000, "forget", "forget"),
    ("a run's folder may not be written into", partial(folder, "listens"), 0o555, "forget", "forget"),
    ("the warehouse may not be written into", lambda case: case.url, 0o555, "features", "features"),
)


def faults() -> Iterator[Fault]:
    """Full, read-only, closed."""
    for command in STAGE:
        for percent in FRACTIONS:
            name = f"a small disk (tmpfs) with room for {percent}% of what it writes"
            yield Fault(name, "storage", command, partial(full, command, percent))
    for command in ("ingest", "features", "forget"):
        yield Fault("a mount that may only be read", "storage", command, partial(only_read, command))
    for name, path_of, mode, command, result in CLOSED:
        yield Fault(name, "storage", command, partial(closed, path_of, mode, command, result))
    yield Fault("two users, one of them root", "machine", "ingest, features, forget", two_users)
