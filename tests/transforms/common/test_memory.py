"""What a container allows counts, not what its machine has; files as the kernel writes them, of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.runtime import processes as rule
from pipelines.runtime.config import Settings
from tests.pipelines.test_forget import tiny
from tests.pipelines.tiny import NIGHT
from transforms.common import memory
from transforms.common.memory import Group, allowed_mb, available_mb, groups, machine_mb
from transforms.tables.warehouse import Warehouse

__all__ = ["tiny"]
GB = 1 << 30


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


@pytest.fixture
def second(tmp_path: Path) -> tuple[Path, Path]:
    """Version 2, a group within a group with another limit."""
    write(tmp_path / "fs", memory__max="max", memory__current=9 * GB)
    write(tmp_path / "fs/pods", memory__max=3 * GB, memory__current=2 * GB, memory__stat=f"anon 5\ninactive_file {GB}")
    write(tmp_path / "fs/pods/one", memory__max=4 * GB, memory__current=GB)
    (tmp_path / "mine").write_text("0::/pods/one\n")
    return tmp_path / "mine", tmp_path / "fs"


def test_groups_of_version_two(second: tuple[Path, Path]) -> None:
    assert groups(*second) == [Group(4 * GB, GB), Group(3 * GB, GB)]


def test_groups_of_version_one(tmp_path: Path) -> None:
    fs, mine = tmp_path / "fs", tmp_path / "mine"
    stat = f"inactive_file 1\ntotal_inactive_file {GB}"
    write(fs / "memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=5)
    write(fs / "memory/a", memory__limit_in_bytes=3 * GB, memory__usage_in_bytes=2 * GB, memory__stat=stat)
    mine.write_text("9:cpu,cpuacct:/b\n4:memory:/a\n0::/\n")
    assert groups(mine, fs) == [Group(3 * GB, GB)]


def test_in_a_container_the_path_is_that_outside_and_its_own_group_is_at_the_root(tmp_path: Path) -> None:
    write(tmp_path / "fs", memory__max=3 * GB, memory__current=GB)
    (tmp_path / "mine").write_text("0::/kubepods/burstable/somewhere\n")
    assert groups(tmp_path / "mine", tmp_path / "fs") == [Group(3 * GB, GB)]


def test_where_there_are_no_groups_the_machine_counts(tmp_path: Path) -> None:
    assert groups(tmp_path / "none", tmp_path) == []
    assert 0 < available_mb() <= allowed_mb() <= machine_mb()


def test_a_night_in_a_small_container_is_one_process(
    second: tuple[Path, Path], tiny: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule, "PLAYS", 1)
    monkeypatch.setattr(rule.of_machine, "cores", lambda: 8)
    monkeypatch.setattr(memory, "groups", lambda: groups(*second))
    assert available_mb() == min(2048, available_mb()) and allowed_mb() == min(3072, machine_mb())
    assert rule.processes_of(Settings(), tiny.url, NIGHT) == 1
    monkeypatch.setattr(memory, "groups", lambda: [Group(64 * GB, 0)])
    assert rule.processes_of(Settings(), tiny.url, NIGHT) == max(1, min(8, available_mb() // rule.EACH_MB))
