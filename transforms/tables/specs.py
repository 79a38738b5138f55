"""What a graph carries of the files to read: names of runs, however many files these have.

    listens = Manifests.of(warehouse, past.window("listens", 90))         # 90 dates x 4,096 files
    work = specs(warehouse, 4096, {"listens": listens})
    len(pickle.dumps(work))                                               # some kilobytes

The launcher looks at what it has read already; a worker, which gets a pickled copy, reads the manifests again when it first
looks at them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import cached_property
from typing import Any, overload

from transforms.common.errors import UserError
from transforms.tables.chunks import Part, Spec, check_shards
from transforms.tables.manifest import Manifest
from transforms.tables.runs import RUN_MANIFEST
from transforms.tables.warehouse import Warehouse, folder

Name = tuple[str, date, str]  # table, date, run id
READERS = 16


class Manifests(Sequence[Manifest]):
    """Some manifests of one warehouse, in a given order; pickled by name."""

    def __init__(self, url: str, names: Sequence[Name], read: Sequence[Manifest] | None = None) -> None:
        self._url, self._names = url, tuple(names)
        if read is not None:
            self.__dict__["_read"] = tuple(read)  # instead of reading them when first asked

    @classmethod
    def of(cls, warehouse: Warehouse, read: Sequence[Manifest]) -> Manifests:
        """Of manifests that were read before."""
        return cls(warehouse.url, [(m.table, m.date, m.run_id) for m in read], read)

    @cached_property
    def _read(self) -> tuple[Manifest, ...]:
        warehouse = Warehouse(self._url)
        if len(self._names) < 2:
            return tuple(_manifest(warehouse, *name) for name in self._names)
        with ThreadPoolExecutor(READERS) as pool:
            return tuple(pool.map(lambda name: _manifest(warehouse, *name), self._names))

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, at: int) -> Manifest: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Manifest]: ...
    def __getitem__(self, at: int | slice) -> Manifest | Sequence[Manifest]:
        return self._read[at]

    def __reduce__(self) -> tuple[Any, ...]:
        return Manifests, (self._url, self._names)


class Specs(Sequence[Spec]):
    """One spec a shard: file f of M holds shard s of N iff they agree mod min(M, N)."""

    def __init__(self, url: str, shards: int, tables: Mapping[str, Sequence[Manifest]]) -> None:
        self._url, self._shards, self._tables = url, check_shards(shards), dict(tables)

    def __len__(self) -> int:
        return self._shards

    @overload
    def __getitem__(self, at: int) -> Spec: ...
    @overload
    def __getitem__(self, at: slice) -> list[Spec]: ...
    def __getitem__(self, at: int | slice) -> Spec | list[Spec]:
        return self._every[at]

    def __iter__(self) -> Iterator[Spec]:
        return iter(self._every)

    @cached_property
    def _every(self) -> list[Spec]:
        parts: list[dict[str, list[Part]]] = [{t: [] for t in self._tables} for _ in range(self._shards)]
        for table, manifest in ((t, m) for t, manifests in self._tables.items() for m in manifests):
            step = min(manifest.shards, self._shards)
            for file in manifest.files:
                if file.rows:
                    part = Part(file.path, file.shard, manifest.shards, manifest.date)
                    for shard in range(file.shard % step, self._shards, step):
                        parts[shard][table].append(part)
        return [Spec(self._url, s, self._shards, {t: tuple(p) for t, p in one.items()}) for s, one in enumerate(parts)]

    def __reduce__(self) -> tuple[Any, ...]:
        return Specs, (self._url, self._shards, self._tables)


def specs(warehouse: Warehouse, shards: int, tables: Mapping[str, Sequence[Manifest]]) -> Specs:
    """One spec a shard, of all files that some manifests name.

    Raises:
        UserError: the number of shards is no power of two.
    """
    return Specs(warehouse.url, shards, {table: Manifests.of(warehouse, found) for table, found in tables.items()})


def _manifest(warehouse: Warehouse, table: str, day: date, run_id: str) -> Manifest:
    """What stands as this run: the current manifest, or the one in the run's own folder if another has replaced it since."""
    manifest = warehouse.current(table, day)
    if manifest is not None and manifest.run_id == run_id:
        return manifest
    try:
        return Manifest.from_json(warehouse.store.read(f"{folder(table, day)}/run={run_id}/{RUN_MANIFEST}"))
    except FileNotFoundError as error:
        raise UserError(
            f"{table} of {day} was replaced and its run deleted while a job was reading it; run the same command again"
        ) from error
