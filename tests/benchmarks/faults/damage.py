"""Damage from outside, and strangers in the folders: it is named, never read as data, and made good by what the message says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

from tests.benchmarks.faults.case import FIRST, LAST, Case, Fault
from transforms.tables.warehouse import Warehouse

TABLES = ("listens", "sessions", "library")


def emptied(path: Path) -> None:
    """Lose every byte."""
    path.write_bytes(b"")


def cut(path: Path) -> None:
    """Lose the second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    """Flip eight bytes in the middle."""
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 3, len(data) // 3 + 8):
        data[at] ^= 0xFF
    path.write_bytes(data)


def file_of(case: Case, table: str, day: date = LAST) -> Path:
    return case.url / Warehouse(str(case.url)).need(table, day).files[0].path


def damaged(table: str, damage: Callable[[Path], None], case: Case) -> str:
    """Damage a file; `repair`; then what it names: the command, or the bytes brought back from a copy."""
    case.start("features")
    path = file_of(case, table)
    data = path.read_bytes()
    damage(path)
    said = case.run("repair")
    assert "damaged:" in said and path.name in said, said
    if table == "listens":
        path.write_bytes(data)
    else:
        case.run("features")
        assert case.codes[-1] == 0
    case.equal("features")
    return said


def swapped(case: Case) -> str:
    """Two dates' files change places."""
    case.start("features")
    paths = [file_of(case, "sessions", day) for day in (FIRST, LAST)]
    bodies = [p.read_bytes() for p in paths]
    for path, body in zip(paths, reversed(bodies), strict=True):
        path.write_bytes(body)
    said = case.run("repair")
    case.run("features")
    case.equal("features")
    return said


def manifest(change: Callable[[bytes], bytes], table: str, case: Case) -> str:
    """A manifest is not what it was."""
    case.start("features")
    path = case.url / f"{table}/date={LAST}/_current.json"
    path.write_bytes(change(path.read_bytes()))
    said = case.run("repair")
    case.run("features")
    case.run("repair")
    case.equal("features")
    return said


def more_rows(data: bytes) -> bytes:
    """As somebody would edit it."""
    body = json.loads(data)
    body["rows"] += 100
    return json.dumps(body).encode()


def no_folder(table: str, case: Case) -> str:
    """A run's whole folder is gone."""
    case.start("features")
    shutil.rmtree(file_of(case, table).parent)
    said = case.run("repair")
    case.run("features")
    assert case.codes[-1] == 0
    case.equal("features")
    return said


def stranger(name: str, body: bytes, case: Case) -> str:
    """Something in the folders that nobody of ours put there."""
    case.start("ingest")
    path = case.url / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    said = case.run("features")
    assert case.codes[-1] == 0, said
    case.run("clean")
    case.equal("features")
    return said or "nothing: it is passed over"


def faults() -> Iterator[Fault]:
    """Files, manifests, folders, strangers."""
    for table in TABLES:
        for damage, word in (
            (emptied, "emptied"),
            (cut, "cut in half"),
            (flipped, "with flipped bytes"),
            (Path.unlink, "deleted"),
        ):
            yield Fault(f"a file of {table} {word}", "storage", "repair", partial(damaged, table, damage))
    yield Fault("files of two dates swapped", "storage", "repair", swapped)
    for table in ("sessions", "listens", "library"):
        yield Fault(
            f"half a manifest of {table}", "storage", "repair", partial(manifest, lambda d: d[: len(d) // 2], table)
        )
        yield Fault(f"an empty manifest of {table}", "storage", "repair", partial(manifest, lambda d: b"", table))
        yield Fault(f"edited counts of {table}", "storage", "repair", partial(manifest, more_rows, table))
    for table in ("sessions", "library"):
        yield Fault(f"a run's folder of {table} deleted", "storage", "repair", partial(no_folder, table))
    for name, body in (
        ("listens/date=2026-02-30/_current.json", b"{}"),
        ("listens/.DS_Store", b"x"),
        (f"listens/date={LAST}/notes.txt", b"x"),
        ("runs/x.json", b"half a rec"),
        (f"sessions/date={LAST}/run=copy of/x.parquet", b"PAR1"),
        ("lost+found/x", b""),
    ):
        yield Fault(f"a stranger: {name}", "storage", "features", partial(stranger, name, body))
