"""What a night is held to: its listens, its models, its shelves, each against what is expected and the nights before.

Everything is judged from counts (`measure`) and manifests, so judging costs nothing whatever the audience, and a night
can be judged again with other thresholds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

import numpy as np

from transforms.common.typed_names import NullsOf, ScoreBin, ShelfStatus
from transforms.gates.check import Check, skipped, usual, within, worst
from transforms.gates.drift import Observed, check_drift
from transforms.gates.measure import Counts, Measured
from transforms.gates.settings import GateSettings
from transforms.signals.declared import NUMBER, TEXT


@dataclass(frozen=True)
class GateFacts:
    """What is known of a night.

    Attributes:
        day: the night.
        fit_date: what was learned from others is as of this date.
        shelf_count: number of shelves every listener gets.
        measured: counts of the night; None = nobody counted (an older run).
        listens: rows of table `listens` by date, up to the night: of the dates that volume is judged by.
        listened: every date with listens up to the night; those of `listens` count in any case.
        nulls: `measure.listens` of a date, for dates that were counted.
        nights: counts of the nights before, newest last.
        schema: what of the files' schemas is wrong, in words; None = not looked at.
        tonight, watched: the night and those before as drift sees them; None = it is not asked.
    """

    day: date
    fit_date: date
    shelf_count: int
    measured: Measured | None
    listens: dict[date, int] = field(default_factory=dict)
    listened: Sequence[date] = ()
    nulls: dict[date, Counts] = field(default_factory=dict)
    nights: Sequence[Counts] = ()
    schema: tuple[str, ...] | None = None
    tonight: Observed | None = None
    watched: Sequence[Observed] = ()


def check_night(facts: GateFacts, settings: GateSettings) -> list[Check]:
    """Every check of a night, in a fixed order."""
    out = [_schema(facts), _volume(facts, settings), _freshness(facts, settings), _models(facts, settings)]
    out.append(_nulls(facts, settings))
    measured: list[tuple[str, Callable[[GateFacts, Measured, GateSettings], Check]]] = [
        ("duplicates", _duplicates),
        ("unknown tracks", _unknown),
        ("coverage", _coverage),
        ("roster", _roster),
        ("missing items", _missing),
        ("empty shelves", _empty),
        ("personal shelves", _personal),
        ("overlap, chosen", _chosen),
        ("overlap, carried", _carried),
        ("finite scores", _finite),
        ("true reasons", _true_reasons),
        ("score spread", _spread),
        ("score shift", _shift),
    ]
    for name, look in measured:
        if facts.measured is None:
            out.append(skipped(name, "this run was made before nights were measured"))
        else:
            # where there is nobody at all nothing was counted: 0 of everything
            counted = Measured(Counter(facts.measured.counts), facts.measured.examples)
            out.append(look(facts, counted, settings))
    if facts.tonight is not None:
        out += check_drift(facts.tonight, facts.watched, settings.drift)
    return out


def _schema(facts: GateFacts) -> Check:
    if facts.schema is None:
        return skipped("schema", "no file was looked at")
    return within("schema", len(facts.schema), high=0, unit="files of another schema", examples=facts.schema)


@dataclass(frozen=True)
class Rhythm:
    """When a log has listens, as seen from a night.

    Attributes:
        newest: date of the newest listens up to the night; None = there are none.
        behind: days from then to the night.
        before: dates with listens among the `history` dates that end with the newest, or with yesterday if the night has
            listens. An outage moves neither, so it does not wear its own alarm off.
        pauses: whether the log is one with pauses: fewer than `gates.night.rhythm` of `history` dates have listens, lately
            or over the whole log.
        longest: days that such a log may be silent without an alarm: as long as it ever was, or `history`.
    """

    newest: date | None
    behind: int
    before: tuple[date, ...]
    pauses: bool
    longest: int

    @property
    def explains(self) -> bool:
        """Whether a night without listens is what this log is like."""
        return self.pauses and 0 < self.behind <= self.longest

    @classmethod
    def of(cls, facts: GateFacts, settings: GateSettings) -> Rhythm:
        """The rhythm of a night's log."""
        known = sorted(d for d in {*facts.listened, *facts.listens} if d <= facts.day)
        if not known:
            return cls(None, 0, (), False, 0)
        newest, history = known[-1], settings.history
        end = newest if newest < facts.day else facts.day - timedelta(1)
        before = tuple(d for d in known if 0 <= (end - d).days < history)
        least = settings.night.rhythm
        lately = sum((newest - d).days < history for d in known)
        over_all = history * len(known) / ((newest - known[0]).days + 1)
        gaps = [(later - one).days for one, later in pairwise(known)]
        return cls(newest, (facts.day - newest).days, before, min(lately, over_all) < least, max([history, *gaps]))


