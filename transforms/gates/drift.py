"""Drift: what is spread otherwise tonight than the nights before let one expect, each by name.

Each thing that is watched (`moving`) is a histogram a night. How far one lies from the nights before it is told by the population
stability index against their pooled shares,

    PSI = sum over bins of (p - q) ln(p / q)        p tonight, q pooled, both smoothed by half a count a bin

and how far is far by the thing's own past: the same index of each earlier night against the nights before that one. Of their
logarithms tonight's is taken for another draw, so with n of them

    t = (ln PSI - mean) / (s sqrt(1 + 1/n)),  n - 1 degrees of freedom, one-sided

An index below what chance alone makes of so many rows, f = (bins - 1) (1 / rows tonight + 1 / rows before), counts as f: how far
below says nothing, and its logarithm would hide a change behind the scatter of zeros. What lies above is held against chance as
well: PSI (bins - 1) / f has about the chi-square distribution with bins - 1 degrees of freedom where rows are independent. The
larger of the two p counts.

A thing has moved where p is below `false_alarms` divided by the number of things that were looked at (Bonferroni), and the index
is at least `least_psi`: on stationary nights at most that share of nights raises an alarm. A number that is watched (listens, the
share of items that stood there before, ...) moves likewise, by its logarithm, two-sided, and by at least `least_change`.

What follows from a fit (features, scores, sources) jumps when models are fitted anew. Nights that changed their models are held
against earlier nights that did, the others against those that did not, by their distance from the nights since the same fit.

    >>> round(psi({"a": 50, "b": 50}, {"a": 500, "b": 500}), 6), psi({"a": 99, "b": 1}, {"a": 50, "b": 50}) > 1
    (0.0, True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log, sqrt

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from transforms.common.typed_names import Watched
from transforms.gates.check import Check, skipped

OF_A_FIT = ("source", "feature", "score", "shelf")


class DriftSettings(BaseModel):
    """When a night is said to differ from the nights before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    false_alarms: float = Field(
        0.02, gt=0, lt=1, description="share of stationary nights that may raise an alarm, over all things looked at"
    )
    least_psi: float = Field(
        0.1, ge=0, description="population stability index below which nothing has moved, however rare"
    )
    least_change: float = Field(
        0.2, ge=0, description="change of a watched number, as a share, below which it has not moved"
    )
    past_nights: int = Field(28, ge=5, description="nights before that are looked at")
    pooled_nights: int = Field(7, ge=2, description="nights whose pooled shares a night is held against")
    least_nights: int = Field(5, ge=3, description="earlier nights with an index of their own that are needed to judge")
    least_rows: int = Field(50, ge=1, description="rows of a histogram below which it says nothing")


@dataclass(frozen=True)
class Observed:
    """One night as drift sees it.

    Attributes:
        counts: of `moving`, by name.
        levels: numbers that are watched, by name; only positive ones.
        models: version of what its models were fitted of.
    """

    counts: Mapping[str, int]
    levels: Mapping[str, float] = field(default_factory=dict)
    models: str = ""

    def histograms(self) -> dict[tuple[str, str], dict[str, int]]:
        """(kind, name) -> bin -> count."""
        out: dict[tuple[str, str], dict[str, int]] = {}
        for one, n in Watched.among(self.counts).items():
            out.setdefault((one.kind, one.name), {})[one.bin] = n
        return out


@dataclass(frozen=True)
class Moved:
    """How unusual one thing is tonight.

    Attributes:
        p: chance of as much in a stationary world; nan = too little is known.
        size: the index, or the change as a share.
        detail: in words.
    """

    name: str
    p: float
    size: float
    least: float
    detail: str


def psi(now: Mapping[str, int], before: Mapping[str, int]) -> float:
    """Population stability index of two histograms, each smoothed by half a count a bin; 0 where they agree."""
    bins = sorted({*now, *before})
    p = np.array([now.get(b, 0) + 0.5 for b in bins])
    q = np.array([before.get(b, 0) + 0.5 for b in bins])
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def by_chance(now: Mapping[str, int], before: Mapping[str, int]) -> float:
    """The index that two histograms of one distribution have on average."""
    bins = len({*now, *before})
    return max(bins - 1, 0.5) * sum(1 / (sum(one.values()) + bins / 2) for one in (now, before))


def look(tonight: Observed, before: Sequence[Observed], settings: DriftSettings) -> list[Moved]:
    """Everything that can be judged, the most unusual first.

    Args:
        before: earlier nights, newest last.
    """
    nights = [*before[-settings.past_nights :], tonight]
    anew = [n > 0 and one.models != nights[n - 1].models for n, one in enumerate(nights)]
    shapes = [one.histograms() for one in nights]
    models = [one.models for one in nights]
    found = [_shape(key, shapes, models, anew, settings) for key in sorted(shapes[-1])]
    gone = sorted({k for past in shapes[-1 - settings.pooled_nights : -1] for k in past} - set(shapes[-1]))
    found += [_gone(key, shapes, settings) for key in gone]
    found += [_level(name, nights, settings) for name in sorted(tonight.levels)]
    known = [one for one in found if one is not None]
    return sorted(known, key=lambda one: (one.p, -one.size, one.name))


