"""How each job of a night is started locally; what is current already is skipped.

A step is a function of the night that is being made. `pipelines.nightly` puts them in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from pipelines.recommender.champion import is_bootstrap
from pipelines.recommender.model_trial import due_by
from pipelines.recommender.night import Asked
from pipelines.runtime import logs
from pipelines.runtime.check import require_listens, say_what_moved
from pipelines.runtime.processes import at_once
from pipelines.runtime.progress import stage
from pipelines.runtime.schedule import Night, to_join
from transforms.common.errors import UserError
from transforms.common.processes import within
from transforms.tables.as_of import as_of

MANY = 2_000_000  # candidates of a night whose outcomes several processes join


def check_log(night: Night) -> None:
    """Refuse a log that fails its checks, before its date is folded and closed."""
    require_listens(night.warehouse, night.day, night.settings.gates, night.accept_gates)


def take_out(night: Night) -> None:
    """Note which plays feedback has taken out of taste; nothing where nobody asked for it."""
    from pipelines.exclusions import exclusions

    for day in sorted({night.fit, night.day}):
        exclusions(night.url, day, settings=night.settings, beam_args=night.beam_args)


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


def try_fits(night: Night) -> None:
    """Try newly fitted models as of the fit date, where two fits and a closed night are there; an earlier verdict stands.

    A trial reads models and a night of the past that tonight can do without, so what is wrong with these is said and holds
    nothing back: the verdict before it stands.
    """
    from pipelines.try_models import try_models

    fit, settings = night.fit, night.settings
    stands = fit != night.day and night.warehouse.current("model_trials", fit) is not None
    if stands or due_by(as_of(night.url, fit), settings, night.horizon) is None:
        return
    try:
        with stage(f"trial {fit}", makes=True):
            try_models(night.url, fit, settings=settings, horizon=night.horizon, beam_args=night.beam_args)
    except UserError as error:
        if error.exit_code != UserError.exit_code:  # a fault of the program, or somebody else at work
            raise
        logs.say("WARN", f"WARN models {fit}: they were not tried: {error}", date=fit.isoformat())


def fit_models(night: Night) -> None:
    """Fit the models of the fit date; an earlier date's stand as they are, unless they lack what a whole night needs."""
    from pipelines.train import train

    fit, warehouse = night.fit, night.warehouse
    if fit == night.day or warehouse.current("models", fit) is None or is_bootstrap(warehouse, fit):
        with stage(f"models {fit}", makes=True):
            train(night.url, fit, settings=night.settings, beam_args=night.beam_args)


def fit_ranker(night: Night) -> None:
    """Fit the ranker of the fit date; an earlier date's stands as it is."""
    from pipelines.train_ranker import train_ranker

    if night.fit == night.day or night.warehouse.current("rankers", night.fit) is None:
        with stage(f"ranker {night.fit}", makes=True):
            settings, args = night.settings, night.beam_args
            train_ranker(night.url, night.fit, settings=settings, horizon=night.horizon, beam_args=args)


def score_night(night: Night) -> None:
    """Score every listener."""
    from pipelines.score import score

    asked, accept = Asked(night.fit, night.candidates_only, night.greedy), night.accept_gates
    with stage(f"score {night.day}", makes=True) as at:
        more: dict[str, Any] = {"accept_gates": accept, "processes": spare(night), "beam_args": night.beam_args}
        score(night.url, night.day, settings=night.settings, asked=asked, **more)
        manifest = night.warehouse.current("candidates", night.day)
        at.rows(manifest.rows if manifest else 0)
    say_what_moved(night.warehouse, night.day)


def spare(night: Night) -> int:
    """Processes for one step: its own alone where it is one of several nights' steps at once."""
    return 1 if within() else night.processes
