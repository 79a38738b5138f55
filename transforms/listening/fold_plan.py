"""What a fold has to make: the first date, the tables it reads, the library's cuts, and the runs of what is not current.

The library is a running sum, so a fold begins right after the newest library before the range, even if that is earlier: no
date in between may be missing from it. Versions follow the dates, however many of them one job folds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Protocol

from transforms.common.errors import UserError
from transforms.listening.co_listens import CoListenSettings
from transforms.listening.fold import Fold, LibraryCut
from transforms.listening.library import LibrarySettings
from transforms.listening.sessions import SessionSettings
from transforms.listening.suspects import UNTIMED, SuspectSettings
from transforms.listening.track_stats import TrackStatsSettings
from transforms.tables.as_of import AsOf
from transforms.tables.chunks import Spec
from transforms.tables.manifest import Heading
from transforms.tables.runs import Run, plan, with_extra
from transforms.tables.specs import Manifests, specs
from transforms.tables.stands import Stands
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import days


class FoldSettings(Protocol):
    """The settings that a fold reads."""

    @property
    def shards(self) -> int: ...
    @property
    def sessions(self) -> SessionSettings: ...
    @property
    def library(self) -> LibrarySettings: ...
    @property
    def track_stats(self) -> TrackStatsSettings: ...
    @property
    def co_listens(self) -> CoListenSettings: ...
    @property
    def suspects(self) -> SuspectSettings: ...


def described(settings: FoldSettings) -> dict[str, dict[str, Any]]:
    """By table, what of the settings its version depends on."""
    suspects = settings.suspects.model_dump(exclude={"days", "personal"})
    pairs = settings.co_listens.model_dump(include={"reach", "whole_session", "reach_in_long", "cap"})
    found: dict[str, dict[str, Any]] = {
        "sessions": settings.sessions.model_dump(),
        "suspects": suspects,
        "track_stats": {"plays_per_day": settings.track_stats.plays_per_day, "suspects": suspects},
        "co_listens": {**pairs, "suspects": suspects},
    }
    if settings.co_listens.share < 1:  # the default is left unsaid, so that what stands already stays current
        found["co_listens"]["share"] = settings.co_listens.share
    return found


@dataclass(frozen=True)
class FoldPlan:
    """A fold that has something to do.

    Attributes:
        work: what a worker does with a chunk.
        specs: the shards and their files.
        asked: by shard, the library files in which pairs are looked up; none where the library is read whole.
        tracks: the catalog, for durations; at most one.
        runs: of the tables to write, the library last.
        stands: what must not have moved when the dates are closed.
    """

    work: Fold
    specs: Sequence[Spec]
    asked: Sequence[Spec]
    tracks: Sequence[Heading]
    runs: Sequence[Run]
    stands: Stands


def plan_fold(
    past: AsOf, date_from: date, settings: FoldSettings, outputs: Collection[str], step_version: str
) -> FoldPlan | None:
    """Plan the fold of the dates from `date_from` to the view's; None where everything is current.

    Raises:
        UserError: no listens up to the date, or a table is pinned.
    """
    before, first = begin(past, date_from)
    stands = Stands.of(past.warehouse, ("listens", "feedback"), first, past.day)
    found = inputs(past, before, first)
    cuts = library_cuts(past, before, first, settings.library.max_deltas)
    runs = plan_runs(past, found, cuts, dates_to_fold(found, first, past.day), settings, outputs, step_version)
    if not runs:
        return None
    made = frozenset(r.table for r in runs)
    work = Fold(
        past.day,
        cuts if "library" in made else (),
        made,
        settings.sessions,
        settings.co_listens,
        settings.track_stats.plays_per_day,
        settings.library.max_pairs,
        settings.suspects,
        tuple(m.date for m in found["listens"] if m.extra.get(UNTIMED)),
    )
    tracks, library = found.pop("tracks"), found["library"]
    todo = specs(past.warehouse, settings.shards, {**found, "library": library if work.compacts else []})
    looked_up = [] if work.compacts else specs(past.warehouse, settings.shards, {"library": library})
    return FoldPlan(work, todo, looked_up, Manifests.of(past.warehouse, tracks), runs, stands)


def begin(past: AsOf, date_from: date) -> tuple[Heading | None, date]:
    """The library to fold onto, and the first date to fold.

    Raises:
        UserError: there is neither a library nor a log.
    """
    before = past.newest("library", before=date_from)
    if before is not None:
        return before, before.date + timedelta(1)
    listened = past.dates("listens")
    if not listened:
        raise UserError(f"no listens up to {past.day} in the warehouse; bring a log in with `nightshelf ingest`")
    return None, listened[0]


def inputs(past: AsOf, before: Heading | None, first: date) -> dict[str, list[Heading]]:
    """Manifests of everything the fold reads, by table."""

    def one(manifest: Heading | None) -> list[Heading]:
        return [manifest] if manifest is not None else []

    return {
        "listens": past.every("listens", first),
        "feedback": past.every("feedback", first),
        "sessions": one(past.current("sessions", first - timedelta(1))),
        "library": past.library(before.date) if before is not None else [],
        "listeners": one(past.listeners()),
        "tracks": one(past.catalog()),
    }


def dates_to_fold(found: Mapping[str, Sequence[Heading]], first: date, last: date) -> list[date]:
    """Dates on which there is something to make: those with listens or feedback, the days after them, and the last.

    A session that was open at the end of a date is closed on the next one, so beyond that an empty date adds nothing. A log
    of twenty years may have listens on some hundred dates.
    """
    there = {m.date for t in ("listens", "feedback") for m in found[t]}
    after = {m.date + timedelta(1) for t in ("listens", "sessions") for m in found[t]}
    return [day for day in sorted({*there, *after, last}) if first <= day <= last]


def library_cuts(past: AsOf, before: Heading | None, first: date, max_deltas: int) -> tuple[LibraryCut, ...]:
    """The library's dates, and which of them are compacted into a base."""
    again = {d for d in past.dates("library") if first <= d < past.day}
    parts = len(before.extra["chain"]) if before is not None else 0
    cuts = []
    for day in sorted({*again, past.day}):
        base = parts == 0 or parts > max_deltas
        parts = 1 if base else parts + 1
        cuts.append(LibraryCut(day, base))
    return tuple(cuts)


