"""Epoch-end checkpoints of a fit, kept in the warehouse until what is fitted is committed.

    checkpoints/<version>/two_tower/epoch-001.*

They stand beside the tables, keyed by the version that is being made and not by the attempt, so that whoever makes that
version next goes on where a killed worker stopped; and since an epoch is a function of the seed and its number, the
resumed fit ends with the same bytes. In a local warehouse they are written in place; those of a bucket are copied down
before the fit and up after each epoch, through the same store as everything else.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.checkpoints import Checkpoints
from transforms.tables.store import LocalStore, Store
from transforms.tables.upkeep import CHECKPOINTS as FOLDER
from transforms.tables.upkeep import EXAMPLES
from transforms.tables.warehouse import Warehouse


def folder_of(version: str) -> str:
    """Where the checkpoints of a version stand, relative to the warehouse."""
    return f"{FOLDER}/{version}"


@contextmanager
def kept(warehouse: str, version: str) -> Iterator[Checkpoints]:
    """Checkpoints of the fit that makes a version, as `models.training.run_epochs` takes them."""
    store = Warehouse(warehouse).store
    if isinstance(store, LocalStore):
        yield Checkpoints(str(Path(store.root) / folder_of(version)))
        return
    with mirrored(store, folder_of(version)) as checkpoints:
        yield checkpoints


@contextmanager
def mirrored(store: Store, folder: str) -> Iterator[Checkpoints]:
    """A local copy of a folder of a store; what a fit saves there is copied back after each epoch."""
    local = Path(tempfile.mkdtemp(prefix="nightshelf-"))
    try:
        for name in store.paths(folder):
            if name.startswith(f"{folder}/{EXAMPLES}/"):
                continue  # read one by one, by name
            target = local / Path(name).relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(store.read(name))
        known = {path for path in local.rglob("*") if path.is_file()}

        def up() -> None:
            new = [p for p in local.rglob("*") if p.is_file() and p not in known and p.name != "checkpoint"]
            # An epoch counts once its index is there, so that goes last.
            for path in sorted(new, key=lambda p: (p.suffix == ".index", p)):
                store.write(f"{folder}/{path.relative_to(local).as_posix()}", path.read_bytes())
                known.add(path)

        yield Checkpoints(str(local), up)
    finally:
        shutil.rmtree(local, ignore_errors=True)


def drop(warehouse: str, version: str) -> None:
    """Remove the checkpoints of a version: it is committed."""
    Warehouse(warehouse).store.delete(folder_of(version))
