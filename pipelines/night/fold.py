"""How days are folded locally: a step of `pipelines.nightly`, before anything is learned from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from pipelines.runtime.config import Settings
from pipelines.runtime.progress import stage
from pipelines.runtime.schedule import Night, first_listens
from transforms.tables.repair import to_fold_again
from transforms.tables.warehouse import Warehouse, days


def fold(night: Night) -> None:
    """Fold every date that no library holds yet, up to the fit date, then up to the night."""
    for day in sorted({night.fit, night.day}):
        fold_to(night.url, day, night.settings, night.beam_args)


def fold_to(url: str, day: date, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """Fold every date up to `day` that no library holds yet, in one job, and before it what `repair` marked."""
    from pipelines.features import features

    warehouse = Warehouse(url)
    newest = warehouse.newest("library", day)
    first = newest.date + timedelta(1) if newest else first_listens(warehouse, day)
    if newest is not None and newest.date == day:
        again = to_fold_again(warehouse, first, day)
        if not again:
            return
        first, day = again[0], again[-1]
    with stage(f"features {first} to {day}", makes=True) as at:
        features(url, first, day, settings=settings, beam_args=beam_args)
        at.rows(sum(m.rows for d in days(first, day) if (m := warehouse.current("sessions", d))))
