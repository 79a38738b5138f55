"""A range of nights made again where something moved; what is current is skipped, so only what is out of date costs anything.

Oldest first, since a night learns from the outcomes of those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pipelines.features import features
from pipelines.night.earlier import make_earlier
from pipelines.nightly import NIGHT, night
from pipelines.outcomes import outcomes
from pipelines.recommender.champion import is_bootstrap
from pipelines.runtime.config import Settings
from pipelines.runtime.progress import stage
from pipelines.runtime.schedule import Night, horizon
from transforms.tables.repair import to_fold_again
from transforms.tables.upkeep import states
from transforms.tables.warehouse import Warehouse, days


def backfill(warehouse: str, first: date, last: date, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """Make every night of a range again that is out of date.

    A night that was made for the first ranker stops after its candidates again, outcomes are joined again for the horizons
    they hold, and a night that was scored with an earlier `fit_date`, or greedily, is so again.
    """
    stored = Warehouse(warehouse)
    _fold(stored, first, last, settings, beam_args)
    for day in days(first, last):
        joined = stored.current("outcomes", day)
        if joined is not None:
            with stage(f"outcomes {day}", makes=True):
                horizons = joined.settings["horizons"]
                outcomes(warehouse, day, settings=settings, horizons=horizons, beam_args=beam_args)
        if is_bootstrap(stored, day):
            whole = Night(warehouse, day, day, settings, horizon(stored, day, settings), beam_args)
            make_earlier(NIGHT, [whole.earlier(day)])
        else:
            made = stored.current("shelves", day)
            asked = made.settings if made else {}
            fit = date.fromisoformat(asked.get("fit_date") or day.isoformat())
            greedy = bool(asked.get("greedy"))
            night(warehouse, day, settings, fit_date=fit, greedy=greedy, beam_args=beam_args)


def _fold(stored: Warehouse, first: date, last: date, settings: Settings, beam_args: Sequence[str]) -> None:
    """Fold again what is damaged, then everything from the first date on whose inputs have moved."""
    again = to_fold_again(stored, first, last)
    if again:
        with stage(f"features {again[0]} to {again[-1]}", makes=True):
            features(stored.url, again[0], again[-1], settings=settings, beam_args=beam_args)
    moved = sorted({s.manifest.date for s in states(stored) if s.moved and first <= s.manifest.date <= last})
    upto = stored.newest("library", last)  # later dates are folded by their nights, once their log has passed its gate
    if moved and upto is not None and moved[0] <= upto.date:
        with stage(f"features {moved[0]} to {upto.date}", makes=True):
            features(stored.url, moved[0], upto.date, settings=settings, beam_args=beam_args)
