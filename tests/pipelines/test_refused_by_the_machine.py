"""What the machine refuses, and what somebody left in the warehouse: said as what it is, and nothing is lost by it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.cli.status import status_lines
from pipelines.cli.upkeep import repair
from pipelines.forget import forget
from pipelines.ingest import ingest
from pipelines.runtime import foreseen as machine
from pipelines.runtime.foreseen import foreseen
from tests.pipelines.byte_search import found
from tests.pipelines.test_forget import TODAY, tiny
from tests.pipelines.test_ingest import END, log, run, world
from tests.pipelines.tiny import LISTENERS, NIGHT
from transforms.common.errors import UserError
from transforms.privacy.pseudonyms import KeySource
from transforms.tables.store_bucket import local_emulator
from transforms.tables.warehouse import Warehouse

__all__ = ["tiny", "world"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "x"), "the disk cannot be written (No space left on device).*make room"),
        (OSError(errno.EROFS, "x"), "the disk cannot be written (Read-only file system)"),
        (
            PermissionError(errno.EACCES, "x", "/w/shelves/date=2026-01-01/x.parquet"),
            "^shelves/date=2026-01-01/x.parquet cannot be",
        ),
        (PermissionError(errno.EACCES, "x", "/logs/zoe.csv"), "^a file or folder cannot be opened.*mend the rights"),
        (MemoryError(), "memory.*is used up.*more `shards`"),
        (RuntimeError("std::bad_alloc"), "memory.*is used up"),
        (RuntimeError("can't start new thread"), "memory.*is used up"),
        (
            RuntimeError("ThreadPoolBuildError { kind: IOError(Os { code: 11, kind: WouldBlock }) }"),
            "memory.*is used up",
        ),
        (OSError(errno.EIO, "x"), "a disk or a mount that fails"),
        (OSError(errno.EMFILE, "x"), "too many files are open.*ulimit -n"),
    ],
)
def test_what_is_refused_is_named_with_its_remedy(error: Exception, said: str) -> None:
    import re

    try:
        try:
            raise error
        except Exception as inner:
            raise ValueError("a library's own words, with zoe in them") from inner
    except ValueError as outer:
        refusal = foreseen(outer)
    assert refusal is not None and re.search(said.replace("(", r"\(").replace(")", r"\)"), str(refusal)), str(refusal)
    assert "zoe" not in str(refusal) and "same command again" in str(refusal)
    assert foreseen(ValueError("nothing of the machine's")) is None


def test_a_library_that_says_nothing_at_the_limit_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = SystemError("initialization of coder_impl failed without raising an exception")
    assert foreseen(silent) is None
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (1024, 1024))
    assert "memory" in str(foreseen(silent)) and "memory" in str(foreseen(ImportError("no module")))
    assert foreseen(ValueError("something else")) is None
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (1 << 60, 1 << 60))
    assert foreseen(silent) is None


def test_somebody_elses_folders_and_half_a_record_stop_nobody(
    tiny: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(tiny.url)
    (root / "listens/date=2026-02-30/run=x").mkdir(parents=True)
    (root / "listens/date=2026-02-30/_current.json").write_text("{}")
    tiny.store.write("runs/x.json", f'{{"note": "for {LISTENERS[3]} on'.encode())
    tiny.store.write("runs/y.json", b"half a rec")
    print("\n".join(status_lines(tiny)))
    assert "listens" in capsys.readouterr().out
    forget(tiny.url, [LISTENERS[3]], today=TODAY)
    assert found(root, [LISTENERS[3]]) == []
    assert tiny.store.read("runs/y.json") == b"half a rec"


def test_a_warehouse_whose_name_looks_like_markup(tiny: Warehouse, tmp_path: Path) -> None:
    warehouse = tmp_path / "[/x] [red]w"
    warehouse.parent.mkdir()
    os.rename(tiny.url, warehouse)
    refusal = CliRunner().invoke(cli, ["status", "--warehouse", str(warehouse)])
    assert refusal.exit_code == 0 and "[red]w" in "".join(refusal.output.split())


def test_counts_that_somebody_edited_are_found_and_counted_again(tiny: Warehouse) -> None:
    path = f"listens/date={NIGHT}/_current.json"
    body = json.loads(tiny.store.read(path))
    whole = tiny.need("listens", NIGHT)
    body["rows"] += 5
    body["files"][0]["rows"] += 7
    tiny.store.write(path, json.dumps(body).encode())
    said = list(repair(tiny.url, NIGHT))
    assert any("holds" in line and "its manifest says" in line for line in said)
    assert f"listens of {NIGHT}: its files are what was committed, and were counted again" in said
    assert tiny.need("listens", NIGHT) == whole
    assert list(repair(tiny.url, NIGHT)) == ["nothing is damaged"]


def test_of_an_id_that_a_catalog_names_twice_one_is_a_duplicate(world: Path) -> None:
    catalog = world / "tracks.csv"
    catalog.write_text("track_id,title\nt1,One\nt1,One again\nt2,Two\n")
    done = run(world, log(world / "a.csv", ("ann", "t1", 1)), tracks=str(catalog))
    assert {k: done.tables["tracks"][k] for k in ("rows", "listens", "duplicates")} == {
        "rows": 3,
        "listens": 2,
        "duplicates": 1,
    }


@pytest.mark.parametrize(
    ("mode", "fine"), [(0o600, True), (0o640, True), (0o644, False), (0o620, False), (0o666, False)]
)
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int, fine: bool) -> None:
    key = tmp_path / f"key-{mode}"
    key.write_text("0" * 64)
    key.chmod(mode)
    if fine:
        KeySource(str(key)).load()
        return
    with pytest.raises(UserError, match=rf"found mode {mode:o}; close it with `chmod 600`"):
        KeySource(str(key)).load()


def test_an_emulator_on_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for address, fine in (
        ("http://127.0.0.1:9", True),
        ("localhost:9", True),
        ("http://evil.example:80", False),
        ("evil", False),
    ):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        if fine:
            assert local_emulator("STORAGE_EMULATOR_HOST") == address
        else:
            with pytest.raises(UserError, match="STORAGE_EMULATOR_HOST is set to another machine"):
                local_emulator("STORAGE_EMULATOR_HOST")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    assert local_emulator("STORAGE_EMULATOR_HOST") is None


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-", "2>/dev/full", "| true"])
def test_without_standard_streams_the_work_is_done_and_no_file_takes_their_place(world: Path, closed: str) -> None:
    path = log(world / "a.csv", ("ann", "t1", 1), ("bob", "t2", 2))
    words = f"ingest --format csv --input {path} --mapping {world / 'mapping.yaml'} --end-date {END} --warehouse {world / 'w'}"
    subprocess.run(["bash", "-c", f"{sys.executable} -m pipelines.cli.main {words} {closed}"], check=False)
    warehouse = Warehouse(str(world / "w"))
    assert sum(warehouse.read("listens", d).height for d in warehouse.dates("listens")) == 2
    assert list(repair(warehouse.url)) == ["nothing is damaged"]
    assert ingest(warehouse.url, "csv", [path], mapping=str(world / "mapping.yaml"), end_date=END).batch is None
