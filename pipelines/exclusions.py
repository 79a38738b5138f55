"""The job `exclusions`: the plays that feedback has taken out of a listener's taste, as of a night.

listens, sessions, feedback -> exclusions/date=D: what is known to be out since the table before

Of the days since then, all listeners with an act of exclusion are looked at; of the days before, only those who made one
since, and of their files only the row groups that hold them. Where nobody excludes anything there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import apache_beam as beam
import polars as pl

from pipelines.runtime.jobs import launch
from transforms.listening.exclusions import KIND, acts, covered, union
from transforms.listening.library import LISTEN_COLUMNS
from transforms.tables.beam import Commit, WriteChunks
from transforms.tables.chunks import Chunk, Spec, shard_of, specs
from transforms.tables.manifest import Manifest
from transforms.tables.row_groups import groups_holding
from transforms.tables.runs import plan
from transforms.tables.schema import TABLES
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse, days

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "1"
COLUMNS = {
    "feedback": ("listener_id", "kind", "target"),
    "listens": (*LISTEN_COLUMNS, "device_id"),
    "sessions": ("listener_id", "session_id", "tracks"),
}


def exclusions(warehouse: str, day: date, *, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """Note the plays that acts of exclusion up to `day` cover, as far as no earlier table holds them.

    Raises:
        UserError: a table is pinned or was committed by another run meanwhile.
    """
    place = Warehouse(warehouse)
    before = place.newest("exclusions", day - timedelta(1))
    told = [m for d in place.dates("feedback") if d <= day and (m := place.current("feedback", d))]
    fresh = [m for m in told if (before is None or m.date > before.date) and _has_acts(place, m)]
    if before is None and not fresh:
        return
    reach = settings.library.exclusion_days
    since = before.date + timedelta(1) if before else fresh[0].date
    read = days(since - timedelta(reach if fresh else 0), day)
    tables = {"feedback": told}
    for table in ("listens", "sessions"):
        there = set(place.dates(table))
        tables[table] = [m for d in read if d in there and (m := place.current(table, d))]
    run = plan(
        place,
        "exclusions",
        day,
        shards=settings.shards,
        inputs=inputs_of(*(m for found in tables.values() for m in found)),
        settings={"exclusion_days": reach, "since": since.isoformat()},
        step_version=STEP,
    )
    if run is None:
        return
    work = specs(place, settings.shards, tables)

    def define(root: beam.Pipeline) -> None:
        written = (
            root
            | "Shards" >> beam.Create(work, reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Cover" >> beam.ParDo(_Cover(since, reach)).with_output_types(Chunk)
            | "Exclusions" >> WriteChunks([run])
        )
        _ = root | "Done" >> Commit([run], written)

    launch("exclusions", place, define, beam_args, [run])


def exclusions_as_of(place: Warehouse, day: date) -> list[Manifest]:
    """Manifests of table `exclusions` up to a date: together the plays that are out of taste as of its end."""
    return [m for d in place.dates("exclusions") if d <= day and (m := place.current("exclusions", d))]


def _has_acts(place: Warehouse, manifest: Manifest) -> bool:
    return any((frame["kind"] == KIND).any() for frame in place.read_files(manifest.files, ("kind",)))


class _Cover(beam.DoFn):
    """A shard's files -> its plays that are out; the tables are far larger than what is needed of them."""

    def __init__(self, since: date, reach: int) -> None:
        self._since, self._reach = since, timedelta(reach)

    def process(self, spec: Spec) -> Iterator[Chunk]:
        place, since = Warehouse(spec.warehouse), self._since
        told = self._acts(place, spec)
        every, fresh = acts(told), acts(told.filter(pl.col("date") >= since))
        found = []
        for table in ("listens", "sessions"):
            # a file at a time: an act may reach back over hundreds of them
            for part in spec.parts[table]:
                excluded = every if part.day >= since else fresh
                excluded = excluded.filter(pl.col("date") <= part.day + self._reach)
                rows = _rows(place, part.path, table, excluded["listener_id"].unique().sort())
                if rows is not None:
                    pair = (rows, _none("sessions")) if table == "listens" else (_none("listens"), rows)
                    found.append(covered(*pair, excluded))
        out = union(found)
        if out.height:
            yield Chunk(spec.shard, {"exclusions": out})

    def _acts(self, place: Warehouse, spec: Spec) -> pl.DataFrame:
        """Acts of exclusion of the shard's listeners, dated."""
        frames = [_none("feedback").with_columns(date=pl.lit(None, dtype=pl.Date))]
        for part in spec.parts["feedback"]:
            rows = pl.DataFrame(pl.from_arrow(place.open_parquet(part.path).read(columns=list(COLUMNS["feedback"]))))
            frames.append(rows.filter(pl.col("kind") == KIND).with_columns(date=pl.lit(part.day)))
        rows = pl.concat(frames)
        return rows.filter(pl.Series(shard_of(rows["listener_id"], spec.shards) == spec.shard)) if rows.height else rows


def _none(table: str) -> pl.DataFrame:
    return TABLES[table].empty().select(COLUMNS[table])


def _rows(place: Warehouse, path: str, table: str, listeners: pl.Series) -> pl.DataFrame | None:
    """Rows of these (sorted) listeners; row groups without any of them are passed over."""
    if not listeners.len():
        return None
    file = place.open_parquet(path)
    groups = groups_holding(file.metadata, listeners)
    if not groups:
        return None
    rows = pl.DataFrame(pl.from_arrow(file.read_row_groups(groups, columns=list(COLUMNS[table]))))
    return rows.filter(pl.col("listener_id").is_in(listeners.implode()))
