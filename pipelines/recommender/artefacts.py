"""A model's files, from the warehouse to this machine: checked against the manifest before anything is loaded."""

from __future__ import annotations

import tempfile
from datetime import date
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from models.registry import read_entry, require_fit_by
from transforms.common.errors import UserError
from transforms.tables.manifest import FileEntry, Manifest
from transforms.tables.runs import Run
from transforms.tables.store import LocalStore
from transforms.tables.warehouse import Warehouse

MODEL = "model"


def model_folder(manifest: Manifest) -> str:
    """Folder of the model a manifest names, relative to the warehouse."""
    return f"{manifest.table}/date={manifest.date.isoformat()}/run={manifest.run_id}/{MODEL}"


def fetch(warehouse: str, manifest: Manifest, night: date) -> Path:
    """A local folder with a model's files; in place where the warehouse is local, else downloaded once a process.

    Every file is checked against the manifest and the model's own entry before anything is loaded.

    Raises:
        UserError: a file is missing or is not what was committed, or the model is later than the night it is to serve.
    """
    folder = _fetch(warehouse, model_folder(manifest), manifest.files)
    require_fit_by(read_entry(folder, verify=False), night)
    return folder


@lru_cache(maxsize=8)
def _fetch(warehouse: str, folder: str, files: tuple[FileEntry, ...]) -> Path:
    store = Warehouse(warehouse).store
    local = Path(store.root) / folder if isinstance(store, LocalStore) else Path(tempfile.mkdtemp(prefix="nightshelf-"))
    for entry in files:
        try:
            data = store.read(entry.path)
        except FileNotFoundError as error:
            raise UserError(f"model file {entry.path} is missing; {_remedy(folder)}") from error
        if sha256(data).hexdigest() != entry.sha256:
            raise UserError(f"model file {entry.path} is not what was committed; {_remedy(folder)}")
        if not isinstance(store, LocalStore):
            target = local / Path(entry.path).relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    return local


def _remedy(folder: str) -> str:
    day = folder.split("/date=")[1].split("/", maxsplit=1)[0]
    return f"`nightshelf repair --date {day}` has the model made again, or go back with `nightshelf rollback`"


def store_folder(run: Run, local: Path) -> list[FileEntry]:
    """Put every file of a model's local folder into a run; returns their entries."""
    store = Warehouse(run.warehouse).store
    entries = []
    for path in sorted(p for p in local.rglob("*") if p.is_file()):
        data = path.read_bytes()
        name = f"{run.folder}/{MODEL}/{path.relative_to(local).as_posix()}"
        store.write(name, data)
        entries.append(FileEntry(path=name, bytes=len(data), sha256=sha256(data).hexdigest()))
    return entries
