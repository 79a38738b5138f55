"""How newly fitted models are tried locally: a step of `pipelines.nightly`, after the outcomes that it is judged by."""

from __future__ import annotations

from pipelines.recommender.model_trial import due_by
from pipelines.runtime.progress import stage
from pipelines.runtime.schedule import Night
from transforms.tables.as_of import as_of


def try_fits(night: Night) -> None:
    """Try what can be tried as of the fit date; an earlier date's verdict stands as it is."""
    from pipelines.try_models import try_models

    fit, settings = night.fit, night.settings
    stands = fit != night.day and night.warehouse.current("model_trials", fit) is not None
    if stands or due_by(as_of(night.url, fit), settings, night.horizon) is None:
        return
    with stage(f"trial {fit}", makes=True):
        try_models(night.url, fit, settings=settings, horizon=night.horizon, beam_args=night.beam_args)
