"""Outcomes as a step over shards: chunks of nights and of what was logged since -> rows of table `outcomes`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from transforms.outcomes.join import Known
from transforms.outcomes.looks import counts
from transforms.outcomes.nights import join_nights, looks_of, new_listens, recordings
from transforms.tables.chunks import Chunk
from transforms.tables.manifest import Heading
from transforms.tables.shard_work import Made


@dataclass(frozen=True)
class JoinNights:
    """Joins each chunk's nights with what its listeners did since; see `join_nights` for what it is told. Picklable.

    Attributes:
        looks_at: the horizon by which looks are told; None = they are not.
        visible: shelves on a screen at once; None = whatever was displayed was looked at.
    """

    warehouse: str
    catalog: Heading | None
    nights: Mapping[int, date]
    known: Known
    feedback: bool
    looks_at: int | None = None
    visible: int | None = 3

    def load(self, known: Sequence[Any] = ()) -> Callable[[Chunk], Iterator[Made]]:
        """The catalog's recordings in memory; beside rows it tells how many new candidates were listened to, and looks."""
        recordings_of = recordings(self.warehouse, self.catalog)

        def joined(chunk: Chunk) -> Iterator[Made]:
            found = join_nights(chunk, self.nights, recordings_of, self.known, self.feedback)
            looked = looks_of(chunk, self.nights, self.looks_at, self.visible)
            yield Chunk(chunk.shard, {"outcomes": found, "looks": looked})
            yield json.dumps({"outcomes": new_listens(found), "looks": counts(looked)}).encode()

        return joined
