"""Charts as rows of HTML around small SVGs: they reflow on a phone, follow light and dark, and load nothing.

A row is a label, a strip and a value. The strip is an SVG whose x axis is 0 to 100 per cent of the chart's range and
stretches to any width; strokes do not stretch with it, and a dot is a line of no length with round ends. Colours are
classes, so that the page's style sheet decides them.

    >>> chart = interval_chart([Mark("als", 0.5, 0.4, 0.6)])
    >>> chart.rows[0].low < chart.rows[0].at < chart.rows[0].high
    True
    >>> chart.ticks[0]
    Tick(at=0.0, text='0')
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """A value to draw: its label, the ends of its interval (None = none), a class that colours it, a remark."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    kind: str = "plain"
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A mark placed on the axis; positions are per cent of its length."""

    label: str
    text: str
    span: str
    at: float
    low: float
    high: float
    kind: str
    note: str


@dataclass(frozen=True)
class Tick:
    """A labelled place on the axis, per cent."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """Rows over one axis; `zero` is where 0 lies if it is inside."""

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    zero: float | None


def interval_chart(marks: Sequence[Mark], signed: bool = False) -> Chart:
    """Values with their intervals on one axis that includes 0, in the order given.

    Args:
        signed: values are differences: written with their sign.
    """
    marks = [m for m in marks if math.isfinite(m.value)]
    ends = [0.0, *(e for m in marks for e in (m.value, m.low, m.high) if e is not None and math.isfinite(e))]
    step = nice_step(max(ends) - min(ends))
    first, last = math.floor(min(ends) / step + 1e-9) * step, math.ceil(max(ends) / step - 1e-9) * step
    width = (last - first) or 1.0

    def place(value: float) -> float:
        return round(100.0 * (value - first) / width, 3)

    count = round(width / step)
    rows = []
    for m in marks:
        low, high = (m.value if e is None or not math.isfinite(e) else e for e in (m.low, m.high))
        interval = f"{number(low, signed)} to {number(high, signed)}" if m.low is not None else ""
        text = number(m.value, signed)
        rows.append(Row(m.label, text, interval, place(m.value), place(low), place(high), m.kind, m.note))
    ticks = tuple(Tick(place(first + n * step), short(first + n * step)) for n in range(count + 1))
    return Chart(tuple(rows), ticks, place(0.0) if first < 0 < last else None)


def bar_chart(marks: Sequence[Mark]) -> Chart:
    """Counts or seconds as bars from 0; the row's text is the mark's note."""
    longest = max((m.value for m in marks), default=0.0) or 1.0
    rows = (Row(m.label, m.note, "", round(100.0 * m.value / longest, 3), 0.0, 0.0, m.kind, "") for m in marks)
    return Chart(tuple(rows), (), None)


@dataclass(frozen=True)
class Curve:
    """A line over two axes in the SVG's own units, 320 x 180: its points with their labels, and the ends of both axes as text."""

    line: str
    points: tuple[tuple[float, float, str], ...]
    ends: tuple[str, str, str, str]


def curve_chart(points: Sequence[tuple[float, float, str]]) -> Curve:
    """Points (x, y, label) joined in their order; both axes span what is there.

    >>> curve_chart([(0.0, 1.0, "a"), (1.0, 0.0, "b")]).line
    '30,15 310,155'
    """
    good = [p for p in points if math.isfinite(p[0]) and math.isfinite(p[1])]
    xs, ys = [p[0] for p in good] or [0.0], [p[1] for p in good] or [0.0]
    wide, high = (max(xs) - min(xs)) or 1.0, (max(ys) - min(ys)) or 1.0
    placed = tuple(
        (round(30 + 280 * (x - min(xs)) / wide, 1), round(155 - 140 * (y - min(ys)) / high, 1), label)
        for x, y, label in good
    )
    line = " ".join(f"{x:g},{y:g}" for x, y, _ in placed)
    return Curve(line, placed, (number(min(xs)), number(max(xs)), number(min(ys)), number(max(ys))))


def nice_step(span: float, about: int = 4) -> float:
    """1, 2 or 5 times a power of ten, so that a span has about that many steps.

    >>> nice_step(0.37), nice_step(0), nice_step(12)
    (0.1, 0.25, 5.0)
    """
    if span < 1e-9 or not math.isfinite(span):
        return 1.0 / about
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    return next((m * power for m in (1.0, 2.0, 5.0) if m * power >= raw * (1 - 1e-9)), 10.0 * power)


def number(value: float | None, signed: bool = False) -> str:
    """A metric as text, four significant places below one.

    >>> number(0.08592), number(-0.0012, signed=True), number(12.3456), number(None)
    ('.0859', '−.0012', '12.35', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    size = f"{abs(value):.4f}" if abs(value) < 1 else f"{abs(value):,.2f}"
    size = size[1:] if size.startswith("0.") else size
    mark = "−" if value < 0 and size.strip(".0") else "+" if signed and value > 0 else ""
    return mark + size


def short(value: float) -> str:
    """An axis label: no more places than it needs."""
    text = f"{abs(value):.6f}".rstrip("0").rstrip(".") or "0"
    text = text[1:] if text.startswith("0.") else text
    return f"−{text}" if value < -1e-12 else text


def quantity(value: float) -> str:
    """A count of bytes for people.

    >>> quantity(999), quantity(12_345), quantity(3.2e9)
    ('999 B', '12.3 kB', '3.2 GB')
    """
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(len(units) - 1, int(math.log10(value) // 3)) if value >= 1 else 0
    return f"{value / 1000**power:.1f} {units[power]}" if power else f"{value:.0f} B"
