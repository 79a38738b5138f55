"""Where a step's time goes: seconds, processor seconds and rows of each of its parts (a model, a source, a stage).

A `Clock` adds up until it is asked; a Beam step hands what it says to counters, so that nothing of it stands in a table.
Processor seconds are those of the whole process meanwhile, its threads included; a part that runs inside another
counts in both. `as_counters` keeps the sum of all that clocks of this process have said, for steps that report to a commit.

    >>> clock = Clock()
    >>> with clock.part("als", rows=3):
    ...     pass
    >>> by_part({f"{TOOK}.{name}": n for name, n in clock.drain().items()})["als"]["rows"], clock.drain()
    (3, {})
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

TOOK = "took"  # namespace of the counters
WHAT = ("microseconds", "cpu_microseconds", "rows")
_TOLD: dict[str, int] = {}


class Clock:
    """Sums by part since the last `drain`."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}

    @contextmanager
    def part(self, name: str, rows: int = 0) -> Iterator[None]:
        """Count the block's time under a name, and the rows that it works on."""
        began, busy = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            sums = self._sums.setdefault(name, [0.0, 0.0, 0.0])
            sums[0] += (time.perf_counter() - began) * 1e6
            sums[1] += (time.process_time() - busy) * 1e6
            sums[2] += rows

    def drain(self) -> dict[str, int]:
        """`<part>.<one of WHAT>` -> number, and start anew."""
        out = {
            f"{name}.{what}": round(n) for name, sums in self._sums.items() for what, n in zip(WHAT, sums, strict=True)
        }
        for name, n in out.items():
            _TOLD[name] = _TOLD.get(name, 0) + n
        self._sums = {}
        return out


def count(sums: Mapping[str, int]) -> None:
    """Add what `drain` gave to counters of the Beam step that is at work."""
    from apache_beam.metrics import Metrics

    for name, n in sums.items():
        Metrics.counter(TOOK, name).inc(n)


def as_counters() -> dict[str, int]:
    """Counters, with their namespace, of everything that clocks of this process have said so far."""
    return {f"{TOOK}.{name}": n for name, n in sorted(_TOLD.items())}


def by_part(counters: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Part -> seconds, cpu_seconds, rows, from counters `took.<part>.<what>`; other counters are passed over."""
    out: dict[str, dict[str, float]] = {}
    for key, n in sorted(counters.items()):
        space, _, rest = key.partition(".")
        name, _, what = rest.rpartition(".")
        if space == TOOK and what in WHAT:
            seconds = what != "rows"
            own = out.setdefault(name, {"seconds": 0.0, "cpu_seconds": 0.0, "rows": 0})
            own[what.replace("microseconds", "seconds")] = n / 1e6 if seconds else n
    return out


def others(counters: Mapping[str, int]) -> dict[str, int]:
    """The counters that `by_part` passes over."""
    return {key: n for key, n in counters.items() if not key.startswith(f"{TOOK}.")}
