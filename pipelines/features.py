"""Job `features`: fold any range of dates into sessions, library, track statistics and co-listens.

listens, open sessions, library, feedback, listeners of a shard -> fold -> sessions, library by date
                                                                        -> partials by track -> sum -> by date
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import polars as pl

from pipelines.runtime.catalog import newest_or_first
from pipelines.runtime.jobs import Record, described_only, launch
from transforms.common.errors import UserError
from transforms.listening import co_listens, track_stats
from transforms.listening.fold import COLUMNS, OUTPUTS, Fold, LibraryCut, fold
from transforms.listening.library_keys import known_pairs
from transforms.tables.beam import Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk, Part, Spec, specs, split
from transforms.tables.manifest import Manifest
from transforms.tables.repair import to_fold_again
from transforms.tables.runs import RUN_MANIFEST, Run, plan, with_extra
from transforms.tables.schema import TABLES
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse, days, folder

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "1"
ADD = {"track_stats": track_stats.add, "co_listens": co_listens.add}
BLOCK_DAYS = 7


def features(
    warehouse: str,
    date_from: date,
    date_to: date,
    settings: Settings | None = None,
    beam_args: Sequence[str] = (),
    *,
    outputs: Collection[str] = OUTPUTS,
) -> Record | None:
    """Fold dates, in one job; nothing is done where everything is current.

    What `repair` marked, and the fold would build on, is folded again before: a job for each library, with the catalog
    of its date, so that the version is the one it was. A range that ends with such a date is done with that.

    The library is a running sum, so the fold begins right after the newest library before `date_from`, even if that is
    earlier: no date in between may be missing from it. One library is written, at `date_to` (and again at each earlier
    date of the range that has one already).

    Args:
        outputs: which of OUTPUTS to make.

    Returns:
        What the job took; None where there was nothing to do.

    Raises:
        UserError: no listens up to `date_to`, or a table is pinned or was committed by another run meanwhile.
    """
    if settings is None:
        from pipelines.runtime.config import Settings as Defaults

        settings = Defaults()
    place = Warehouse(warehouse)
    again = to_fold_again(place, date_from, date_to)
    if described_only(beam_args) and again not in (
        [],
        [date_to],
    ):  # a graph that is only written cannot wait for another
        raise UserError(
            f"the fold up to {date_to} builds on what is marked to be made again; fold {again[0]} first (template "
            f"`features` with from_date and date {again[0]}), or all with `nightshelf features --from {again[0]} --to {date_to}`"
        )
    record = None
    for day in again:
        record = _fold(place, day, day, settings, beam_args, OUTPUTS) or record
    return record if date_to in again else _fold(place, date_from, date_to, settings, beam_args, outputs)


def _fold(
    place: Warehouse,
    date_from: date,
    date_to: date,
    settings: Settings,
    beam_args: Sequence[str],
    outputs: Collection[str],
) -> Record | None:
    """Fold dates in one job, onto what stands before them."""
    before, first = _begin(place, date_from, date_to)
    found = _inputs(place, before, first, date_to)
    cuts = _cuts(place, before, first, date_to, settings.library.max_deltas)
    runs = _plan(place, found, cuts, days(first, date_to), settings, outputs=outputs)
    if not runs:
        return None
    made = frozenset(r.table for r in runs)
    work = Fold(
        date_to,
        cuts if "library" in made else (),
        made,
        settings.sessions,
        settings.co_listens,
        settings.track_stats.plays_per_day,
        settings.library.max_pairs,
    )
    tracks = found.pop("tracks")
    library = found["library"]
    todo = specs(place, settings.shards, {**found, "library": library if work.compacts else []})
    asked = [] if work.compacts else [s.parts["library"] for s in specs(place, settings.shards, {"library": library})]
    return launch("features", place, lambda root: define(root, todo, asked, work, runs, tracks=tracks), beam_args, runs)


def define(
    root: beam.Pipeline,
    todo: Sequence[Spec],
    asked: Sequence[Sequence[Part]],
    work: Fold,
    runs: Sequence[Run],
    *,
    tracks: Sequence[Manifest],
) -> None:
    """Add the job's steps to a pipeline; `asked` names, by shard, the library files to look pairs up in."""
    by_listener, by_track = ([r for r in runs if (r.table in ADD) == side] for side in (False, True))
    shards = runs[0].shards
    folded = (
        root
        | "Chunks" >> ReadChunks(todo, columns=COLUMNS, dated=("listens", "feedback"))
        | "Fold" >> beam.ParDo(_Fold(work, runs[0].warehouse, tracks, asked)).with_output_types(Chunk)
    )
    summed = (
        folded
        | "Partials" >> beam.ParDo(_Partials(shards)).with_output_types(tuple[int, Chunk])
        | "By track" >> beam.GroupByKey()
        | "Sum" >> beam.ParDo(_Sum(shards)).with_output_types(Chunk)
    )
    written = (
        folded | "Write by listener" >> WriteChunks(by_listener),
        summed | "Write by track" >> WriteChunks(by_track),
    ) | "Written" >> beam.Flatten()
    root | "Done" >> Commit(runs, written)