def check_drift(tonight: Observed, before: Sequence[Observed], settings: DriftSettings) -> list[Check]:
    """A WARN for everything that moved, or one PASS (or SKIP) that says how many things were looked at."""
    found = look(tonight, before, settings)
    if not found:
        return [skipped("drift", f"{len(before)} nights before, too few to know what is usual")]
    limit = settings.false_alarms / len(found)
    moved = [one for one in found if one.p < limit and one.size >= one.least]
    rate = f"alarms on at most {settings.false_alarms:.0%} of stationary nights"
    if not moved:
        return [Check("drift", "PASS", value=0.0, detail=f"none of {len(found)} things watched has moved ({rate})")]
    return [
        Check(
            f"drift of {one.name}",
            "WARN",
            value=one.size,
            expected=f"p at least {limit:.1g}",
            detail=f"{one.detail}, p = {one.p:.1g}",
        )
        for one in moved
    ]


def _shape(
    key: tuple[str, str],
    shapes: Sequence[Mapping[tuple[str, str], dict[str, int]]],
    models: Sequence[str],
    anew: Sequence[bool],
    settings: DriftSettings,
) -> Moved | None:
    """How unusual a histogram is."""
    kind, name = key
    series = [
        (n, one[key]) for n, one in enumerate(shapes) if key in one and sum(one[key].values()) >= settings.least_rows
    ]
    if not series or series[-1][0] != len(shapes) - 1:
        return None

    def earlier(place: int) -> dict[str, int]:
        """What a night is held against: the nights before it; of what follows from a fit those since its own fit, if any."""
        number, window = series[place][0], series[max(0, place - settings.pooled_nights) : place]
        if kind in OF_A_FIT and not anew[number]:
            window = [(n, h) for n, h in window if models[n] == models[number]]
        return _pooled([h for _, h in window])

    last = len(series) - 1
    past, chance = list[float](), list[float]()
    for place in range(2, last + 1):
        before = earlier(place)
        if before and (kind not in OF_A_FIT or anew[series[place][0]] == anew[-1]):
            past.append(psi(series[place][1], before))
            chance.append(by_chance(series[place][1], before))
    pooled = earlier(last)
    if not pooled or len(past) - 1 < settings.least_nights:
        return None
    size, usual = past[-1], float(np.median(past[:-1]))
    logs = np.log(np.maximum(past, chance))
    p = max(_upper(float(logs[-1]), logs[:-1]), _beyond_chance(size, chance[-1], len({*series[-1][1], *pooled}) - 1))
    detail = f"PSI {size:.3g}, usually {usual:.2g}; {_most(series[-1][1], pooled)}"
    return Moved(f"{kind} {name}", p, size, settings.least_psi, detail)


def _gone(
    key: tuple[str, str], shapes: Sequence[Mapping[tuple[str, str], dict[str, int]]], settings: DriftSettings
) -> Moved | None:
    """A histogram that every earlier night had and tonight has not."""
    held = [key in one and sum(one[key].values()) >= settings.least_rows for one in shapes[:-1]]
    if len(held) < settings.least_nights or not all(held):
        return None
    return Moved(
        f"{key[0]} {key[1]}", 0.0, float("inf"), settings.least_psi, f"gone: all of {len(held)} nights before had it"
    )


def _level(name: str, nights: Sequence[Observed], settings: DriftSettings) -> Moved | None:
    """How unusual a number is."""
    past = [log(one.levels[name]) for one in nights[:-1] if one.levels.get(name, 0) > 0]
    now = nights[-1].levels[name]
    if len(past) < settings.least_nights or now <= 0:
        return None
    t = _t(log(now), np.array(past))
    usual = float(np.exp(np.median(past)))
    change = abs(now / usual - 1)
    return Moved(
        name,
        min(1.0, 2 * _tail(abs(t), len(past) - 1)),
        change,
        settings.least_change,
        f"{now:,.3g}, usually {usual:,.3g}",
    )


def _pooled(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    out: dict[str, int] = {}
    for part in parts:
        for name, n in part.items():
            out[name] = out.get(name, 0) + n
    return out


def _most(now: Mapping[str, int], before: Mapping[str, int]) -> str:
    """The bin that moved most, in words."""
    a, b = max(sum(now.values()), 1), max(sum(before.values()), 1)
    most = max(sorted({*now, *before}), key=lambda k: abs(now.get(k, 0) / a - before.get(k, 0) / b))
    return f"most of it {most}: {before.get(most, 0) / b:.1%} before, {now.get(most, 0) / a:.1%} now"


def _t(now: float, past: np.ndarray) -> float:
    """Deviation of one more draw; a past without any spread counts as one of a hundredth."""
    return float((now - past.mean()) / (max(float(past.std(ddof=1)), 0.01) * sqrt(1 + 1 / len(past))))


def _beyond_chance(size: float, chance: float, freedom: int) -> float:
    """Chance of an index of this size between two histograms of one distribution; 1 where there is one bin."""
    from scipy.stats import chi2

    return float(chi2.sf(size * freedom / chance, freedom)) if freedom > 0 else 1.0


def _upper(now: float, past: np.ndarray) -> float:
    return _tail(_t(now, past), len(past) - 1)


def _tail(t: float, freedom: int) -> float:
    from scipy.stats import t as student

    return float(student.sf(t, freedom))
