"""A check: a number, what was expected of it, and whether it is. The vocabulary of the gates.

>>> print(within("volume", 40, low=50, unit="listens"))
FAIL volume: 40 listens, expected at least 50
>>> print(skipped("overlap", "no night before"))
SKIP overlap: no night before
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from statistics import median
from typing import Any, Literal

from transforms.common.errors import GateFailed

State = Literal["PASS", "WARN", "FAIL", "SKIP"]


@dataclass(frozen=True)
class Check:
    """One check's result. A WARN says that something moved; it holds nothing back.

    Attributes:
        value: the number that was judged; None where the check was skipped.
        expected: the threshold in words.
        detail: what the number is made of, or why there is none.
        examples: of what is wrong: tracks, shelves, shards, files; never a listener.
    """

    name: str
    state: State
    value: float | None = None
    expected: str = ""
    detail: str = ""
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        wanted = f"expected {self.expected}" if self.expected and self.state != "SKIP" else ""
        shown = f"e.g. {', '.join(self.examples)}" if self.examples else ""
        return f"{self.state} {self.name}: " + ", ".join(part for part in (self.detail, wanted, shown) if part)

    def to_dict(self) -> dict[str, Any]:
        """For a manifest."""
        return {**asdict(self), "examples": list(self.examples)}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Check:
        """Back from a manifest."""
        return cls(**{**raw, "examples": tuple(raw.get("examples", ()))})


def skipped(name: str, why: str) -> Check:
    """A check that cannot be made, and why."""
    return Check(name, "SKIP", detail=why)


def within(
    name: str,
    value: float,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    detail: str = "",
    examples: Sequence[str] = (),
) -> Check:
    """PASS if low <= value <= high. A value that is no number fails.

    Args:
        unit: word after the number; "share" prints a percentage.
        detail: said after the number.
        examples: kept only if it fails.
    """
    good = (low is None or value >= low) and (high is None or value <= high) and not isnan(value)
    limits = [f"at least {_number(low, unit)}"] if low is not None else []
    limits += [f"at most {_number(high, unit)}"] if high is not None else []
    words = f"{_number(value, unit)}{f' {unit}' if unit and unit != 'share' else ''}"
    return Check(
        name,
        "PASS" if good else "FAIL",
        value=None if isnan(value) else float(value),
        expected=" and ".join(limits),
        detail=f"{words} {detail}".strip(),
        examples=() if good else tuple(examples[:3]),
    )


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def worst(checks: Sequence[Check]) -> Check | None:
    """Of checks of one kind (a shelf or a column each) the first that fails, else the first; None of none."""
    return next((c for c in checks if c.state == "FAIL"), checks[0] if checks else None)


def failed(checks: Iterable[Check]) -> list[Check]:
    """Those that fail."""
    return [c for c in checks if c.state == "FAIL"]


def usual(values: Sequence[float], least: int) -> float | None:
    """Their median; None where there are fewer than `least`."""
    return float(median(values)) if len(values) >= least else None


def refuse(what: str, checks: Sequence[Check], remedy: str) -> GateFailed:
    """The error of a failed gate, in one sentence with the numbers.

    Args:
        what: "the night of 2026-01-31".
        remedy: what stands now, and what to do.
    """
    bad = failed(checks)
    which = "; ".join(str(c).removeprefix("FAIL ") for c in bad)
    return GateFailed(f"{what} failed {len(bad)} of {len(checks)} checks ({which}): {remedy}")