def plan_runs(
    past: AsOf,
    found: Mapping[str, Sequence[Heading]],
    cuts: Sequence[LibraryCut],
    dates: Sequence[date],
    settings: FoldSettings,
    outputs: Collection[str],
    step_version: str,
) -> list[Run]:
    """Runs of what is not current, the library last."""
    by_day = {t: {m.date: m for m in found[t]} for t in ("listens", "feedback")}
    listeners, tracks = inputs_of(*found["listeners"]), inputs_of(*found["tracks"])
    says = described(settings)
    runs: list[Run] = []

    def run(table: str, day: date, inputs: dict[str, str], **more: Any) -> tuple[dict[str, str], str]:
        """Plan a table of a date: what stands for it among the inputs of the next, and its run id."""
        planned = plan(
            past.warehouse,
            table,
            day,
            shards=settings.shards,
            inputs=inputs,
            settings=more or says[table],
            step_version=step_version,
        )
        if planned is None:
            current = past.need(table, day)
            return inputs_of(current), current.run_id
        runs.append(planned)
        return {f"{table}@{day.isoformat()}": planned.version}, planned.run_id

    made_of = {m.date: inputs_of(m) for m in found["sessions"] if past.current("listens", m.date)}
    for day in dates:
        listens = inputs_of(by_day["listens"].get(day))
        earlier = {**listens, **made_of.get(day - timedelta(1), {}), **listeners, **tracks}
        if "sessions" in outputs:
            earlier, _ = run("sessions", day, earlier)
        if day in by_day["listens"]:  # else no session is open at its end
            made_of[day] = earlier
        if "suspects" in outputs:
            run("suspects", day, listens)
        if "track_stats" in outputs:
            run("track_stats", day, {**listens, **listeners})
        if "co_listens" in outputs:
            run("co_listens", day, earlier)
    if "library" not in outputs:
        return runs
    chain = [{"date": m.date.isoformat(), "run_id": m.run_id} for m in found["library"]]
    read, since = inputs_of(*found["library"][-1:]), dates[0]
    for cut in cuts:
        read |= inputs_of(*(by_day[t].get(d) for t in sorted(by_day) for d in days(since, cut.day)))
        before = len(runs)
        limit = {"max_pairs": settings.library.max_pairs} if cut.base else {}
        made, run_id = run("library", cut.day, read, base=cut.base, **limit)
        chain = [*([] if cut.base else chain), {"date": cut.day.isoformat(), "run_id": run_id}]
        if len(runs) > before:
            runs[-1] = with_extra(runs[-1], chain=chain)
        read, since = made, cut.day + timedelta(1)
    return runs
