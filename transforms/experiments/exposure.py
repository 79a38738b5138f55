"""Who was exposed to which experiment, and when: the first impression of a shelf of ours since it started.

Arms are known without any log (`assignment`), but a listener whom no shelf reached cannot have been moved by one: they add
noise to a readout and nothing else. Every arm shows the same shelves on the same surfaces, so who looks at them first is no
effect of the arm. Without impressions in the log everyone dealt to an arm counts, from the first day after the first night.

    impressions, listeners  ->  exposed (listener_id, experiment, arm, first_exposed_on)  ->  per_listener  ->  moments
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from transforms.experiments.assignment import assign
from transforms.experiments.metrics import moments, per_listener
from transforms.experiments.moments import Moments
from transforms.experiments.readout import as_rows, readout
from transforms.experiments.settings import Experiment, ExperimentsSettings
from transforms.tables.as_of import AsOf
from transforms.tables.chunks import Chunk
from transforms.tables.schema import TABLES

COLUMNS = {
    "listens": ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed", "shelf_id"),
    "impressions": ("listener_id", "version", "shown_at"),
    "feedback": ("listener_id", "kind", "target", "at"),
    "listeners": ("listener_id",),
}


@dataclass(frozen=True)
class Reading:
    """What a worker needs to read an experiment. Picklable.

    Attributes:
        versions: of the nights' shelves that may count as exposure; empty: the log has no impressions.
        through: the last day that counts.
        before: days before the exposure that make the covariate.
    """

    one: Experiment
    settings: ExperimentsSettings
    versions: Collection[str]
    through: date
    before: int
    feedback: bool

    def exposed(self, chunk: Chunk) -> pl.DataFrame:
        """Rows of table `exposures` of a chunk's listeners."""
        first_day = self.one.starts + timedelta(days=1)
        if self.versions:
            shown = chunk["impressions"].filter(
                pl.col("version").is_null() | pl.col("version").is_in(list(self.versions)),
                pl.col("shown_at").dt.date().is_between(first_day, self.through),
            )
            first = shown.group_by("listener_id").agg(first_exposed_on=pl.col("shown_at").min().dt.date())
        else:
            every = [chunk[t].select("listener_id") for t in ("listeners", "listens") if t in chunk.tables]
            first = pl.concat(every).unique().with_columns(first_exposed_on=pl.lit(first_day))
        dealt = assign(first["listener_id"].sort(), self.settings, self.one.starts).filter(experiment=self.one.name)
        return dealt.join(first, on="listener_id").sort("listener_id")

    def exposures(self, chunk: Chunk) -> Chunk:
        """A chunk of table `exposures`."""
        return Chunk(chunk.shard, {"exposures": self.exposed(chunk)})

    def sums(self, chunk: Chunk) -> Iterator[tuple[str, Moments]]:
        """Arm and metric (a line each) with their sums over the chunk's exposed listeners."""
        exposed = self.exposed(chunk)
        feedback = chunk["feedback"] if self.feedback else None
        values = per_listener(exposed, chunk["listens"], feedback, self.through, self.before)
        for (_, arm, metric), found in moments(values).items():
            yield f"{arm}\n{metric}", found


def versions(past: AsOf, one: Experiment) -> tuple[str, ...]:
    """Versions of the shelves of the nights that dealt an experiment's arms."""
    last = min(past.day, one.ends or past.day)
    return tuple(m.version for m in past.between("shelves", one.starts, last))


def readouts_of(sums: list[tuple[str, Moments]], one: Experiment) -> Chunk:
    """One chunk of table `readouts`, from the sums of all chunks."""
    by = {(key.split("\n")[0], key.split("\n")[1]): found for key, found in sums}
    return Chunk(0, {"readouts": pl.DataFrame(as_rows(readout(one, by)), schema=TABLES["readouts"].polars)})
