"""The job `outcomes`: what became of every stored night whose horizon closes on a date.

candidates, shelves of the nights + listens, impressions, feedback since -> outcomes/date=D
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import apache_beam as beam
import polars as pl

from pipelines.features import library_parts
from pipelines.runtime.catalog import newest_or_first
from pipelines.runtime.jobs import launch
from transforms.common.errors import UserError
from transforms.outcomes.join import Known, join_outcomes, with_recording
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk, specs
from transforms.tables.manifest import Manifest
from transforms.tables.runs import plan
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse, days

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "1"
COLUMNS = {
    "candidates": ("listener_id", "track_id", "heard_before", "stage", "inclusion", "ranker_rank"),
    "shelves": ("listener_id", "shelf_id", "version", "home_position", "items", "spares"),
    "listens": ("listener_id", "track_id", "started_at", "ms_played", "skipped", "completed", "shelf_id"),
    "library": ("listener_id", "track_id", "heard", "saved"),
}


def outcomes(
    warehouse: str,
    day: date,
    *,
    settings: Settings,
    horizons: Sequence[int] | None = None,
    beam_args: Sequence[str] = (),
) -> None:
    """Join the nights `day - h` with what was listened to since, for each horizon h whose night is stored.

    Args:
        horizons: days; default: those of the settings.

    Raises:
        UserError: no stored night closes on that date.
    """
    place = Warehouse(warehouse)
    nights = {h: day - timedelta(h) for h in sorted(set(horizons or settings.outcomes.horizons))}
    nights = {h: night for h, night in nights.items() if place.current("candidates", night)}
    if not nights:
        raise UserError(f"no stored night closes on {day}; run a night some days before it, or choose a later date")
    tables = inputs(place, day, nights)
    catalog = newest_or_first(place, "tracks", day)
    run = plan(
        place,
        "outcomes",
        day,
        shards=settings.shards,
        inputs=inputs_of(catalog, *(m for manifests in tables.values() for m in manifests)),
        settings={"horizons": sorted(nights)},
        step_version=STEP,
    )
    if run is None:
        return
    known = what_log_knows(place, tables["listens"])
    work = specs(place, settings.shards, tables)
    columns = {t: c for t, c in COLUMNS.items() if t in tables}

    def define(root: beam.Pipeline) -> None:
        written = (
            root
            | "Nights" >> ReadChunks(work, columns, dated=("candidates", "shelves", "library"))
            | "Join"
            >> beam.ParDo(_Join(warehouse, catalog, nights, known, "feedback" in tables)).with_output_types(Chunk)
            | "Outcomes" >> WriteChunks([run])
        )
        _ = root | "Done" >> Commit([run], written)

    launch("outcomes", place, define, beam_args, [run])


def inputs(place: Warehouse, day: date, nights: Mapping[int, date]) -> dict[str, list[Manifest]]:
    """The manifests to read: the nights' own tables, and what was logged in the days after the earliest of them.

    `feedback` is there only if the log has any; without it, whether a track was saved cannot be known.
    """
    own = sorted(set(nights.values()))
    since = days(own[0] + timedelta(1), day)
    # a base is compacted from what came before it, so each night reads its own
    libraries = {m.run_id: m for n in own if place.current("library", n) for m in library_parts(place, n)}
    found: dict[str, list[Manifest]] = {
        "candidates": [place.need("candidates", n) for n in own],
        "shelves": [m for n in own if (m := place.current("shelves", n))],
        "library": list(libraries.values()),
        **{t: [m for d in since if (m := place.current(t, d))] for t in ("listens", "impressions")},
    }
    if place.dates("feedback"):
        found["feedback"] = [m for d in since if (m := place.current("feedback", d))]
    return found


def what_log_knows(place: Warehouse, listens: Sequence[Manifest]) -> Known:
    """Whether any play says that it was completed or skipped, from the files' statistics alone."""
    said = dict.fromkeys(("completed", "skipped"), False)
    for entry in (f for m in listens for f in m.files if f.rows):
        meta = place.open_parquet(entry.path).metadata
        where = {meta.schema.column(i).path: i for i in range(meta.num_columns)}
        for name in said:
            for group in range(meta.num_row_groups):
                part = meta.row_group(group)
                stats = part.column(where[name]).statistics
                said[name] |= stats is None or stats.null_count < part.num_rows
        if all(said.values()):
            break
    return Known(**said)


class _Join(beam.DoFn):
    def __init__(
        self, warehouse: str, catalog: Manifest | None, nights: Mapping[int, date], known: Known, feedback: bool
    ) -> None:
        self._warehouse, self._catalog, self._nights = warehouse, catalog, dict(nights)
        self._known, self._feedback = known, feedback

    def setup(self) -> None:
        self._recordings = recordings(self._warehouse, self._catalog)

    def process(self, chunk: Chunk) -> Iterator[Chunk]:
        library = chunk["library"].filter((pl.col("heard") > 0) | pl.col("saved"))
        library = with_recording(library, self._recordings)
        shelved = set(chunk["shelves"]["date"].drop_nulls())
        frames = [
            join_outcomes(
                night,
                horizon,
                chunk["candidates"].filter(pl.col("date") == night),
                chunk["listens"],
                self._recordings,
                shelves=chunk["shelves"].filter(pl.col("date") == night) if night in shelved else None,
                impressions=chunk["impressions"],
                feedback=chunk["feedback"] if self._feedback else None,
                heard=library.filter(pl.col("date") <= night),
                known=self._known,
            )
            for horizon, night in self._nights.items()
        ]
        yield Chunk(chunk.shard, {"outcomes": pl.concat(frames)})


def recordings(warehouse: str, catalog: Manifest | None) -> pl.DataFrame:
    """track_id, recording_id of a catalog; none where there is no catalog, so that every track stands for itself."""
    names = ["track_id", "recording_id"]
    if catalog is None:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    return Warehouse(warehouse).read_manifest(catalog, names)
