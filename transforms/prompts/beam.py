"""The Beam shell around prompts: a file of them read by one worker, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import apache_beam as beam

from transforms.privacy.forgotten import forgotten
from transforms.privacy.pseudonyms import KeySource
from transforms.prompts.filing import filed, frames
from transforms.tables.as_of import as_of
from transforms.tables.chunks import Chunk, split
from transforms.tables.runs import Written

COUNTS = "counts"


class FilePrompts(beam.DoFn):
    """Path of a file -> chunks of table `prompts`, and what became of its rows, under names that begin with its mark."""

    def __init__(self, warehouse: str, day: date, shards: int, back: int, key: KeySource | None, mark: str) -> None:
        self._warehouse, self._day, self._shards, self._back, self._key = warehouse, day, shards, back, key
        self._mark = mark

    def process(self, path: str) -> Iterator[Chunk | beam.pvalue.TaggedOutput]:
        """Read a file; ids of the date's prompts, and owners of those of the days before, are known."""
        past, names = as_of(self._warehouse, self._day), self._key.load() if self._key else None
        gone, owners, known = forgotten(past.warehouse), dict[str, str](), set[str]()
        for manifest in past.window("prompts", self._back + 1):
            pairs = past.warehouse.read_manifest(manifest, ["prompt_id", "listener_id"])
            owners |= dict(pairs.select("prompt_id", "listener_id").rows())
            known |= set(pairs["prompt_id"]) if manifest.date == self._day else set()
        for frame in frames(path):
            done = filed(frame, self._day, known, owners, names, gone)
            known |= set(done.rows["prompt_id"])
            owners |= dict(done.rows.select("prompt_id", "listener_id").rows())
            counts = {f"{self._mark} {name}": n for name, n in done.counts.items()}
            yield beam.pvalue.TaggedOutput(COUNTS, Written("prompts", self._day.isoformat(), None, counts))
            for shard, rows in split(done.rows, self._shards):
                yield Chunk(shard, {"prompts": rows})
