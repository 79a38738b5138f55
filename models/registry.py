"""The registry's unit: a directory of a model's files with one `entry.json` that vouches for them.

An entry says what the model is (name, kind, version), what it was made from (input versions, fit date, settings, seed),
how good it was (metrics) and the sha256 of every file. Reading checks the hashes before anything is loaded, and refuses
files nobody vouched for and formats that can run code, because a model travels through buckets that others can write
to. Where the directory lies and which entry is current is the warehouse's business.

    model-dir/
      entry.json        {"name": "als", "version": "...", "fit_date": "2026-01-31", "files": {"items.npy": {...}}, ...}
      vocabulary.parquet  items.npy  ...
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from models.vocabulary import Vocabulary
from transforms.common.errors import UserError

ENTRY = "entry.json"
VOCABULARY = "vocabulary.parquet"
_ENTRY_FORMAT = 1
_RUNS_CODE = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".dill"}


@dataclass(frozen=True)
class Entry:
    """A verified model directory.

    Attributes:
        directory: where the files lie.
        name: model name: als, two_tower, ranker, ...
        kind: implementation within the name (for a ranker: blend, linear, cross), or the name again.
        version: version of the table this entry is made in; rows scored by it carry it.
        fit_date: nothing later than the end of this date was read.
        inputs: version of every input table, by table name.
        settings: the model's settings.
        seed: seed of the fit.
        metrics: name to value, as measured when it was fitted.
        files: path relative to the directory -> {"bytes", "sha256"}.
    """

    directory: Path
    name: str
    kind: str
    version: str
    fit_date: date
    inputs: dict[str, str]
    settings: dict[str, Any]
    seed: int
    metrics: dict[str, float]
    files: dict[str, dict[str, Any]]

    def path(self, name: str) -> Path:
        """Path of one of the entry's files or folders.

        Raises:
            UserError: the entry has no such file.
        """
        if name not in self.files and not any(f.startswith(f"{name}/") for f in self.files):
            raise UserError(f"model {self.name} {self.version} has no file {name}; it holds {sorted(self.files)}.")
        return self.directory / name

    def vocabulary(self) -> Vocabulary:
        """The vocabulary its rows are numbered by."""
        return Vocabulary.load(self.path(VOCABULARY))

    def array(self, name: str) -> np.ndarray:
        """A `.npy` file, memory-mapped, read-only."""
        return np.load(self.path(name), mmap_mode="r", allow_pickle=False)


def write_entry(
    directory: str | Path,
    *,
    name: str,
    version: str,
    fit_date: date,
    inputs: Mapping[str, str],
    settings: Mapping[str, Any],
    seed: int,
    metrics: Mapping[str, float],
    kind: str | None = None,
    vocabulary: Vocabulary | None = None,
) -> Entry:
    """Vouch for every file now in the directory, and write `entry.json` last.

    Args:
        directory: holds the model's files already; the vocabulary is added here when it is given.
        settings: anything JSON can hold.
        metrics: a value that is not finite is stored as null.

    Raises:
        UserError: the directory is empty or holds a file format that can run code.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    if vocabulary is not None:
        vocabulary.save(folder / VOCABULARY)
    files = {_relative(p, folder): {"bytes": p.stat().st_size, "sha256": _sha256(p)} for p in _files(folder)}
    if not files:
        raise UserError(f"model {name}: nothing to register, {folder.name} holds no files; save the model first.")
    entry = {
        "format": _ENTRY_FORMAT,
        "name": name,
        "kind": kind or name,
        "version": version,
        "fit_date": fit_date.isoformat(),
        "inputs": dict(sorted(inputs.items())),
        "settings": dict(settings),
        "seed": seed,
        "metrics": {k: float(v) if np.isfinite(v) else None for k, v in sorted(metrics.items())},
        "files": files,
    }
    (folder / ENTRY).write_text(json.dumps(entry, indent=1, sort_keys=True, allow_nan=False) + "\n")
    return read_entry(folder, verify=False)


def read_entry(directory: str | Path, verify: bool = True) -> Entry:
    """Read `entry.json` and check every file against it.

    Raises:
        UserError: there is no entry, a file is missing, was changed, was added, or can run code.
    """
    folder = Path(directory)
    try:
        raw = json.loads((folder / ENTRY).read_text())
    except FileNotFoundError:
        raise UserError(f"{folder.name} holds no {ENTRY}: it is no model, or its training did not finish.") from None
    except json.JSONDecodeError:
        raise UserError(f"{ENTRY} of {folder.name} is not valid JSON; train the model again.") from None
    if raw.get("format") != _ENTRY_FORMAT:
        raise UserError(f"{ENTRY} of {folder.name} has format {raw.get('format')}, this code reads {_ENTRY_FORMAT}.")
    if verify:
        _verify(folder, raw["name"], raw["files"])
    fields = {k: raw[k] for k in ("name", "kind", "version", "inputs", "settings", "seed", "files")}
    metrics = {k: float("nan") if v is None else v for k, v in raw["metrics"].items()}
    return Entry(directory=folder, fit_date=date.fromisoformat(raw["fit_date"]), metrics=metrics, **fields)


def require_fit_by(entry: Entry, night: date) -> None:
    """Refuse a model that has seen more than the night it shall serve or be trained for.

    Raises:
        UserError: its fit date is later than the night.
    """
    if entry.fit_date > night:
        raise UserError(
            f"model {entry.name} was fitted as of {entry.fit_date}, later than the night of {night}; "
            f"use a model fitted by {night}, or pass --fit-date."
        )


def _verify(folder: Path, name: str, expected: Mapping[str, Mapping[str, Any]]) -> None:
    present = {_relative(p, folder) for p in _files(folder)}
    for file in sorted(set(expected) - present):
        raise UserError(f"model {name}: file {file} is missing; train it again or roll back.")
    for file in sorted(present - set(expected)):
        raise UserError(f"model {name}: file {file} is not in its entry; remove it or train the model again.")
    for file, facts in sorted(expected.items()):
        path = folder / file
        if path.stat().st_size != facts["bytes"] or _sha256(path) != facts["sha256"]:
            raise UserError(f"model {name}: file {file} was changed after training; train it again or roll back.")


def _files(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / ENTRY)
    for path in found:
        if path.suffix in _RUNS_CODE:
            raise UserError(f"{path.name} can run code when it is loaded; models keep arrays and SavedModels only.")
    return found


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
