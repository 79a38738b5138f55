"""What a signal is worth: a ranker with it against the same ranker without it, on lists that neither has seen.

    trial(url, "volume", settings, day, horizon).lines()

Rankers are linear, fitted on the stored nights before the last and compared on the last: whole lists, NDCG@50 against everything
heard in the days after, paired by listener (`ranker_choice`). With one stored night, half of the listeners are learned from
and the other half is compared, then the other way round. The signal's features are computed anew from the tables, as of
each night, so nothing has to be made again first. Signals that the settings ignore are in neither ranker.

A signal that knows the future is refused. As of a night it predicts what follows, and a period earlier it did not: where the gain
of its values as of a period before is less than KEEPS of the gain of those as of the night, and the gain is LEAK at least, the
difference is more than freshness explains. So is a table whose values are all stamped after the nights they are about.

The interval is a bootstrap over listeners. A verdict is about this warehouse's nights, and about a linear ranker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, Protocol

import polars as pl

from pipelines.recommender.ranker_choice import DISCOVERIES, LISTS, Judged, gain_of, mean_of
from pipelines.recommender.ranker_examples import Pair, examples, judged, pairs_of
from pipelines.recommender.signal_values_at import SignalAt
from transforms.common.clock import Clock
from transforms.common.errors import UserError
from transforms.listening.library import LibrarySettings
from transforms.metrics.intervals import Interval
from transforms.signals.declared import DEFAULTS, Signal, nearest
from transforms.signals.features import PREFIX, names_of
from transforms.signals.plan import declared_in
from transforms.signals.settings import SignalSettings
from transforms.tables.as_of import AsOf, as_of
from transforms.tables.warehouse import Warehouse

LEAK = 0.02  # gain in NDCG@50 below which nothing is said to leak
KEEPS = 0.5  # share of the gain that an honest signal keeps when its values are a period old
EARLIER = "earlier_"
Verdict = Literal["useful", "harmful", "not shown to help", "refused"]


class TrialSettings(Protocol):
    """The settings that a trial reads."""

    @property
    def seed(self) -> int: ...
    @property
    def ranker(self) -> Any: ...
    @property
    def bootstrap(self) -> Any: ...
    @property
    def signals(self) -> SignalSettings: ...
    @property
    def library(self) -> LibrarySettings: ...


@dataclass(frozen=True)
class Measured:
    """One list, `discoveries` or `repeats`: NDCG@50 without the signal and with it, and the paired gains.

    Attributes:
        gain: of the signal as of the night; before: of the signal as of a period earlier; lead: the first over the second.
    """

    list: str
    without: float
    having: float
    gain: Interval
    before: Interval
    lead: Interval

    @property
    def leaks(self) -> bool:
        """Whether the signal is worth much as of the night, and little as of a period before."""
        return self.gain.value >= LEAK and self.lead.low > 0 and self.before.value < KEEPS * self.gain.value


@dataclass(frozen=True)
class Trial:
    """What came of a trial.

    Attributes:
        night: whose lists were compared; period: days between the two values that the leak check compares.
        known, known_before: share of the candidates of which the signal says something, as of the night and a period before.
        later: values of its table that are stamped after the night and before its outcomes were known; held: by the night.
        ms: milliseconds a listener that its features take; bytes: bytes a listener that its rows take.
    """

    name: str
    night: date
    period: int
    lists: Sequence[Measured]
    known: float
    known_before: float
    held: int
    later: int
    ms: float
    bytes: float

    @property
    def dated_after(self) -> bool:
        """Whether all that its table says of the night's candidates is stamped after the night."""
        return self.later > 0 and self.held == 0

    @property
    def checked(self) -> bool:
        """Whether there were values a period earlier to compare with."""
        return 2 * self.known_before >= self.known

    @property
    def leak(self) -> Measured | None:
        """The list that gives it away."""
        return next((one for one in self.lists if one.leaks and self.checked), None)

    @property
    def verdict(self) -> Verdict:
        """By the list of discoveries; of two lists one may always be told apart by luck."""
        if self.dated_after or self.leak is not None:
            return "refused"
        gain = next((one.gain for one in self.lists if one.list == DISCOVERIES), None)
        if gain is None:
            return "not shown to help"
        return "useful" if gain.low > 0 else "harmful" if gain.high < 0 else "not shown to help"

    @property
    def why_refused(self) -> str:
        """The reason, in a sentence; "" where it is not refused."""
        if self.dated_after:
            return (
                f"the signal {self.name!r} is refused: all {self.later:,} values about the candidates of {self.night} are "
                "stamped after that night, when what they would predict was known"
            )
        if self.leak is None:
            return ""
        one = self.leak
        return (
            f"the signal {self.name!r} is refused: it knows the future. As of the night it gains {one.gain.value:+.4f} NDCG@50 "
            f"of {one.list}, as of {self.period} days before {one.before.value:+.4f}; see when its values were written"
        )

    def lines(self) -> list[str]:
        """For a terminal."""
        out = [f"signal {self.name}: {self.verdict} (night of {self.night})"]
        for one in self.lists:
            g = one.gain
            out.append(
                f"  {one.list}: NDCG@50 {one.having:.4f} with it, {one.without:.4f} without; {g.value:+.4f}, 95% interval "
                f"{g.low:+.4f} to {g.high:+.4f}, {g.n} listeners"
            )
            out.append(f"    with its values of {self.period} days before: {one.before.value:+.4f}")
        if self.why_refused:
            out.append(f"  {self.why_refused}")
        elif not self.checked:
            out.append(
                f"  leak check: not possible, {self.known_before:.0%} of the candidates had a value {self.period} days before, "
                f"{self.known:.0%} have one"
            )
        else:
            out.append("  leak check: no sign that it knows the future")
        out.append(
            f"  known of {self.known:.0%} of the candidates; {self.ms:.3f} ms a listener, {self.bytes:,.0f} bytes a listener"
        )
        return out


