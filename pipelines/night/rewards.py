"""How a night's beliefs about long-term rewards are made locally."""

from __future__ import annotations

from pipelines.runtime.progress import stage
from pipelines.runtime.schedule import Night


def believe(night: Night) -> None:
    """What is believed of long-term rewards as of the fit date; an earlier date's stands as it is."""
    from pipelines.beliefs import beliefs

    fit, warehouse = night.fit, night.warehouse
    if night.settings.rewards.days and (fit == night.day or warehouse.current("beliefs", fit) is None):
        with stage(f"beliefs {fit}", makes=True) as at:
            beliefs(night.url, fit, settings=night.settings, beam_args=night.beam_args)
            at.rows(warehouse.need("beliefs", fit).rows)
