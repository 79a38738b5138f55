"""Publications as files of lines, in a folder or a bucket: one line a listener, split by listener as the warehouse is.

    _current.json                                          the pointer
    run=2026-01-25T00-00-00.001Z/_files.json               a publication's files
    run=2026-01-25T00-00-00.001Z/shard-00003-of-00016-<hash>.jsonl

Readers enter at the pointer. Files are named by their content and complete before `_files.json` is written, which is there before
the pointer is moved. A publication goes when its night is `keep_days` older than the one that counts, but the one before stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from pydantic import BaseModel

from transforms.common.errors import LostRace, UserError
from transforms.privacy.forgotten import Forgotten
from transforms.serving.publication import Pointer, Publication, moved
from transforms.tables.store import Store, Token, open_store

POINTER, FILES = "_current.json", "_files.json"


class LineFile(BaseModel, frozen=True):
    """A file of lines: `path` from the target's root, `lines` are listeners."""

    path: str
    shard: int
    lines: int
    bytes: int
    sha256: str


class Files(BaseModel, frozen=True):
    """A publication and its files."""

    publication: Publication
    shards: int
    files: tuple[LineFile, ...]


def folder(stamp: datetime) -> str:
    """The folder of a publication."""
    return f"run={stamp.isoformat(timespec='milliseconds').replace(':', '-').replace('+00-00', 'Z')}"


class Lines:
    """A folder or bucket that publications are written to."""

    def __init__(self, url: str) -> None:
        self.store: Store = open_store(url)

    def pointer(self) -> tuple[Pointer | None, Token]:
        """The pointer, and the token to replace it with."""
        data, token = self.store.read_with_token(POINTER)
        return (Pointer.model_validate_json(data) if data else None), token

    def write(self, stamp: datetime, shard: int, shards: int, lines: Sequence[str]) -> LineFile:
        """Write one file of a publication; the same lines make the same file."""
        data = "".join(f"{line}\n" for line in lines).encode()
        digest = sha256(data).hexdigest()
        path = f"{folder(stamp)}/shard-{shard:05d}-of-{shards:05d}-{digest[:16]}.jsonl"
        self.store.write(path, data)
        return LineFile(path=path, shard=shard, lines=len(lines), bytes=len(data), sha256=digest)

    def publish(
        self, publication: Publication, shards: int, files: Iterable[LineFile], seen: Pointer | None, keep_days: int
    ) -> Pointer:
        """Make a publication the one that counts, then delete what has expired.

        Args:
            seen: the pointer at launch.

        Raises:
            LostRace: another publish was faster; what it published stays.
        """
        once = {f.path: f for f in files}
        listed = Files(publication=publication, shards=shards, files=tuple(once[p] for p in sorted(once)))
        pointer, token = self.pointer()
        if pointer is not None and pointer.now.stamp != publication.stamp and pointer != seen:
            raise LostRace(f"{pointer.now.date} was published meanwhile; nothing was replaced: export again")
        self.store.write(f"{folder(publication.stamp)}/{FILES}", listed.model_dump_json().encode())
        self.store.settle([*once, f"{folder(publication.stamp)}/{FILES}"])
        after = moved(pointer, publication)
        if not self.store.replace(POINTER, after.to_json(), token):
            raise LostRace("another night was published meanwhile; export again")
        self._expire(after, keep_days)
        return after

    def roll_back(self) -> Pointer:
        """Point back at the publication before.

        Raises:
            UserError: there is none, or it has expired.
            LostRace: a publish was faster.
        """
        pointer, token = self.pointer()
        if pointer is None or pointer.before is None:
            raise UserError("there is no earlier publication to go back to; nothing was changed")
        self.files(pointer.before)
        after = Pointer(now=pointer.before, before=None)
        if not self.store.replace(POINTER, after.to_json(), token):
            raise LostRace("another night was published meanwhile; nothing was changed")
        return after

    def files(self, publication: Publication) -> Files:
        """A publication's files.

        Raises:
            UserError: it is gone.
        """
        try:
            return Files.model_validate_json(self.store.read(f"{folder(publication.stamp)}/{FILES}"))
        except FileNotFoundError:
            raise UserError(f"the publication of {publication.date} has expired; export that night again") from None

    def _expire(self, pointer: Pointer, keep_days: int) -> None:
        kept = {folder(one.stamp) for one in (pointer.now, pointer.before) if one}
        oldest = folder(pointer.now.stamp - timedelta(days=keep_days))
        for name in self.store.folders(""):
            if name.startswith("run=") and name not in kept and name < oldest:
                self.store.delete(name)

    def forget(self, listeners: Sequence[str], gone: Forgotten) -> int:
        """Take listeners out of every publication; of nobody named, everybody on the list. Returns how many lines went.

        A publication's `_files.json` names the rewritten file before the old one goes, so a reader finds one or the other.
        """
        wanted, lost = set(listeners), 0
        for name in self.store.folders(""):
            try:
                listed = Files.model_validate_json(self.store.read(f"{name}/{FILES}"))
            except FileNotFoundError:
                if name.startswith("run="):
                    self.store.delete(name)  # a publish that was killed; nobody reads it
                continue
            after, old = [], []
            for file in listed.files:
                every = self.store.read(file.path).decode().splitlines()
                held = [str(json.loads(line)["listener_id"]) for line in every]
                mine = wanted or gone.among(held)
                kept = [line for line, who in zip(every, held, strict=True) if who not in mine]
                if len(kept) == len(every):
                    after.append(file)
                    continue
                lost += len(every) - len(kept)
                old.append(file.path)
                after.append(self.write(listed.publication.stamp, file.shard, listed.shards, kept))
            if old:
                changed = listed.model_copy(update={"files": tuple(after)})
                self.store.write(f"{name}/{FILES}", changed.model_dump_json().encode())
                for path in old:
                    self.store.delete(path)
        return lost


def read_listener(target: Lines, listener: str, shard: int, pointer: Pointer | None = None) -> dict[str, Any] | None:
    """A listener's line of the publication that counts, or of a pointer's."""
    pointer = pointer or target.pointer()[0]
    if pointer is None:
        return None
    for file in target.files(pointer.now).files:
        if file.shard == shard:
            for line in target.store.read(file.path).decode().splitlines():
                found = json.loads(line)
                if found["listener_id"] == listener:
                    return dict(found)
    return None