def trial(url: str, name: str, settings: TrialSettings, day: date, horizon: int) -> Trial:
    """Try a signal on the stored nights whose outcomes of `horizon` days have closed by `day`.

    Raises:
        UserError: no such signal, or no stored night to try it on.
    """
    past = as_of(url, day)
    known = known_signals(past)
    at = SignalAt(url, name, _signal(known, name), settings.signals, settings.library, day)
    pairs = pairs_of(past, horizon, settings.bootstrap.ranker_nights)
    if not pairs:
        raise UserError(
            f"expected a stored night whose outcomes of {horizon} days have closed by {day}, found none; make one with "
            "`nightshelf run --date` of an earlier date, then of this one"
        )
    period, columns, clock = timedelta(horizon), names_of(name, at.signal), Clock()

    def also(rows: pl.DataFrame, night: date) -> pl.DataFrame:
        now, before = at.columns(rows, night, night, clock), at.columns(rows, night, night - period)
        made = {**now, **{f"{EARLIER}{n}": v for n, v in before.items()}}
        return rows.drop(columns, strict=False).with_columns(
            pl.Series(n, v, dtype=pl.Float32).fill_nan(None) for n, v in made.items()
        )

    warehouse, ranker, seed = Warehouse(url), settings.ranker.model_copy(update={"kind": "linear"}), settings.seed
    data = examples(warehouse, pairs, horizon, ranker.examples, seed, also, ranker.lists)
    last = Judged(*judged(warehouse, pairs[-1], horizon, ranker.judged, seed, also))
    out = [c for n, one in known.items() if n in settings.signals.ignored for c in names_of(n, one)]
    data, last = data.drop(out, strict=False), Judged(last.candidates.drop(out, strict=False), last.heard)
    lists, night = measure(data, last, columns, ranker, seed), pairs[-1][0].date
    share, share_before = (_known(last.candidates, [f"{before}{c}" for c in columns]) for before in ("", EARLIER))
    held, later = (0, 0)
    if at.signal.of != "listen":
        ids = pl.concat(also_ids(warehouse, pairs[-1]))
        held, later = at.later(ids, night, night + period)
    people = max(last.candidates["list"].n_unique(), 1)
    took, size = clock.drain(), at.bytes_a_day(night) / people
    ms = took["signal.microseconds"] / 1000 / max(took["signal.rows"], 1)
    return Trial(name, night, horizon, lists, share, share_before, held, later, ms, size)


