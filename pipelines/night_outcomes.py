"""How a local night starts the joins of earlier nights with what came after them; what is joined already is skipped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from pipelines.night_steps import spare
from pipelines.runtime.processes import at_once
from pipelines.runtime.progress import stage
from pipelines.runtime.schedule import Night, to_join

MANY = 2_000_000  # candidates of a night whose outcomes several processes join


def join_outcomes(night: Night) -> None:
    """Outcomes of every stored night whose horizons have closed; a horizon that was added since is made up.

    Several dates are joined at once, one of many candidates by several processes.
    """
    horizons = {*night.settings.outcomes.horizons, night.horizon}
    todo = to_join(night.warehouse, night.day, horizons)
    at_once(spare(night) if len(todo) > 1 else 1, [(join_date, (night, *one)) for one in todo.items()])


def join_date(night: Night, closed: date, wanted: Sequence[int]) -> None:
    """Outcomes of the nights whose horizons close on a date."""
    from pipelines.outcomes import outcomes

    with stage(f"outcomes {closed}", makes=True) as at:
        stored = night.warehouse.need("candidates", closed - timedelta(max(wanted)))
        count = spare(night) if stored.rows >= MANY else 1
        settings, args = night.settings, night.beam_args
        outcomes(night.url, closed, settings=settings, horizons=wanted, processes=count, beam_args=args)
        at.rows(night.warehouse.need("outcomes", closed).rows)
