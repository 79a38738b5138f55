"""Where the answers to a night's shelves stand: draws of the night, impressions and feedback after it."""

from __future__ import annotations

from datetime import date, timedelta

from transforms.metrics import policies
from transforms.tables.manifest import Manifest
from transforms.tables.warehouse import Warehouse, days

CARRIED_DAYS = 7  # a weekly shelf keeps the draws of the night that chose it


def responses_to(place: Warehouse, day: date, last: date) -> dict[str, list[Manifest]]:
    """The night's draws, and the impressions and feedback after it: what estimates and experiments read besides.

    `feedback` is there only if the log has any; without it, whether a track was saved cannot be known.
    """

    def of(table: str, first: date, until: date) -> list[Manifest]:
        return [m for d in days(first, until) if (m := place.current(table, d))]

    found = {
        "draws": of("draws", day - timedelta(CARRIED_DAYS - 1), day),
        "impressions": of("impressions", day + timedelta(1), last),
    }
    if place.dates("feedback"):
        found["feedback"] = of("feedback", day + timedelta(1), last)
    return found


def without_estimates(place: Warehouse, day: date, ahead: int) -> str | None:
    """Why a measured night says nothing of its open slots; None where it does."""
    shown = [place.current("impressions", d) for d in days(day + timedelta(1), day + timedelta(ahead))]
    slots = place.read("evaluation", day, ["target"]).filter(target=policies.TARGET).height
    return policies.missing(sum(m.rows for m in shown if m), slots)