def also_ids(warehouse: Warehouse, pair: Pair) -> list[pl.DataFrame]:
    """listener_id, track_id of a stored night's candidates, file by file."""
    return [warehouse.read_files([file], ("listener_id", "track_id"))[0] for file in warehouse.whole(pair[0]).files]


def measure(data: pl.DataFrame, last: Judged, columns: Sequence[str], settings: Any, seed: int) -> list[Measured]:
    """Compare three linear rankers: without the signal, with it, and with its values of a period before.

    Args:
        data: examples of the stored nights; those of the newest are learned from only where it is the only one.
        last: the whole lists of the newest night.
        columns: the signal's features; those of a period before are called so with EARLIER before them.
    """
    others = [c for c in data.columns if c.startswith("f_") and c not in columns]
    variants = {
        "without": others,
        "having": [*others, *columns],
        "before": [*others, *(f"{EARLIER}{c}" for c in columns)],
    }
    out = []
    for name in LISTS:
        part = last.only(name)
        if not part.candidates.height or not part.heard.height:
            continue
        by = {label: _figures(data, part, names, settings, seed) for label, names in variants.items()}
        gains = [gain_of(by[a], by[b]) for a, b in (("having", "without"), ("before", "without"), ("having", "before"))]
        out.append(Measured(name, mean_of(by["without"]), mean_of(by["having"]), *gains))
    return out


def _figures(data: pl.DataFrame, part: Judged, names: Sequence[str], settings: Any, seed: int) -> pl.DataFrame:
    """listener_id, ndcg@50 of a list, ordered by a ranker that has seen neither the night nor, of one night, the listener."""
    from models.rankers.kinds import fit

    newest = int(data["night"].max() or 0)  # type: ignore[arg-type]
    if newest:
        return part.by_listener(
            fit(data.filter(pl.col("night") < newest), names, settings, seed).score(part.matrix(names))
        )
    found = []
    for half in (0, 1):
        mine = Judged(*(f.filter(pl.col("list").abs() % 2 == half) for f in (part.candidates, part.heard)))
        if mine.candidates.height and mine.heard.height:
            learned = fit(data.filter(pl.col("owner").abs() % 2 != half), names, settings, seed)
            found.append(mine.by_listener(learned.score(mine.matrix(names))))
    return pl.concat(found)


def known_signals(past: AsOf) -> dict[str, Signal]:
    """Every signal that the warehouse holds, those that are off included."""
    return {**DEFAULTS, **declared_in(past)}


def _signal(known: Mapping[str, Signal], name: str) -> Signal:
    """The declaration of a signal by its name."""
    if name not in known:
        raise UserError(
            f"expected one of the signals {', '.join(sorted(known))}, found {name!r}{nearest(name, known)}; declare it in the "
            "mapping file and ingest (docs/signals.md)"
        )
    return known[name]


def _known(candidates: pl.DataFrame, columns: Sequence[str]) -> float:
    """Share of candidates of which one of the columns says something; that nothing is said of a pair is nothing."""
    if not candidates.height:
        return 0.0
    telling = [c for c in columns if f"{PREFIX}has_" not in c]
    said = candidates.select(pl.any_horizontal(pl.col(c).is_not_null() for c in telling)).to_series()
    return float(said.sum()) / candidates.height