def _volume(facts: GateFacts, settings: GateSettings) -> Check:
    rhythm = Rhythm.of(facts, settings)
    before = [facts.listens.get(d, 0) for d in rhythm.before]
    normal = usual(before, settings.min_history)
    today = facts.listens.get(facts.day, 0)
    if rhythm.explains:
        return skipped("volume", "no listens on the date, in a log with pauses")
    if normal is None:
        return skipped("volume", f"{len(before)} dates with listens before, {settings.min_history} needed")
    if max(normal, today) < settings.min_rows:
        return skipped("volume", f"{today:,} listens, {settings.min_rows:,} needed to judge")
    limits = settings.night
    said = f"the median of {len(before)} dates before ({today:,} listens, {normal:,.0f} usual)"
    return within("volume", today / normal, low=limits.volume_low, high=limits.volume_high, unit="times", detail=said)


def _freshness(facts: GateFacts, settings: GateSettings) -> Check:
    rhythm, stale = Rhythm.of(facts, settings), settings.night.stale_days
    if rhythm.newest is None:
        return Check("freshness", "FAIL", expected="some", detail=f"no listens up to {facts.day}")
    if rhythm.explains and rhythm.behind > stale:
        return skipped(
            "freshness",
            f"the newest listens ({rhythm.newest}) are {rhythm.behind} days older than the night, in a log with pauses "
            f"where up to {rhythm.longest} days are no alarm",
        )
    said = f"between the newest listens ({rhythm.newest}) and the night"
    high = max(stale, rhythm.longest) if rhythm.pauses else stale
    return within("freshness", rhythm.behind, high=high, unit="days", detail=said)


def _models(facts: GateFacts, settings: GateSettings) -> Check:
    age = (facts.day - facts.fit_date).days
    said = f"between what was learned ({facts.fit_date}) and the night"
    return within("age of models", age, high=settings.night.model_days, unit="days", detail=said)


def _nulls(facts: GateFacts, settings: GateSettings) -> Check:
    today = facts.nulls.get(facts.day)
    before = [n for d, n in facts.nulls.items() if 0 < (facts.day - d).days <= settings.history and n.get("rows")]
    if today is None:
        return skipped("nulls", "the date's listens were not measured")
    if len(before) < settings.min_history or today["rows"] < settings.min_rows:
        return skipped("nulls", f"{today['rows']:,} rows, {len(before)} dates before: too few to judge")
    out = []
    columns = {nulls.column for one in [today, *before] for nulls in NullsOf.among(one)}
    for column in sorted(columns):
        name = str(NullsOf(column))
        own = column.startswith((NUMBER, TEXT))  # a signal, which is not in every date's log
        known = [one for one in before if name in one or not own]
        if len(known) < settings.min_history:
            continue
        share = today.get(name, today["rows"] if own else 0) / today["rows"]
        normal = float(np.median([one.get(name, 0) / one["rows"] for one in known]))
        said = f"more nulls in {column} than usual ({share:.1%}, {normal:.1%} usual)"
        out.append(within("nulls", share - normal, high=settings.night.null_rise, unit="share", detail=said))
    fullest = sorted(out, key=lambda c: -(c.value or 0.0))
    return worst(fullest) or within("nulls", 0.0, high=settings.night.null_rise, unit="share", detail="nulls")


