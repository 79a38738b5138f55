"""Which night `nightshelf why-not` asks about, and its answer in lines."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from pipelines.cli.preview import require_made
from pipelines.recommender.champion import made_with
from pipelines.recommender.night import Asked, plan_scoring
from pipelines.recommender.why_not import said, why_not
from transforms.common.errors import UserError
from transforms.tables.as_of import as_of
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings


def answer(warehouse: str, listener: str, track: str, day: date | None, settings: Settings) -> list[str]:
    """What kept the track off.

    Raises:
        UserError: there is no such night, or the night does not know the listener.
    """
    opened = Warehouse(warehouse)
    nights = opened.dates("shelves")
    night = day or (nights[-1] if nights else None)
    manifest = opened.current("shelves", night) if night else None
    if night is None or manifest is None:
        when = f"of {day}" if day else "yet"
        raise UserError(f"there are no shelves {when}; make a night with `nightshelf run --date D`")
    fit = date.fromisoformat(manifest.settings.get("fit_date") or night.isoformat())
    models, greedy = made_with(manifest), bool(manifest.settings.get("greedy"))
    require_made(opened, night, models)
    asked = Asked(fit_date=fit, greedy=greedy, only=(listener,), models_of=models)
    plan = plan_scoring(as_of(warehouse, night), settings, asked, "why-not")
    found = why_not(plan, listener, track) if plan else None
    if found is None:
        raise UserError(f"the night of {night} knows no such listener; expected an id as it came with the log")
    return [f"night of {night}", *said(found)]