def library_parts(place: Warehouse, day: date) -> list[Manifest]:
    """Manifests of the base and the deltas whose rows, merged, are the library as of the end of `day`, base first.

    Their rows may name a pair several times: `transforms.listening.library.merge` adds them up, listener by listener.

    Raises:
        UserError: there is no library on that date, or a part of it is gone.
    """
    own = place.need("library", day)
    parts = []
    for part in own.extra["chain"]:
        at, run_id = date.fromisoformat(part["date"]), part["run_id"]
        manifest = own if run_id == own.run_id else place.current("library", at)
        if manifest is None or manifest.run_id != run_id:
            manifest = _of_run(place, at, run_id)
        if manifest is None:
            raise UserError(
                f"the library of {day} builds on run {run_id} of {at}, which is gone; remake it with "
                f"`nightshelf features --from {own.extra['chain'][0]['date']} --to {day}`"
            )
        parts.append(manifest)
    return parts


def _of_run(place: Warehouse, day: date, run_id: str) -> Manifest | None:
    try:
        return Manifest.from_json(place.store.read(f"{folder('library', day)}/run={run_id}/{RUN_MANIFEST}"))
    except FileNotFoundError:
        return None


def _begin(place: Warehouse, date_from: date, date_to: date) -> tuple[Manifest | None, date]:
    """The library to fold onto, and the first date to fold."""
    before = place.newest("library", date_from - timedelta(1))
    if before is not None:
        return before, before.date + timedelta(1)
    listened = [d for d in place.dates("listens") if d <= date_to]
    if not listened:
        raise UserError(f"no listens up to {date_to} in the warehouse; bring a log in with `nightshelf ingest`")
    return None, listened[0]


def _inputs(place: Warehouse, before: Manifest | None, first: date, last: date) -> dict[str, list[Manifest]]:
    """Manifests of everything the fold reads, by table."""

    def dated(table: str) -> list[Manifest]:
        return [m for d in place.dates(table) if first <= d <= last and (m := place.current(table, d))]

    def one(manifest: Manifest | None) -> list[Manifest]:
        return [manifest] if manifest is not None else []

    return {
        "listens": dated("listens"),
        "feedback": dated("feedback"),
        "sessions": one(place.current("sessions", first - timedelta(1))),
        "library": library_parts(place, before.date) if before is not None else [],
        "listeners": one(newest_or_first(place, "listeners", last)),
        "tracks": one(newest_or_first(place, "tracks", last)),
    }


def _cuts(
    place: Warehouse, before: Manifest | None, first: date, last: date, max_deltas: int
) -> tuple[LibraryCut, ...]:
    """The library's dates, and which of them are compacted into a base."""
    again = {d for d in place.dates("library") if first <= d < last}
    parts = len(before.extra["chain"]) if before is not None else 0
    cuts = []
    for day in sorted({*again, last}):
        base = parts == 0 or parts > max_deltas
        parts = 1 if base else parts + 1
        cuts.append(LibraryCut(day, base))
    return tuple(cuts)


