"""Who was exposed to which experiment, and when: the first impression of a shelf of ours since it started.

Arms are known without any log (`assignment`), but a listener whom no shelf reached cannot have been moved by one: they add
noise to a readout and nothing else. Every arm shows the same shelves on the same surfaces, so who looks at them first is no
effect of the arm. Without impressions in the log everyone dealt to an arm counts, from the first day after the first night.

    impressions, listeners  ->  exposed (listener_id, experiment, arm, first_exposed_on)  ->  per_listener  ->  moments
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
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

    def sums(self, chunk: Chunk) -> Iterator[tuple[str, Moments]]:
        """Experiment, arm and metric (a line each) with their sums over the chunk's exposed listeners."""
        exposed = self.exposed(chunk)
        feedback = chunk["feedback"] if self.feedback else None
        values = per_listener(exposed, chunk["listens"], feedback, self.through, self.before)
        for (_, arm, metric), found in moments(values).items():
            yield f"{self.one.name}\n{arm}\n{metric}", found


def exposures_of(chunk: Chunk, readings: Sequence[Reading]) -> Chunk:
    """A chunk of table `exposures`, of all experiments that are read."""
    found = pl.concat([reading.exposed(chunk) for reading in readings])
    return Chunk(chunk.shard, {"exposures": found.sort("listener_id", "experiment")})


def sums_of(chunk: Chunk, readings: Sequence[Reading]) -> Iterator[tuple[str, Moments]]:
    """What `Reading.sums` says of each experiment."""
    for reading in readings:
        yield from reading.sums(chunk)


def versions(past: AsOf, one: Experiment) -> tuple[str, ...]:
    """Versions of the shelves of the nights that dealt an experiment's arms."""
    last = min(past.day, one.ends or past.day)
    return tuple(m.version for m in past.between("shelves", one.starts, last))


def readouts_of(sums: list[tuple[str, Moments]], experiments: Sequence[Experiment]) -> Chunk:
    """One chunk of table `readouts`, from the sums of all chunks; an experiment that reached nobody has no rows."""
    by: dict[str, dict[tuple[str, str], Moments]] = {}
    for key, found in sums:
        name, arm, metric = key.split("\n")
        by.setdefault(name, {})[arm, metric] = found
    rows = [row for one in experiments if one.name in by for row in as_rows(readout(one, by[one.name]))]
    return Chunk(0, {"readouts": pl.DataFrame(rows, schema=TABLES["readouts"].polars)})