def _duplicates(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    names = ("repeated plays", "repeated rows", "repeated items")
    found = [measured.counts.get(name, 0) for name in names]
    said = ", ".join(f"{n:,} {name}" for n, name in zip(found, names, strict=True))
    shown = measured.examples.get("repeated items", ())
    return within("duplicates", sum(found), high=0, unit="rows too many", detail=f"({said})", examples=shown)


def _unknown(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    plays, unknown = measured.counts["plays"], measured.counts["unknown plays"]
    if plays < settings.min_rows:
        return skipped("unknown tracks", f"{plays:,} plays on the date, {settings.min_rows:,} needed to judge")
    said = f"of {plays:,} plays are of tracks that no model knows"
    shown = measured.examples.get("unknown", ())
    limit = settings.night.unknown_tracks
    return within("unknown tracks", unknown / plays, high=limit, unit="share", detail=said, examples=shown)


def _coverage(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    wanted = measured.counts["roster"] * facts.shelf_count
    if not wanted:
        return skipped("coverage", "nobody is on the roster")
    said = f"({measured.counts['rows']:,} rows for {measured.counts['roster']:,} listeners and {facts.shelf_count} shelves)"
    share = measured.counts["rows"] / wanted
    return within("coverage", share, low=settings.night.coverage, high=1.0, unit="share", detail=said)


def _roster(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    if not facts.nights:
        return skipped("roster", "no night before")
    before, now = facts.nights[-1].get("roster", 0), measured.counts["roster"]
    if not before:
        return skipped("roster", "the night before had nobody on its roster")
    said = f"the night before's ({now:,} listeners, {before:,} then)"
    return within("roster", now / before, low=settings.night.listeners_low, unit="times", detail=said)


def _missing(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    names = ("null items", "scoreless items")
    found = [measured.counts.get(name, 0) for name in names]
    said = f"({found[0]:,} without a track, {found[1]:,} without a score, of {measured.counts['items']:,})"
    shown = measured.examples.get("scoreless items", ())
    return within("missing items", sum(found), high=0, unit="items", detail=said, examples=shown)


def _statuses(counts: Counts) -> dict[str, dict[str, int]]:
    out: dict[str, dict[str, int]] = {}
    for found, n in ShelfStatus.among(counts).items():
        out.setdefault(found.shelf, {})[found.state] = n
    return out


def _empty(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    by_shelf = _statuses(measured.counts)
    rows = sum(sum(s.values()) for s in by_shelf.values())
    if not rows:
        return skipped("empty shelves", "no rows")
    empty = {shelf: s.get("empty", 0) for shelf, s in by_shelf.items()}
    most = sorted(empty, key=lambda shelf: (-empty[shelf], shelf))
    shown = [f"{shelf} {empty[shelf] / sum(by_shelf[shelf].values()):.0%}" for shelf in most if empty[shelf]]
    said = f"of {rows:,} rows"
    share = sum(empty.values()) / rows
    return within("empty shelves", share, high=settings.night.empty, unit="share", detail=said, examples=shown)


def _personal(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    nights = [_statuses(n) for n in facts.nights[-settings.history :]]
    if measured.counts["rows"] < settings.min_rows or len(nights) < settings.min_history:
        return skipped("personal shelves", f"{measured.counts['rows']:,} rows, {len(nights)} nights before: too few")
    out = []
    for shelf, now in sorted(_statuses(measured.counts).items()):
        before = [s[shelf].get("personal", 0) / sum(s[shelf].values()) for s in nights if shelf in s]
        normal = usual(before, settings.min_history)
        if normal is not None:
            share = now.get("personal", 0) / sum(now.values())
            said = f"fewer personal rows of {shelf} than usual ({share:.1%}, {normal:.1%} usual)"
            limit = settings.night.personal_fall
            out.append(within("personal shelves", normal - share, high=limit, unit="share", detail=said))
    deepest = sorted(out, key=lambda c: -(c.value or 0.0))
    return worst(deepest) or skipped("personal shelves", "no shelf that stood in the nights before")


def _chosen(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    held = measured.counts.get("chosen items", 0)
    if held < settings.min_rows:
        return skipped("overlap, chosen", f"{held:,} items of shelves with a row in the night before, too few to judge")
    share = measured.counts.get("same chosen items", 0) / held
    quiet = measured.counts["plays"] < settings.min_rows
    said = f"of {held:,} items stood on the same shelf the night before" + (" (a quiet date)" if quiet else "")
    limits = settings.night
    high = None if quiet else limits.overlap_high
    return within("overlap, chosen", share, low=limits.overlap_low, high=high, unit="share", detail=said)


def _carried(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    held = measured.counts.get("carried items", 0)
    if held < settings.min_rows:
        return skipped("overlap, carried", f"{held:,} items of carried shelves, too few to judge")
    share = measured.counts.get("same carried items", 0) / held
    said = f"of {held:,} items stood on the same shelf the night before"
    return within("overlap, carried", share, low=settings.night.carried_low, unit="share", detail=said)


def _finite(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    bad, of = measured.counts.get("not finite", 0), measured.counts.get("scores", 0)
    shown = measured.examples.get("not finite", ())
    return within("finite scores", bad, high=0, unit=f"of {of:,} scores are not finite", examples=shown)


def _true_reasons(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    wrong = {name.removeprefix("untrue "): n for name, n in measured.counts.items() if name.startswith("untrue ")}
    if "reasons" not in measured.counts:
        return skipped("true reasons", "this run was made before reasons were measured")
    shelf_count = "".join(f", {kind} {n:,}" for kind, n in sorted(wrong.items()))
    shown = tuple(e for kind in sorted(wrong) for e in measured.examples.get(f"untrue {kind}", ()))[:3]
    unit = f"of {measured.counts['reasons']:,} reasons are untrue{shelf_count}"
    return within("true reasons", sum(wrong.values()), high=0, unit=unit, examples=shown)


def histogram(counts: Counts) -> tuple[str | None, dict[int, int]]:
    """The ranker's kind and its scores by bin."""
    found = ScoreBin.among(counts)
    return next((one.kind for one in found), None), {one.bin: n for one, n in found.items()}


def _spread(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    _, bins = histogram(measured.counts)
    of = sum(bins.values())
    if of < settings.min_rows:
        return skipped("score spread", f"{of:,} scores, {settings.min_rows:,} needed to judge")
    return within("score spread", len(bins), low=2, unit="different scores at least", detail=f"among {of:,}")


def _shift(facts: GateFacts, measured: Measured, settings: GateSettings) -> Check:
    kind, now = histogram(measured.counts)
    known = [histogram(n) for n in facts.nights[-settings.history :]]
    before = [bins for k, bins in known if k == kind and bins]
    if sum(now.values()) < settings.min_rows or len(before) < settings.min_history:
        return skipped("score shift", f"{sum(now.values()):,} scores, {len(before)} nights of that ranker: too few")
    pooled: dict[int, int] = {}
    for bins in before:
        for place, n in bins.items():
            pooled[place] = pooled.get(place, 0) + n
    said = f"from the scores of {len(before)} nights before"
    return within("score shift", distance(now, pooled), high=settings.night.score_shift, unit="apart", detail=said)


def distance(one: dict[int, int], other: dict[int, int]) -> float:
    """Kolmogorov-Smirnov distance of two histograms over the same bins, 0 (equal) to 1 (apart).

    >>> distance({0: 5, 1: 5}, {0: 50, 1: 50}), distance({0: 1}, {7: 1})
    (0.0, 1.0)
    """
    places = sorted({*one, *other})
    shares = [np.cumsum([h.get(p, 0) for p in places]) / max(1, sum(h.values())) for h in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max(initial=0.0))
