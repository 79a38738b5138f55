"""What a graph carries of the files to read: names of runs, however many files these have.

    listens = Manifests.of(warehouse, past.window("listens", 90))         # 90 dates x 4,096 files
    work = specs(warehouse, 4096, {"listens": listens})
    len(pickle.dumps(work))                                               # some kilobytes

The launcher looks at what it has read already; a worker, which gets a pickled copy, reads the manifests when it first looks at
them. Of 400 dates x 4,096 files it keeps the names alone, as one column of text a date, and makes a shard's spec when it is
asked for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, TypeVar, overload

import numpy as np
import polars as pl

from transforms.tables.chunks import Part, Spec, check_shards
from transforms.tables.manifest import Heading, Manifest
from transforms.tables.warehouse import Warehouse

T = TypeVar("T")
Name = tuple[str, date, str]  # table, date, run id
READERS = 16
FEW = 16  # shards that tell how much all of a table hold


class Manifests(Sequence[Manifest]):
    """Some manifests of one warehouse, in a given order; pickled by name."""

    def __init__(self, url: str, names: Sequence[Name], read: Sequence[Manifest] | None = None) -> None:
        self._url, self.names = url, tuple(names)
        if read is not None:
            self.__dict__["_read"] = tuple(read)  # instead of reading them when first asked

    @classmethod
    def of(cls, warehouse: Warehouse, read: Sequence[Heading]) -> Manifests:
        """Of manifests, or their headings, that were read before."""
        if isinstance(read, Manifests):
            return read
        whole = [m for m in read if isinstance(m, Manifest)]
        return cls(warehouse.url, [_name(m) for m in read], whole if len(whole) == len(read) else None)

    @cached_property
    def _read(self) -> tuple[Manifest, ...]:
        warehouse = Warehouse(self._url)
        return tuple(_each(lambda name: Manifest.from_json(warehouse.text_of(*name)), self.names))

    def files(self) -> Iterator[Files]:
        """The names of each manifest's files; of one that was not read whole, nothing else is kept."""
        if "_read" in self.__dict__:
            yield from (Files.of(m.date, m.shards, ((f.shard, f.path) for f in m.files if f.rows)) for m in self._read)
            return
        warehouse = Warehouse(self._url)
        yield from _each(lambda name: Files.parsed(warehouse.text_of(*name)), self.names)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, at: int) -> Manifest: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Manifest]: ...
    def __getitem__(self, at: int | slice) -> Manifest | Sequence[Manifest]:
        return self._read[at]

    def __reduce__(self) -> tuple[Any, ...]:
        return Manifests, (self._url, self.names)


@dataclass(frozen=True)
class Files:
    """The files with rows of one table and date, by shard.

    Attributes:
        shards: that the table was written in.
        folder: what all paths begin with.
        names: what follows it, in the order of shards.
        bounds: int64 [shards + 1], where each shard's files begin among `names`.
    """

    day: date
    shards: int
    folder: str
    names: pl.Series
    bounds: np.ndarray

    @classmethod
    def of(cls, day: date, shards: int, files: Iterable[tuple[int, str]]) -> Files:
        """Of shard and path of each file, in any order; files of one shard keep theirs."""
        listed = list(files)
        listed.sort(key=lambda file: file[0])
        paths = [path for _, path in listed]
        shared = _begin(paths)
        names = pl.Series("name", [path[len(shared) :] for path in paths], dtype=pl.String)
        counts = np.bincount(np.array([shard for shard, _ in listed], np.int64), minlength=shards)
        return cls(day, shards, shared, names, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    @classmethod
    def parsed(cls, manifest: bytes) -> Files:
        """Of a manifest's text; an object an entry would be ten times as large."""
        said = json.loads(manifest)
        files = ((file["shard"], file["path"]) for file in said["files"] if file["rows"])
        return cls.of(date.fromisoformat(said["date"]), said["shards"], files)

    def parts(self, shard: int, shards: int) -> Iterator[Part]:
        """The files that hold rows of a shard of so many: file f of M holds shard s of N iff they agree mod min(M, N)."""
        step = min(self.shards, shards)
        for own in range(shard % step, self.shards, step):
            for name in self.names[int(self.bounds[own]) : int(self.bounds[own + 1])]:
                yield Part(self.folder + name, own, self.shards, self.day)


class Specs(Sequence[Spec]):
    """One spec a shard."""

    def __init__(self, url: str, shards: int, tables: Mapping[str, Manifests]) -> None:
        self._url, self._shards, self._tables = url, check_shards(shards), dict(tables)

    def __len__(self) -> int:
        return self._shards

    @overload
    def __getitem__(self, at: int) -> Spec: ...
    @overload
    def __getitem__(self, at: slice) -> list[Spec]: ...
    def __getitem__(self, at: int | slice) -> Spec | list[Spec]:
        found = range(self._shards)[at]
        return self._of(found) if isinstance(found, int) else [self._of(shard) for shard in found]

    def __iter__(self) -> Iterator[Spec]:
        return (self._of(shard) for shard in range(self._shards))

    def _of(self, shard: int) -> Spec:
        parts = {t: tuple(p for f in files for p in f.parts(shard, self._shards)) for t, files in self._files.items()}
        return Spec(self._url, shard, self._shards, parts)

    @cached_property
    def _files(self) -> dict[str, list[Files]]:
        return {table: list(manifests.files()) for table, manifests in self._tables.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return Specs, (self._url, self._shards, self._tables)


def a_few(every: Sequence[Spec]) -> Sequence[Spec]:
    """At most about `FEW` of a table's shards, evenly spread: rows are dealt by hash, so these tell how much all hold."""
    return every[:: max(1, len(every) // FEW)]


def specs(warehouse: Warehouse, shards: int, tables: Mapping[str, Sequence[Heading]]) -> Specs:
    """One spec a shard, of all files that some manifests name.

    Raises:
        UserError: the number of shards is no power of two.
    """
    return Specs(warehouse.url, shards, {table: Manifests.of(warehouse, found) for table, found in tables.items()})


def _name(manifest: Heading) -> Name:
    return manifest.table, manifest.date, manifest.run_id


def _each(read: Callable[[Name], T], names: Sequence[Name]) -> Iterator[T]:
    """What is read of each name, in their order, several at once."""
    if len(names) < 2:
        yield from map(read, names)
        return
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(read, names)


def _begin(paths: Sequence[str]) -> str:
    """The folder that all paths share, with its slash; "" where they share none."""
    folders = {path.rpartition("/")[0] for path in paths}
    return f"{folders.pop()}/" if len(folders) == 1 else ""
