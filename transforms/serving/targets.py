"""Where publications go, told apart by how their names begin: `jsonl:FOLDER` or `bigtable:PROJECT/INSTANCE/TABLE`.

A target is made ready, is written to by a graph, and then has its pointer moved; each is small and picklable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import apache_beam as beam

from transforms.common.errors import UserError
from transforms.privacy.forgotten import Forgotten
from transforms.serving import bigtable
from transforms.serving.jsonl import LineFile, Lines
from transforms.serving.lines import lines, values
from transforms.serving.publication import Pointer, Publication
from transforms.tables.chunks import Chunk

KINDS = ("jsonl:FOLDER", "bigtable:PROJECT/INSTANCE/TABLE")


class Target(Protocol):
    """What an export needs of a place that apps read."""

    def prepare(self, keep_days: int) -> Pointer | None:
        """Make it ready to be written to; the pointer as it stands."""

    def write(self, chunks: beam.PCollection, stamp: datetime, shards: int) -> beam.PCollection:
        """Write chunks with shelves and their changes; the result is there once everything is."""

    def publish(
        self, one: Publication, shards: int, written: Sequence[Any], seen: Pointer | None, keep_days: int
    ) -> Pointer:
        """Move the pointer; `written` is what `write` gave. Raises LostRace."""

    def roll_back(self) -> Pointer:
        """Move it back. Raises UserError, LostRace."""

    def forget(self, listeners: Sequence[str], gone: Forgotten) -> int:
        """Take listeners out of every publication."""


def target_of(name: str) -> Target:
    """The target of a name.

    Raises:
        UserError: no kind of target is called so.
    """
    kind, _, rest = name.partition(":")
    if kind == "jsonl" and rest:
        return JsonLines(rest)
    if kind == "bigtable":
        return Bigtable(bigtable.Place.of(name))
    raise UserError(f"--to: expected {' or '.join(KINDS)}, found {name!r}")


@dataclass(frozen=True)
class JsonLines:
    """A folder or bucket of files of lines."""

    url: str

    def prepare(self, keep_days: int) -> Pointer | None:
        """Nothing is needed."""
        return Lines(self.url).pointer()[0]

    def write(self, chunks: beam.PCollection, stamp: datetime, shards: int) -> beam.PCollection:
        """A file a chunk."""
        return chunks | "Lines" >> beam.FlatMap(_file, self.url, stamp, shards).with_output_types(str)

    def publish(
        self, one: Publication, shards: int, written: Sequence[Any], seen: Pointer | None, keep_days: int
    ) -> Pointer:
        """See `jsonl`."""
        files = [LineFile.model_validate_json(file) for file in written]
        return Lines(self.url).publish(one, shards, files, seen, keep_days)

    def roll_back(self) -> Pointer:
        """See `jsonl`."""
        return Lines(self.url).roll_back()

    def forget(self, listeners: Sequence[str], gone: Forgotten) -> int:
        """See `jsonl`."""
        return Lines(self.url).forget(listeners, gone)


def _file(chunk: Chunk, url: str, stamp: datetime, shards: int) -> Iterator[str]:
    texts = lines(chunk["shelves"], chunk["shelf_changes"], stamp)["line"].to_list()
    if texts:
        yield Lines(url).write(stamp, chunk.shard, shards, texts).model_dump_json()


@dataclass(frozen=True)
class Bigtable:
    """A table of Bigtable, written through Beam's own sink."""

    place: bigtable.Place

    def prepare(self, keep_days: int) -> Pointer | None:
        """Make the table and its families where they are missing."""
        self.place.prepare(keep_days)
        return bigtable.pointer_of(self.place.open())

    def write(self, chunks: beam.PCollection, stamp: datetime, shards: int) -> beam.PCollection:
        """A row a listener, surface and shelf."""
        from apache_beam.io.gcp.bigtableio import WriteToBigTable

        sink = WriteToBigTable(self.place.project, self.place.instance, self.place.table)
        return chunks | "Rows" >> beam.FlatMap(_rows, stamp) | "Bigtable" >> sink

    def publish(
        self, one: Publication, shards: int, written: Sequence[Any], seen: Pointer | None, keep_days: int
    ) -> Pointer:
        """See `bigtable`; cells expire by the table's own rule."""
        return bigtable.publish(self.place.open(), one, seen)

    def roll_back(self) -> Pointer:
        """See `bigtable`."""
        return bigtable.roll_back(self.place.open())

    def forget(self, listeners: Sequence[str], gone: Forgotten) -> int:
        """See `bigtable`."""
        return bigtable.forget(self.place.open(admin=True), listeners, gone)


def _rows(chunk: Chunk, stamp: datetime) -> Iterator[Any]:
    yield from bigtable.direct_rows(values(chunk["shelves"], chunk["shelf_changes"]), stamp)
