"""The thin Beam shell of outcomes: chunks of nights and of what was logged since -> chunks of table `outcomes`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import apache_beam as beam

from transforms.outcomes.join import Known
from transforms.outcomes.nights import join_nights, recordings
from transforms.tables.chunks import Chunk
from transforms.tables.manifest import Manifest


class JoinNights(beam.DoFn):
    """Joins each chunk's nights with what its listeners did since; see `join_nights` for the arguments."""

    def __init__(
        self, warehouse: str, catalog: Manifest | None, nights: Mapping[int, date], known: Known, feedback: bool
    ) -> None:
        self._warehouse, self._catalog, self._nights = warehouse, catalog, dict(nights)
        self._known, self._feedback = known, feedback

    def setup(self) -> None:
        self._recordings = recordings(self._warehouse, self._catalog)

    def process(self, chunk: Chunk) -> Iterator[Chunk]:
        found = join_nights(chunk, self._nights, self._recordings, self._known, self._feedback)
        yield Chunk(chunk.shard, {"outcomes": found})
