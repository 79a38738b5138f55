"""What reading an experiment as of a date needs: which days of the log, and what a worker is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from transforms.experiments.exposure import Reading
from transforms.experiments.settings import Experiment, ExperimentsSettings
from transforms.experiments.surrogate import Span
from transforms.tables.as_of import AsOf
from transforms.tables.manifest import Heading


def first_read(past: AsOf, one: Experiment, every: ExperimentsSettings, before: int) -> date:
    """The first day of the log that is read."""
    span, habit = span_of(past, one, every, before), one.starts - timedelta(before - 1)
    return habit if span is None or span.since is None else min(habit, span.since)


def reading_of(
    past: AsOf, one: Experiment, every: ExperimentsSettings, before: int, impressions: Sequence[Heading]
) -> Reading:
    """What a worker needs; `impressions` are those of the days since the first experiment started."""
    shown = any(m.date > one.starts for m in impressions)
    dealt = versions(past, one) if shown else ()
    return Reading(one, every, dealt, past.day, before, past.holds("feedback"), span_of(past, one, every, before))


def versions(past: AsOf, one: Experiment) -> tuple[str, ...]:
    """Versions of the shelves of the nights that dealt an experiment's arms."""
    last = min(past.day, one.ends or past.day)
    return tuple(m.version for m in past.between("shelves", one.starts, last))


def span_of(past: AsOf, one: Experiment, every: ExperimentsSettings, before: int) -> Span | None:
    """The days of an experiment's surrogate index; None where none is asked for, or the log is too young to learn one."""
    dates, days = past.dates("listens"), every.surrogate
    if days.horizon is None or not dates:
        return None
    span = Span.of(one.starts, min(dates), days.days, days.horizon, before)
    return span if span.first is not None else None
