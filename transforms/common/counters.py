"""Numbers that a step leaves in its job's record beside rows, bytes and seconds."""

from __future__ import annotations

from collections.abc import Mapping


def add(space: str, numbers: Mapping[str, int]) -> None:
    """Add to counters `<space>.<name>` of the Beam step that is at work; they stand under `counters` in `runs/<run_id>.json`."""
    from apache_beam.metrics import Metrics

    for name, n in numbers.items():
        Metrics.counter(space, name).inc(n)
