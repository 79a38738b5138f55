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

import numpy as np
import polars as pl

from transforms.experiments.assignment import assign
from transforms.experiments.implied import long_rows, long_term
from transforms.experiments.metrics import moments, per_listener
from transforms.experiments.moments import Moments
from transforms.experiments.readout import as_rows, readout
from transforms.experiments.settings import Experiment, ExperimentsSettings, SurrogateSettings
from transforms.experiments.surrogate import Span, groups
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
        span: the days of its surrogate index; None = nothing is implied.
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
    span: Span | None = None

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

    def early(self, chunk: Chunk) -> Iterator[tuple[str, np.ndarray]]:
        """Experiment and group (a line each) with the sums that a surrogate index needs of the chunk's listeners."""
        if self.span is not None:
            feedback = chunk["feedback"] if self.feedback else None
            for group, found in groups(self.exposed(chunk), chunk["listens"], feedback, self.span, self.through):
                yield f"{self.one.name}\n{group}", found


def exposures_of(chunk: Chunk, readings: Sequence[Reading]) -> Chunk:
    """A chunk of table `exposures`, of all experiments that are read."""
    found = pl.concat([reading.exposed(chunk) for reading in readings])
    return Chunk(chunk.shard, {"exposures": found.sort("listener_id", "experiment")})


def sums_of(chunk: Chunk, readings: Sequence[Reading]) -> Iterator[tuple[str, Moments]]:
    """What `Reading.sums` says of each experiment."""
    for reading in readings:
        yield from reading.sums(chunk)


def early_of(chunk: Chunk, readings: Sequence[Reading]) -> Iterator[tuple[str, np.ndarray]]:
    """What `Reading.early` says of each experiment."""
    for reading in readings:
        yield from reading.early(chunk)


def readouts_of(
    sums: list[tuple[str, Moments]],
    experiments: Sequence[Experiment],
    early: Sequence[tuple[str, np.ndarray]] = (),
    settings: SurrogateSettings | None = None,
) -> Chunk:
    """One chunk of table `readouts`, from the sums of all chunks; an experiment that reached nobody has no rows."""
    by: dict[str, dict[tuple[str, str], Moments]] = {}
    for key, found in sums:
        name, arm, metric = key.split("\n")
        by.setdefault(name, {})[arm, metric] = found
    groups_of: dict[str, dict[str, np.ndarray]] = {}
    for key, products in early:
        name, group = key.split("\n")
        groups_of.setdefault(name, {})[group] = products
    read = {one.name: readout(one, by[one.name]) for one in experiments if one.name in by}
    implied = long_term([(one, groups_of.get(one.name, {})) for one in experiments if one.name in read], settings)
    rows = [row for name, found in read.items() for row in (*as_rows(found), *long_rows(found, implied.get(name, ())))]
    return Chunk(0, {"readouts": pl.DataFrame(rows, schema=TABLES["readouts"].polars)})
