"""Where the answers to a night's shelves stand: draws of the night, impressions and feedback after it."""

from __future__ import annotations

from datetime import date, timedelta

from transforms.metrics import policies
from transforms.tables.as_of import AsOf, Following
from transforms.tables.manifest import Heading
from transforms.tables.warehouse import Warehouse, days


def responses_to(past: AsOf, future: Following) -> dict[str, list[Heading]]:
    """The night's draws, and the impressions and feedback after it: what estimates and experiments read besides.

    `feedback` is there only if the log has any; without it, whether a track was saved cannot be known.
    """
    found = {"draws": past.window("draws", 1), "impressions": future.every("impressions")}
    if past.holds("feedback"):
        found["feedback"] = future.every("feedback")
    return found


def without_estimates(warehouse: Warehouse, day: date, ahead: int) -> str | None:
    """Why a measured night says nothing of its open slots; None where it does."""
    shown = [warehouse.current("impressions", d) for d in days(day + timedelta(1), day + timedelta(ahead))]
    slots = warehouse.read("evaluation", day, ["target"]).filter(target=policies.TARGET).height
    return policies.missing(sum(m.rows for m in shown if m), slots)
