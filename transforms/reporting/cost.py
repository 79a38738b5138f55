"""What a night costs: the seconds that its jobs took, at the price of a machine.

A job holds every vCPU of the machine it runs on for as long as it is at work, idle or not:

    vCPU hours = seconds x vCPUs of the machine it ran on / 3600
    cost       = vCPU hours x price of an hour of the priced machine / its vCPUs

so a price can be asked of another machine than the one that was measured, if its vCPUs are as fast. Storage, requests and
what a service adds to the price of its machines are not in it.

    >>> cost(Usage(seconds=1800, vcpus=4, peak_mb=900), CostSettings(machine_hour=0.2, vcpus=2))
    0.2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transforms.reporting.facts import NightFacts
from transforms.reporting.settings import CostSettings


@dataclass(frozen=True)
class Usage:
    """What a job took."""

    seconds: float
    vcpus: int
    peak_mb: float


@dataclass(frozen=True)
class Row:
    """A line of the report's table, as words. `money` and `money_per_1000` are empty where no price is set."""

    name: str
    vcpu_hours: str
    seconds_per_1000: str
    money: str
    money_per_1000: str
    fits: bool


def vcpu_hours(usage: Usage) -> float:
    """Hours of one vCPU."""
    return usage.seconds * usage.vcpus / 3600


def cost(usage: Usage, settings: CostSettings) -> float | None:
    """What a job cost, in `settings.currency`; None where no price is set."""
    if settings.machine_hour is None:
        return None
    return vcpu_hours(usage) * settings.machine_hour / settings.vcpus


def table(night: NightFacts) -> list[Row]:
    """A line a job, then the sums: of the jobs of the night's own date, and of everything it was made from.

    Args:
        night: its jobs in the order they ran, its listeners, its prices.
    """
    prices = night.prices
    jobs = [(f"{j.name} {j.dates}", Usage(j.seconds, j.vcpus, j.peak_mb)) for j in night.jobs]
    rows = [_row(name, [usage], prices, night.listeners) for name, usage in jobs]
    own = [u for (_, u), j in zip(jobs, night.jobs, strict=True) if j.dates == night.day.isoformat()]
    if own and len(own) < len(jobs):
        rows.append(_row(f"jobs of {night.day} alone", own, prices, night.listeners))
    if jobs:
        rows.append(_row("all of it", [u for _, u in jobs], prices, night.listeners))
    return rows


def _row(name: str, usages: Sequence[Usage], prices: CostSettings, listeners: int) -> Row:
    hours = sum(vcpu_hours(u) for u in usages)
    seconds = sum(u.seconds for u in usages)
    spent = None if prices.machine_hour is None else sum(cost(u, prices) or 0.0 for u in usages)
    return Row(
        name=name,
        vcpu_hours=f"{hours:.4f}",
        seconds_per_1000=f"{1000 * seconds / listeners:.2f}" if listeners else "",
        money=_money(spent, prices.currency),
        money_per_1000=_money(1000 * spent / listeners if spent is not None and listeners else None, prices.currency),
        fits=max((u.peak_mb for u in usages), default=0.0) <= prices.memory_gb * 1024,
    )


def _money(value: float | None, currency: str) -> str:
    return "" if value is None else f"{value:.6f} {currency}" if value < 0.00995 else f"{value:,.4f} {currency}"
