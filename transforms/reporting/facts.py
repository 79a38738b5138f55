"""What the report tells, as plain values: a test can make one by hand, a reader can see what is told.

>>> Night(day=date(2026, 1, 31), warehouse="w").samples
()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from transforms.evaluation.variety import Point
from transforms.gates.check import Check
from transforms.reporting.loop import Believed
from transforms.reporting.settings import CostSettings
from transforms.reporting.verdict import EmptyShelf


@dataclass(frozen=True)
class Job:
    """One job that ran."""

    name: str
    dates: str
    seconds: float
    peak_mb: float
    rows_read: int
    rows_written: int
    megabytes: float
    megabytes_read: float = 0.0
    cpu_seconds: float | None = None
    vcpus: int = 1
    parts: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class TableRows:
    """One table of the night: rows of its inputs, rows made."""

    table: str
    day: date
    rows_in: int | None
    rows: int
    bytes: int
    files: int
    version: str


@dataclass(frozen=True)
class Ledger:
    """One ingest batch: rows = listens + duplicates + rejects."""

    batch: str
    format: str
    files: int
    rows: int
    listens: int
    duplicates: int
    rejects: int
    reasons: dict[str, int]


@dataclass(frozen=True)
class ShelfItem:
    """One track of a sample shelf, as words."""

    position: int
    title: str
    artists: str
    why: str
    source: str
    drawn: str = ""


@dataclass(frozen=True)
class Shelf:
    """One shelf of a sample listener."""

    title: str
    shelf_id: str
    status: str
    status_reason: str
    items: tuple[ShelfItem, ...]
    more: str = ""


@dataclass(frozen=True)
class Sample:
    """A listener whose shelves are shown, and how much they had played."""

    listener_id: str
    about: str
    shelves: tuple[Shelf, ...]


@dataclass(frozen=True)
class Model:
    """A registry entry."""

    name: str
    kind: str
    version: str
    fit_date: str
    metrics: dict[str, float | None]
    remark: str = ""


@dataclass(frozen=True)
class VarietyCurve:
    """Relevance against variety of one shelf, measured on the stored night `night` of `listeners` listeners."""

    title: str
    size: int
    night: date
    listeners: int
    points: Sequence[Point]

    @property
    def against(self) -> str:
        """The measure of variety that the shelf's setting is made for."""
        return "divergence" if any("calibration" in p.setting for p in self.points) else "distance"


@dataclass(frozen=True)
class NightFacts:
    """Everything the page tells; whatever is missing is left out of it.

    `ranker_note`: what the night's order has to say of itself, "" where its ranker was shown to be the better order.
    `removed`: by shelf what each rule kept off it, most first. `quality_note` and `open_slots_note` say why a chapter has no
    numbers; `shelves_note` says what of the shelves was read, where that was not all of them; `plugins` are names and
    versions of the packages that had a hand in it; `empty` shelves and other `remarks` are told in the header; `gallery` is
    where the night's gallery stands beside the page, "" where there is none.
    """

    day: date
    warehouse: str
    evaluation: pl.DataFrame | None = None
    evaluated_days: int | None = None
    ranker_note: str = ""
    quality_note: str = ""
    open_slots_note: str = ""
    checks: Sequence[Check] = ()
    accepted: Sequence[str] = ()
    statuses: dict[str, dict[str, int]] = field(default_factory=dict)
    shelves_note: str = ""
    removed: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    jobs: Sequence[Job] = ()
    tables: Sequence[TableRows] = ()
    batches: Sequence[Ledger] = ()
    samples: Sequence[Sample] = ()
    models: Sequence[Model] = ()
    prices: CostSettings = field(default_factory=CostSettings)
    listeners: int = 0
    plugins: Sequence[str] = ()
    readouts: Sequence[Sequence[str]] = ()
    believed: Believed | None = None
    empty: Sequence[EmptyShelf] = ()
    remarks: Sequence[str] = ()
    gallery: str = ""
    variety: Sequence[VarietyCurve] = ()
