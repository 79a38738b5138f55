"""How stored nights compare: quality, fill, churn, reasons and cost, night after night, as small line charts.

quality   NDCG@50 of the ranker for unheard recordings, where the night was evaluated
fill      personal rows of all rows of shelves
churn     of the items that were chosen anew, those that did not stand there the night before
reasons   untrue reasons of a million
cost      processor seconds of the night's jobs, a thousand listeners

>>> points = [Point(date(2026, 1, n), {"fill": n / 10}) for n in (1, 2, 4)]
>>> trends(points)[0].low, trends(points)[0].high, trends(points)[0].lines
('10.0%', '40.0%', ('0,36 33.33,25.33 100,4',))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from transforms.reporting.charts import number

MEASURES = {  # name -> (title, what it is)
    "quality": ("Quality", "NDCG@50, unheard, ranker"),
    "fill": ("Fill", "personal rows of all rows"),
    "churn": ("Churn", "new among items chosen anew"),
    "reasons": ("Untrue reasons", "of a million"),
    "cost": ("Cost", "processor seconds a thousand listeners"),
}
TOP, BOTTOM, MIDDLE = 4.0, 36.0, 20.0


@dataclass(frozen=True)
class Point:
    """What is known of one night: values by name of MEASURES."""

    night: date
    values: Mapping[str, float]


@dataclass(frozen=True)
class Trend:
    """One measure over the nights.

    Attributes:
        lines: points of polylines in a box of 100 by 40; a night without the value breaks the line.
        rows: night and value as text.
        spoken: what the chart shows, in words.
    """

    title: str
    about: str
    lines: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    low: str
    high: str
    first: str
    last: str
    spoken: str


def trends(points: Sequence[Point]) -> list[Trend]:
    """A trend for each measure that at least two nights have."""
    ordered = sorted(points, key=lambda p: p.night)
    known = (name for name in MEASURES if sum(name in p.values for p in ordered) >= 2)
    return [_trend(name, ordered) for name in known]


def _trend(name: str, points: Sequence[Point]) -> Trend:
    have = [p for p in points if name in p.values]
    values = [p.values[name] for p in have]
    low, high = min(values), max(values)
    start, span = have[0].night, (have[-1].night - have[0].night).days

    def place(point: Point) -> str:
        x = 100.0 * (point.night - start).days / span
        y = MIDDLE if high == low else BOTTOM - (BOTTOM - TOP) * (point.values[name] - low) / (high - low)
        return f"{round(x, 2):g},{round(y, 2):g}"

    lines, line = [], [place(have[0])]
    for before, point in pairwise(have):
        if points.index(point) - points.index(before) > 1:
            lines.append(line)
            line = []
        line.append(place(point))
    lines.append(line)
    title, about = MEASURES[name]
    rows = tuple((str(p.night), _text(name, p.values[name])) for p in have)
    spoken = f"from {rows[0][1]} on {rows[0][0]} to {rows[-1][1]} on {rows[-1][0]}, over {len(rows)} nights"
    drawn = tuple(" ".join(part if len(part) > 1 else [*part, *part]) for part in lines)
    return Trend(title, about, drawn, rows, _text(name, low), _text(name, high), rows[0][0], rows[-1][0], spoken)


def _text(name: str, value: float) -> str:
    if name in ("fill", "churn"):
        return f"{value:.1%}"
    return number(value) if name == "quality" else f"{value:,.0f}"
