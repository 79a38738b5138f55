"""Jobs at once, and power lost: what one commits nobody takes away, and what is named is on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.transforms.tables.test_runs import DAY, ended, make, planned, read, warehouse, written
from transforms.common.errors import LostRace
from transforms.tables import repair, turns, upkeep
from transforms.tables.manifest import Manifest
from transforms.tables.runs import FORGOTTEN, finish, finish_all, keep
from transforms.tables.upkeep import RetentionSettings
from transforms.tables.warehouse import CURRENT, Warehouse

__all__ = ["warehouse"]


def test_what_is_at_work_is_never_abandoned(warehouse: Warehouse) -> None:
    """Neither a run that has not written anything, nor one that is written and about to be committed."""
    make(warehouse, 1, ["ann"])
    begun, done = planned(warehouse, 2), planned(warehouse, 3)
    files = written(done, ["bob"])
    keep(done, files)  # its manifest stands in its folder, as right before a commit
    assert list(upkeep.removable(warehouse, RetentionSettings(previous_runs=0), abandoned=True)) == []
    finish(done, files)
    assert read(warehouse) == ["bob"]
    ended(begun)
    assert begun.folder in list(upkeep.removable(warehouse, RetentionSettings(), abandoned=True))


def test_what_became_current_since_it_was_looked_at_is_not_deleted(warehouse: Warehouse) -> None:
    first = make(warehouse, 1, ["ann"])
    folder = f"listeners/date=2026-01-01/run={first.run_id}"
    assert not upkeep.remove(warehouse, folder) and read(warehouse) == ["ann"]
    make(warehouse, 2, ["bob"])
    assert upkeep.remove(warehouse, folder) and warehouse.store.paths(folder) == []


def test_a_run_whose_folder_is_gone_does_not_get_its_id_again(warehouse: Warehouse, tmp_path: Path) -> None:
    """Its version is marked by `repair`, and the run that makes it again must not be taken for the one that is gone."""
    first = make(warehouse, 1, ["ann"])
    warehouse.store.delete(f"listeners/date=2026-01-01/run={first.run_id}")
    current, token = warehouse.current_with_token("listeners", DAY)
    assert current is not None
    warehouse.commit(current.model_copy(update={"version": f"{repair.DAMAGED}{current.version}"}), token)
    again = make(warehouse, 1, ["ann"])
    assert again.run_id != first.run_id and warehouse.need("listeners", DAY).version == first.version
    assert read(warehouse) == ["ann"]


def test_files_are_on_the_disk_before_a_manifest_names_them(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power loss right after any manifest's rename: all it names, and the folders on the way, were synced by then."""
    synced: set[str] = set()
    sync, rename = os.fsync, os.replace

    def seen(handle: int) -> None:
        sync(handle)
        synced.add(os.path.realpath(f"/proc/self/fd/{handle}"))

    def renamed(source: Path, target: Path) -> None:
        if Path(target).name == CURRENT:
            for entry in Manifest.from_json(Path(source).read_bytes()).files:
                path = tmp_path / entry.path
                unsynced = {str(p) for p in (path, *path.parents) if p.is_relative_to(tmp_path)} - synced
                assert not unsynced, f"{entry.path} is named and {unsynced} may be lost"
            assert str(source) in synced
            manifests.append(target)
        rename(source, target)

    manifests: list[Path] = []
    monkeypatch.setattr(os, "fsync", seen)
    monkeypatch.setattr(os, "replace", renamed)
    run = planned(warehouse)
    finish(run, written(run, ["ann", "bob"]))
    assert len(manifests) == 1
    assert str(manifests[0].parent) in synced


def test_a_listener_forgotten_meanwhile_is_not_committed(warehouse: Warehouse) -> None:
    run = planned(warehouse)
    files = written(run, ["ann"])
    warehouse.store.write(FORGOTTEN, b"{}")
    with pytest.raises(LostRace, match="a listener was forgotten while run .* run the same command again"):
        finish(run, files)
    assert warehouse.store.paths(run.folder) == [] and warehouse.current("listeners", DAY) is None


def test_of_many_runs_all_are_committed_or_none(warehouse: Warehouse) -> None:
    """The second of two tables was made by somebody else meanwhile: the first stays as it was, too."""
    runs = [planned(warehouse, table=t) for t in ("listeners", "feedback")]
    rival = planned(warehouse, 2, table="feedback")
    finish(rival, [])
    with pytest.raises(LostRace, match=rf"feedback of .* was committed by run {rival.run_id}"):
        finish_all([(run, []) for run in runs])
    assert warehouse.current("listeners", DAY) is None


def test_a_commit_that_gets_no_further_is_not_waited_for_for_ever(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TRIES", 2)
    run = planned(warehouse)
    with turns.local_turn(tmp_path, "the other job"):
        with pytest.raises(
            LostRace, match=r"another job \(the other job, process \d+\) is at its commit .* same command"
        ):
            finish(run, [])
        assert warehouse.current("listeners", DAY) is None
    assert finish(run, []).rows == 0, "and with nobody there it goes on"


def test_a_commit_that_gets_on_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder gives a sign of life between any two tries, more often than anybody would wait without one."""
    monkeypatch.setattr(turns, "TRIES", 2)
    tries = iter(range(1, 1 << 30))
    with turns.local_turn(tmp_path, "the other job") as beat:

        class Event:
            def wait(self, seconds: float) -> None:
                n = next(tries)
                if n < 10:
                    os.utime(tmp_path / turns.LOCK, ns=(n, n))
                    return
                raise InterruptedError("waited ten times")

        monkeypatch.setattr(turns.threading, "Event", Event)
        beat()
        with pytest.raises(InterruptedError), turns.local_turn(tmp_path, "this one"):
            pass
