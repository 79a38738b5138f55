"""A fit that was killed goes on at its last epoch, ends with the same bytes, and leaves no checkpoints behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models import two_tower
from models.checkpoints import Checkpoints
from pipelines.cli.upkeep import clean
from pipelines.recommender import checkpoints
from pipelines.train import train
from tests.pipelines.world import NIGHT, SETTINGS, World, hashes
from transforms.tables.store import LocalStore
from transforms.tables.warehouse import Warehouse

EPOCHS = 3
LONGER = SETTINGS.model_copy(
    update={
        "models": SETTINGS.models.model_copy(
            update={"two_tower": SETTINGS.models.two_tower.model_copy(update={"epochs": EPOCHS})}
        )
    }
)


class Killed(Exception):
    """What the machine's end looks like from inside."""


def counted(monkeypatch: pytest.MonkeyPatch, dies_at: int | None = None) -> list[int]:
    """Note the epochs that the two-tower model trains, and die as one of them begins."""
    seen: list[int] = []
    batches = two_tower.Data.batches

    def noted(self: Any, epoch: int) -> Iterator[Any]:
        if epoch == dies_at:
            raise Killed
        seen.append(epoch)
        return batches(self, epoch)

    monkeypatch.setattr(two_tower.Data, "batches", noted)
    return seen


def test_training_goes_on_where_it_was_killed(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, dead = (World.copy(world.made, tmp_path / name) for name in ("whole", "dead"))
    trained = counted(monkeypatch)
    train(whole.url, NIGHT, settings=LONGER)
    assert trained == [0, 1, 2]

    monkeypatch.undo()
    counted(monkeypatch, dies_at=2)
    before = dead.need("models", NIGHT)
    with pytest.raises(Exception, match="Fit|Killed"):
        train(dead.url, NIGHT, settings=LONGER)
    assert dead.need("models", NIGHT) == before
    (version,) = dead.store.folders(checkpoints.FOLDER)
    assert version == whole.need("models", NIGHT).version

    monkeypatch.undo()
    trained = counted(monkeypatch)
    train(dead.url, NIGHT, settings=LONGER)
    assert trained == [2]
    for table in ("models", "track_embeddings"):
        assert hashes(dead)[f"{table}@{NIGHT}"] == hashes(whole)[f"{table}@{NIGHT}"]
    assert hashes(whole)[f"models@{NIGHT}"] != hashes(world.warehouse)[f"models@{NIGHT}"]
    for warehouse in (whole, dead):
        assert warehouse.store.paths(checkpoints.FOLDER) == []


def test_what_a_kill_between_commit_and_tidying_left_goes_with_the_next_call(world: World, tmp_path: Path) -> None:
    warehouse = World.copy(world.made, tmp_path / "left")
    left = checkpoints.folder_of(warehouse.need("models", NIGHT).version) + "/two_tower/epoch-001.index"
    warehouse.store.write(left, b"old")
    assert list(clean(warehouse.url, SETTINGS.retention, dry_run=True)) == []
    assert f"would delete {left.rsplit('/', 2)[0]}" in clean(
        warehouse.url, SETTINGS.retention, dry_run=True, abandoned=True
    )
    train(warehouse.url, NIGHT, settings=SETTINGS)
    assert warehouse.store.paths(checkpoints.FOLDER) == []


def test_a_bucket_is_mirrored_epoch_by_epoch(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path / "bucket"))  # through the same six verbs

    def epoch(given: Checkpoints, number: int) -> None:
        Path(given.folder).mkdir(parents=True, exist_ok=True)
        for end in ("data-00000-of-00001", "index"):
            (Path(given.folder) / f"epoch-{number:03d}.{end}").write_text(f"{number}")
        assert given.saved is not None
        given.saved()

    with pytest.raises(Killed), checkpoints.mirrored(store, "checkpoints/v") as given:
        epoch(given.under("two_tower"), 1)
        assert len(store.paths("checkpoints/v/two_tower")) == 2
        (Path(given.folder) / "two_tower" / "epoch-002.index").write_text("half")
        raise Killed
    with checkpoints.mirrored(store, "checkpoints/v") as given:
        assert sorted(p.name for p in (Path(given.folder) / "two_tower").iterdir()) == [
            "epoch-001.data-00000-of-00001",
            "epoch-001.index",
        ]
        epoch(given.under("two_tower"), 2)
    assert [p.rsplit("/", 1)[1] for p in store.paths("checkpoints/v") if p.endswith("index")] == [
        "epoch-001.index",
        "epoch-002.index",
    ]
    Warehouse(str(tmp_path / "bucket")).store.delete("checkpoints/v")
    assert store.paths("checkpoints") == []