def _plan(
    place: Warehouse,
    found: dict[str, list[Manifest]],
    cuts: Sequence[LibraryCut],
    dates: Sequence[date],
    settings: Settings,
    *,
    outputs: Collection[str],
) -> list[Run]:
    """Runs of what is not current, the library last. Versions follow the dates, however many one job folds."""
    by_day = {t: {m.date: m for m in found[t]} for t in ("listens", "feedback")}
    listeners, tracks = inputs_of(*found["listeners"]), inputs_of(*found["tracks"])
    described: dict[str, dict[str, Any]] = {
        "sessions": settings.sessions.model_dump(),
        "track_stats": {"plays_per_day": settings.track_stats.plays_per_day},
        "co_listens": settings.co_listens.model_dump(include={"reach", "whole_session", "reach_in_long", "cap"}),
    }
    if settings.co_listens.share < 1:  # the default is left unsaid, so that what stands already stays current
        described["co_listens"]["share"] = settings.co_listens.share
    runs: list[Run] = []

    def run(table: str, day: date, inputs: dict[str, str], **more: Any) -> tuple[dict[str, str], str]:
        """Plan a table of a date: what stands for it among the inputs of the next, and its run id."""
        planned = plan(
            place,
            table,
            day,
            shards=settings.shards,
            inputs=inputs,
            settings=more or described[table],
            step_version=STEP,
        )
        if planned is None:
            current = place.need(table, day)
            return inputs_of(current), current.run_id
        runs.append(planned)
        return {f"{table}@{day.isoformat()}": planned.version}, planned.run_id

    earlier = inputs_of(*found["sessions"])
    for day in dates:
        listens = inputs_of(by_day["listens"].get(day))
        earlier = {**listens, **earlier, **listeners, **tracks}
        if "sessions" in outputs:
            earlier, _ = run("sessions", day, earlier)
        if "track_stats" in outputs:
            run("track_stats", day, {**listens, **listeners})
        if "co_listens" in outputs:
            run("co_listens", day, earlier)
    if "library" not in outputs:
        return runs
    chain = [{"date": m.date.isoformat(), "run_id": m.run_id} for m in found["library"]]
    inputs, since = inputs_of(*found["library"][-1:]), dates[0]
    for cut in cuts:
        inputs |= inputs_of(*(by_day[t].get(d) for t in sorted(by_day) for d in days(since, cut.day)))
        before = len(runs)
        limit = {"max_pairs": settings.library.max_pairs} if cut.base else {}
        made, run_id = run("library", cut.day, inputs, base=cut.base, **limit)
        chain = [*([] if cut.base else chain), {"date": cut.day.isoformat(), "run_id": run_id}]
        if len(runs) > before:
            runs[-1] = with_extra(runs[-1], chain=chain)
        inputs, since = made, cut.day + timedelta(1)
    return runs


class _Fold(beam.DoFn):
    """Chunk of inputs -> chunk of what the dates add: sessions and library, and partials of the track side."""

    def __init__(self, work: Fold, warehouse: str, tracks: Sequence[Manifest], asked: Sequence[Sequence[Part]]) -> None:
        self._work, self._warehouse, self._tracks, self._asked = work, warehouse, tracks, asked
        self._durations: pl.DataFrame | None = None

    def setup(self) -> None:
        for manifest in self._tracks:
            known = Warehouse(self._warehouse).read_manifest(manifest, ["track_id", "duration_ms"])
            self._durations = known.drop_nulls("duration_ms")

    def process(self, chunk: Chunk) -> Iterator[Chunk]:
        known = None
        if self._asked:
            files = [part.path for part in self._asked[chunk.shard]]
            known = known_pairs(Warehouse(self._warehouse), files, chunk["listens"])
        yield Chunk(chunk.shard, fold(chunk.tables, self._work, self._durations, known))


class _Partials(beam.DoFn):
    """Partials by track shard and block of dates: small enough groups to add up in memory, few enough to be quick."""

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, chunk: Chunk) -> Iterator[tuple[int, Chunk]]:
        for table in sorted(ADD):
            rows = chunk.tables.get(table)
            for shard, part in split(rows, self._shards, by=TABLES[table].sharded_by or "") if rows is not None else ():
                block = pl.col("date").to_physical() // BLOCK_DAYS
                blocks = part.with_columns(block=block).partition_by("block", as_dict=True, include_key=False)
                for (key,), frame in blocks.items():
                    yield int(key) * self._shards + shard, Chunk(shard, {table: frame})


class _Sum(beam.DoFn):
    """Partials of one track shard and block of dates, added up."""

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, grouped: tuple[int, Iterable[Chunk]]) -> Iterator[Chunk]:
        key, chunks = grouped
        parts: dict[str, list[pl.DataFrame]] = {}
        for chunk in chunks:
            for table, frame in chunk.tables.items():
                parts.setdefault(table, []).append(frame)
        yield Chunk(key % self._shards, {table: ADD[table](frames) for table, frames in sorted(parts.items())})
