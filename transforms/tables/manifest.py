"""Manifests: what stands in a table on a date, and the version that content is determined by.

`version` is a hash of everything the content depends on, so equal versions mean equal content and a job whose version is
current has nothing to do. `run_id` is version and attempt: it names the folder that one attempt wrote into.
"""

from __future__ import annotations

import json
from datetime import date
from hashlib import blake2b
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

CODE_VERSION = "0.1.0"
_FILES, _END = b'\n "files": [\n', b"\n ],"  # how `to_json` lays them out


class FileEntry(BaseModel):
    """One committed file. `path` is relative to the warehouse."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    shard: int = 0
    rows: int = 0
    bytes: int
    sha256: str
    batch: str | None = None


class Redaction(BaseModel):
    """Rows taken out of committed files because listeners were forgotten: when and how many, never who."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: date
    listeners: int
    rows: int


class Heading(BaseModel):
    """What a manifest says without naming its files: all that planning needs of most dates, however many files these have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    date: date
    version: str
    run_id: str
    schema_version: int
    shards: int
    rows: int
    inputs: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    code_version: str = CODE_VERSION
    pinned: bool = False
    previous_run: str | None = None
    extra: dict[str, Any] = Field(default_factory=dict)
    redactions: tuple[Redaction, ...] = ()

    @classmethod
    def head_of(cls, data: bytes) -> Heading:
        """Parse a manifest without its files; raises pydantic.ValidationError on anything that is no manifest."""
        start = data.find(_FILES)
        stop = data.find(_END, start + len(_FILES)) if start >= 0 else -1
        if stop >= 0:  # `to_json` wrote it: the one key of its kind at that depth, and no entry ends like it
            return Heading.model_validate_json(data[:start] + data[stop + len(_END) :])
        whole = Manifest.from_json(data)
        return Heading.model_validate(whole.model_dump(exclude={"files"}))


class Manifest(Heading):
    """`<table>/date=.../_current.json`: readers enter here and open only the files it names."""

    files: tuple[FileEntry, ...]

    def to_json(self) -> bytes:
        """Canonical bytes."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Parse; raises pydantic.ValidationError on anything that is no manifest."""
        return cls.model_validate_json(data)


def made_from(made: Heading, table: str) -> date | None:
    """The date of a table that something was made from, the first where there are several; None where it is no input."""
    found = (key.partition("@")[2] for key in made.inputs if key.startswith(f"{table}@"))
    return next(map(date.fromisoformat, found), None)


def canonical(value: Any) -> str:
    """JSON with sorted keys: the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def version_of(
    table: str,
    day: date,
    schema: Any,
    inputs: dict[str, str],
    settings: dict[str, Any],
    step_version: str,
    seed: int,
) -> str:
    """The version of a table's content on a date: 16 hex characters, from all that determines it."""
    text = canonical([table, day.isoformat(), schema, inputs, settings, step_version, seed])
    return blake2b(text.encode(), digest_size=8).hexdigest()
