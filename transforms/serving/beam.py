"""The Beam shell of publishing by key: chunks with their changes, counts, and the step that moves the pointer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apache_beam as beam
import polars as pl

from transforms.serving.changes import changes
from transforms.serving.publication import Pointer, Publication
from transforms.serving.targets import Target
from transforms.tables.chunks import Chunk


def with_changes(chunk: Chunk, stamp: datetime, stands: bool) -> Chunk:
    """Shelves of the night and of groups together, and what of them changed since the publication before.

    Args:
        chunk: tables shelves, blend_shelves and shelf_changes.
        stamp: of the publication.
        stands: `shelf_changes` is this publication's own already.
    """
    rows = pl.concat([chunk["shelves"], chunk["blend_shelves"]], how="diagonal_relaxed")
    before = chunk["shelf_changes"]
    return Chunk(chunk.shard, {"shelves": rows, "shelf_changes": before if stands else changes(rows, before, stamp)})


def counted(chunk: Chunk) -> tuple[int, int]:
    """Listeners and rows of a chunk."""
    return chunk["shelves"]["listener_id"].n_unique(), chunk["shelves"].height


@dataclass
class Switch(beam.DoFn):
    """The graph's last step: the pointer is moved once every row is there and its changes are committed.

    Attributes:
        publication: but for its counts.
        shards: that its rows are split into.
        seen: the pointer at launch.
    """

    target: Target
    publication: Publication
    shards: int
    seen: Pointer | None
    keep_days: int

    def __post_init__(self) -> None:
        super().__init__()

    def process(
        self, _: int, counts: Sequence[tuple[int, int]], written: Sequence[Any], committed: Any
    ) -> Iterator[str]:
        """Move it; `committed` is waited for."""
        listeners, rows = (sum(one[n] for one in counts) for n in (0, 1))
        one = self.publication.model_copy(update={"listeners": listeners, "rows": rows})
        yield self.target.publish(one, self.shards, written, self.seen, self.keep_days).now.version
