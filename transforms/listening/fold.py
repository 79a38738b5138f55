"""The fold: what the listens of some dates add to sessions, library, track statistics and co-listens.

Everything here concerns whole listeners, so any set of them can be folded apart from the others: it is what the job
`features` does with one chunk. Sessions and the library are finished by it; the two track-side tables come out as
partials of these listeners and are added up across chunks.

    tables of a chunk                                    what comes out, each with the `date` it is filed under
    listens (dated), sessions open before, library   ->  sessions, suspects, library
    before, feedback (dated), listeners                  track_stats, co_listens (partials), without suspects
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from transforms.listening import co_listens, track_stats
from transforms.listening.co_listens import CoListenSettings
from transforms.listening.library import PAIR, day_library, first_plays, merge, saved_library, trim
from transforms.listening.plays import coded
from transforms.listening.sessions import SessionSettings, sessionize
from transforms.listening.suspects import SuspectSettings, suspects, without_suspects
from transforms.tables.columns import WHERE

OUTPUTS = ("sessions", "suspects", "track_stats", "co_listens", "library")
COLUMNS = {
    "listens": [
        "listener_id",
        "track_id",
        "started_at",
        "ms_played",
        "skipped",
        "completed",
        "country",
        "late",
        *WHERE,
    ],
    "sessions": ["listener_id", "open", "tracks", "plays", "new_share", "started_at", "session_id", *WHERE],
    "feedback": ["listener_id", "kind", "target"],
    "listeners": ["listener_id", "market", "time_zone"],
}


@dataclass(frozen=True)
class LibraryCut:
    """A date whose library is written: as a delta over the cut before, or as a base that needs nothing else."""

    day: date
    base: bool


@dataclass(frozen=True)
class Fold:
    """What to fold, and how. Small and picklable.

    Attributes:
        last: the last of the dates.
        cuts: dates whose library is written, in order; the last of them is `last`.
        outputs: which of OUTPUTS are made.
        max_pairs: pairs a listener that a base keeps in full.
        untimed: dates whose times were invented, so that they tell nothing of machines.
    """

    last: date
    cuts: tuple[LibraryCut, ...] = ()
    outputs: frozenset[str] = frozenset(OUTPUTS)
    sessions: SessionSettings = field(default_factory=SessionSettings)
    co_listens: CoListenSettings = field(default_factory=CoListenSettings)
    plays_per_day: int = 10
    max_pairs: int = 20_000
    suspects: SuspectSettings = field(default_factory=SuspectSettings)
    untimed: tuple[date, ...] = ()

    @property
    def compacts(self) -> bool:
        """A base is written: the library before is needed whole. Otherwise only which pairs it holds is asked."""
        return any(cut.base for cut in self.cuts)


def fold(
    tables: Mapping[str, pl.DataFrame],
    plan: Fold,
    durations: pl.DataFrame | None = None,
    known: pl.DataFrame | None = None,
) -> dict[str, pl.DataFrame]:
    """Fold the dates of one chunk.

    Args:
        tables: `listens` and `feedback` of the dates, with `date`; `sessions` of the date before them; `listeners`;
            `library` before them, as stored (any number of rows for a pair). Columns as in COLUMNS.
        plan: what to make.
        durations: track_id, duration_ms of known tracks.
        known: pairs of these listens (others are harmless) that were played before; None = look into `library`.

    Returns:
        The frames of `plan.outputs`, each with a `date` column.
    """
    listens, before, people = tables["listens"], tables["library"], tables["listeners"]
    made: dict[str, pl.DataFrame] = {}
    if known is None:
        known = before.filter(pl.col("plays") > 0).join(listens, on=PAIR, how="semi")
    listens, known = coded([listens, known.select(PAIR)], *PAIR)
    timed = listens.filter(~pl.col("date").is_in(list(plan.untimed))) if plan.untimed else listens
    machines = suspects(timed, plan.suspects)
    if "suspects" in plan.outputs:
        made["suspects"] = machines
    if {"sessions", "co_listens"} & plan.outputs:
        sessions = sessionize(
            listens.with_columns(new=first_plays(listens, known)),
            timedelta(minutes=plan.sessions.gap_minutes),
            through=plan.last,
            durations=durations,
            max_length=timedelta(hours=plan.sessions.max_hours),
            opened=tables["sessions"].filter("open"),
            time_zones=people,
        )
        if "sessions" in plan.outputs:
            made["sessions"] = sessions
        if "co_listens" in plan.outputs:
            made["co_listens"] = co_listens.day_partials(without_suspects(sessions, machines), plan.co_listens)
    if "track_stats" in plan.outputs:
        made["track_stats"] = track_stats.day_partials(without_suspects(listens, machines), people, plan.plays_per_day)
    if "library" in plan.outputs:
        made["library"] = _library(listens, tables["feedback"], before, plan.cuts, plan.max_pairs)
    return made


def _library(
    listens: pl.DataFrame,
    feedback: pl.DataFrame,
    before: pl.DataFrame,
    cuts: tuple[LibraryCut, ...],
    max_pairs: int,
) -> pl.DataFrame:
    """The deltas and bases of each cut, dated."""
    compacts = any(cut.base for cut in cuts)
    out, sofar, since = [], [before] if compacts else [], date.min
    for cut in cuts:
        within = pl.col("date").is_between(pl.lit(since), pl.lit(cut.day))
        here = listens if len(cuts) == 1 else listens.filter(within)
        acts = feedback if len(cuts) == 1 else feedback.filter(within)
        delta = merge([day_library(here), saved_library(acts)])
        if compacts:
            sofar.append(delta)
        rows = trim(merge(sofar), max_pairs) if cut.base else delta
        if cut.base:
            sofar = [rows]
        out.append(rows.with_columns(date=pl.lit(cut.day)))
        since = cut.day + timedelta(1)
    return pl.concat(out)
