"""What is read to bring discoveries up to a date, and the fold of a chunk.

Where a table of discoveries stands before the date, only the days since are read, with the library of that table's date for what
had been heard by then. Else they are made from the last `look_back_days` of the log; what was heard before these days is not
known, so first plays of the first `warm_up_days` are not taken for discoveries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import apache_beam as beam
import polars as pl

from transforms.common.errors import UserError
from transforms.outcomes.believing import horizon
from transforms.outcomes.discoveries import fold
from transforms.outcomes.nights import recordings
from transforms.outcomes.rewards import RewardSettings
from transforms.tables.as_of import AsOf
from transforms.tables.chunks import Chunk
from transforms.tables.manifest import Heading


@dataclass(frozen=True)
class DiscoveryPlan:
    """What to fold.

    Attributes:
        first: the first day whose first plays count as discoveries; last: the date.
        days: of the long-term reward, fewer than declared where the log is young.
        keep_days: days back to which discoveries are kept.
        tables: listens of the days, library and discoveries before them.
    """

    first: date
    last: date
    days: int
    keep_days: int
    tables: dict[str, Sequence[Heading]]


def plan_discoveries(past: AsOf, settings: RewardSettings) -> DiscoveryPlan:
    """What to read for the discoveries of the view's date.

    Raises:
        UserError: there are no listens up to it.
    """
    logged = past.dates("listens")
    if not logged:
        raise UserError(f"no listens up to {past.day}; bring a log in with `nightshelf ingest`")
    start = max(logged[0], past.day - timedelta(settings.look_back_days - 1))
    counted = start + timedelta(settings.warm_up_days)
    before = past.newest("discoveries", before=past.day)
    if before is not None and before.date >= start and past.current("library", before.date) is not None:
        first, since, heard, earlier = (
            before.date + timedelta(1),
            before.date + timedelta(1),
            past.library(before.date),
            [before],
        )
    else:
        first, since, heard, earlier = counted, start, [], []
    tables: dict[str, Sequence[Heading]] = {
        "listens": past.between("listens", since),
        "library": heard,
        "discoveries": earlier,
    }
    days = horizon(settings, min(counted, past.day), past.day)
    return DiscoveryPlan(first, past.day, days, settings.look_back_days, tables)


class FoldDiscoveries(beam.DoFn):
    """Each chunk's table `discoveries` as of the plan's last day."""

    def __init__(self, warehouse: str, catalog: Heading | None, plan: DiscoveryPlan) -> None:
        self._warehouse, self._catalog, self._plan = warehouse, catalog, plan

    def setup(self) -> None:
        self._recordings = recordings(self._warehouse, self._catalog)

    def process(self, chunk: Chunk) -> Iterator[Chunk]:
        plan = self._plan
        heard = chunk["library"].filter(pl.col("heard") > 0).select("listener_id", "track_id")
        found = fold(
            chunk["listens"], self._recordings, heard, chunk["discoveries"], plan.first, plan.last, plan.keep_days
        )
        yield Chunk(chunk.shard, {"discoveries": found})
