"""A night, locally: the jobs in order, each skipped if what it would make is current.

    listens -> features -> models -> (outcomes of earlier nights -> ranker) -> score -> shelves

A fresh log has no stored nights to train a ranker on, so some are made first: three nights seven days apart (a shorter log,
proportionally) that stop after `candidates`, each with everything as of its own date. In production a workflow starts the
same jobs; there is no graph of the night.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta

from pipelines.runtime.check import require_listens
from pipelines.runtime.config import Settings
from pipelines.runtime.progress import stage
from transforms.common.errors import UserError
from transforms.tables.repair import to_fold_again
from transforms.tables.upkeep import states
from transforms.tables.warehouse import Warehouse, days


def night(
    warehouse: str,
    day: date,
    settings: Settings,
    *,
    fit_date: date | None = None,
    shelves: Sequence[str] = (),
    listeners_file: str | None = None,
    pseudonym_key_file: str | None = None,
    greedy: bool = False,
    accept_gates: bool = False,
    beam_args: Sequence[str] = (),
) -> None:
    """Make the night of `day` and whatever is missing before it.

    Args:
        fit_date: learn from other listeners only up to this date; default: the night itself.
        shelves, listeners_file: only a preview of some shelves or listeners, with what stands there.
        pseudonym_key_file: key to the pseudonyms of that file's listeners; default: the environment's.
        greedy: the ranker's order under eligibility rules only.
        accept_gates: commit the night even if a check fails.

    Raises:
        GateFailed: the night failed a check and was not committed; what was current stays so.
        UserError: there is no listening to work on, `fit_date` is later than the night, or a preview of what is not made.
    """
    place = Warehouse(warehouse)
    fit = fit_date or day
    if fit > day:
        raise UserError(f"--fit-date {fit} is later than the night {day}; a night may only learn from its past")
    if shelves and not set(shelves) <= {s.shelf_id for s in settings.shelves.shelves}:
        known = ", ".join(s.shelf_id for s in settings.shelves.shelves)
        raise UserError(f"unknown shelf among {', '.join(shelves)}; the settings have: {known}")
    if shelves or listeners_file:
        from pipelines.runtime.preview import preview

        preview(
            warehouse,
            day,
            fit,
            settings,
            shelves=shelves,
            listeners_file=listeners_file,
            pseudonym_key_file=pseudonym_key_file,
            greedy=greedy,
            beam_args=beam_args,
        )
        return
    first = first_listens(place, day)
    require_listens(place, day, settings.gates, accept_gates)
    earlier, step = bootstrap_nights(place, first, fit, settings)
    for past in earlier:  # only what is missing: a night is made once
        bootstrap_night(warehouse, past, settings, beam_args)
    for wanted in sorted({fit, day}):
        fold_to(warehouse, wanted, settings, beam_args)
        take_out(warehouse, wanted, settings, beam_args)
    join_outcomes(warehouse, day, settings, beam_args, extra_horizon=step)
    if fit == day or place.current("models", fit) is None or is_bootstrap(place, fit):
        _models(warehouse, fit, settings, beam_args)
    if fit == day or place.current("rankers", fit) is None:
        _ranker(warehouse, fit, settings, step, beam_args)
    _score(
        warehouse,
        day,
        fit,
        settings,
        beam_args,
        greedy=greedy,
        accept_gates=accept_gates,
    )


def first_listens(place: Warehouse, day: date) -> date:
    """The first date with listens.

    Raises:
        UserError: there is none up to `day`.
    """
    found = [d for d in place.dates("listens") if d <= day]
    if not found:
        raise UserError(f"no listens up to {day} in the warehouse; bring a log in with `nightshelf ingest`")
    return found[0]


def bootstrap_nights(place: Warehouse, first: date, fit: date, settings: Settings) -> tuple[list[date], int]:
    """Nights to make before the first ranker, and the days between them.

    None where stored nights whose outcomes have closed by the fit date are there already, or the log is too short.

    Returns:
        the dates to make, in order, and the horizon in days of the labels they give.
    """
    wanted = settings.bootstrap
    step = min(wanted.days_apart, (fit - first).days // (wanted.nights + 1))
    if step < 1:
        return [], wanted.days_apart
    stored = [d for d in place.dates("candidates") if d + timedelta(wanted.days_apart) <= fit]
    planned = [fit - timedelta(step * n) for n in range(wanted.nights, 0, -1)]
    if stored and not set(stored) <= set(planned):
        return [], wanted.days_apart
    return [n for n in planned if n not in stored], step


def bootstrap_night(warehouse: str, day: date, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """A night for a ranker to learn from: everything as of its own date, up to the candidates."""
    fold_to(warehouse, day, settings, beam_args)
    take_out(warehouse, day, settings, beam_args)
    _models(warehouse, day, bootstrap_settings(settings), beam_args)
    _score(warehouse, day, day, settings, beam_args, candidates_only=True)


def bootstrap_settings(settings: Settings) -> Settings:
    """What such a night's models are fitted by: how sessions go on orders a shelf, and it has none."""
    models = settings.models.model_copy(update={"use_next_in_session": False})
    return settings.model_copy(update={"models": models})


def is_bootstrap(place: Warehouse, day: date) -> bool:
    """Whether what stands on a date is a night that stopped after its candidates."""
    made = place.current("candidates", day)
    return made is not None and bool(made.settings.get("candidates_only")) and place.current("shelves", day) is None


def fold_to(warehouse: str, day: date, settings: Settings, beam_args: Sequence[str]) -> None:
    """Fold every date up to `day` that no library holds yet, in one job, and before it what `repair` marked."""
    from pipelines.features import features

    place = Warehouse(warehouse)
    newest = place.newest("library", day)
    first = newest.date + timedelta(1) if newest else first_listens(place, day)
    if newest is not None and newest.date == day:
        again = to_fold_again(place, first, day)
        if not again:
            return
        first, day = again[0], again[-1]
    with stage(f"features {first} to {day}") as at:
        features(warehouse, first, day, settings=settings, beam_args=beam_args)
        at.rows(sum(m.rows for d in days(first, day) if (m := place.current("sessions", d))))


def take_out(warehouse: str, day: date, settings: Settings, beam_args: Sequence[str]) -> None:
    """Note which plays feedback has taken out of taste by `day`; nothing where nobody asked for it."""
    from pipelines.exclusions import exclusions

    exclusions(warehouse, day, settings=settings, beam_args=beam_args)


def join_outcomes(
    warehouse: str, day: date, settings: Settings, beam_args: Sequence[str], extra_horizon: int | None = None
) -> None:
    """Outcomes of every stored night whose horizons have closed by `day`; a horizon that was added since is made up."""
    from pipelines.outcomes import outcomes

    place = Warehouse(warehouse)
    horizons = {*settings.outcomes.horizons, *([extra_horizon] if extra_horizon else [])}
    for closed, wanted in to_join(place, day, horizons).items():
        with stage(f"outcomes {closed}") as at:
            outcomes(warehouse, closed, settings=settings, horizons=wanted, beam_args=beam_args)
            at.rows(place.need("outcomes", closed).rows)


def to_join(place: Warehouse, day: date, horizons: Collection[int]) -> dict[date, list[int]]:
    """Dates up to `day` on which outcomes are to be joined, in order, and the horizons to join on each.

    A date that has been joined is joined again only for a horizon of a stored night that it lacks, and then for those it
    holds too. It stays as it is if the night of one of these is no longer stored: what was joined is worth more. Nobody
    can move what is pinned.
    """
    nights = set(place.dates("candidates"))
    out = {}
    for closed in sorted({n + timedelta(h) for n in nights for h in horizons if n + timedelta(h) <= day}):
        wanted = {h for h in horizons if closed - timedelta(h) in nights}
        joined = place.current("outcomes", closed)
        if joined is not None:
            held = set(joined.settings["horizons"])
            gone = any(closed - timedelta(h) not in nights for h in held)
            if wanted <= held or gone or joined.pinned:
                continue
            wanted |= held
        out[closed] = sorted(wanted)
    return out


def _models(warehouse: str, day: date, settings: Settings, beam_args: Sequence[str]) -> None:
    from pipelines.train import train

    with stage(f"models {day}"):
        train(warehouse, day, settings=settings, beam_args=beam_args)


def _ranker(warehouse: str, fit: date, settings: Settings, horizon: int, beam_args: Sequence[str]) -> None:
    from pipelines.train_ranker import train_ranker

    with stage(f"ranker {fit}"):
        train_ranker(warehouse, fit, settings=settings, horizon=horizon, beam_args=beam_args)


def _score(
    warehouse: str,
    day: date,
    fit: date,
    settings: Settings,
    beam_args: Sequence[str],
    *,
    candidates_only: bool = False,
    greedy: bool = False,
    accept_gates: bool = False,
) -> None:
    from pipelines.recommender.night import Asked
    from pipelines.score import score

    with stage(f"score {day}") as at:
        score(
            warehouse,
            day,
            settings=settings,
            asked=Asked(fit, candidates_only=candidates_only, greedy=greedy),
            accept_gates=accept_gates,
            beam_args=beam_args,
        )
        manifest = Warehouse(warehouse).current("candidates", day)
        at.rows(manifest.rows if manifest else 0)


def backfill(warehouse: str, first: date, last: date, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """Remake every night of a range; what is current is skipped, so only what is out of date costs anything.

    Oldest first, since a night learns from the outcomes of those before it. A night that was made for the first ranker
    stops after its candidates again, outcomes are joined again for the horizons they hold, and a night that was scored
    with an earlier `fit_date`, or greedily, is so again.
    """
    from pipelines.features import features

    place = Warehouse(warehouse)
    again = to_fold_again(place, first, last)
    if again:
        with stage(f"features {again[0]} to {again[-1]}"):
            features(warehouse, again[0], again[-1], settings=settings, beam_args=beam_args)
    moved = sorted({s.manifest.date for s in states(place) if s.moved and first <= s.manifest.date <= last})
    upto = place.newest("library", last)  # later dates are folded by their nights, once their log has passed its gate
    if moved and upto is not None and moved[0] <= upto.date:
        with stage(f"features {moved[0]} to {upto.date}"):
            features(warehouse, moved[0], upto.date, settings=settings, beam_args=beam_args)
    for day in days(first, last):
        joined = place.current("outcomes", day)
        if joined is not None:
            from pipelines.outcomes import outcomes

            with stage(f"outcomes {day}"):
                horizons = joined.settings["horizons"]
                outcomes(warehouse, day, settings=settings, horizons=horizons, beam_args=beam_args)
        if is_bootstrap(place, day):
            bootstrap_night(warehouse, day, settings, beam_args)
        else:
            made = place.current("shelves", day)
            asked = made.settings if made else {}
            fit = date.fromisoformat(asked.get("fit_date") or day.isoformat())
            greedy = bool(asked.get("greedy"))
            night(warehouse, day, settings, fit_date=fit, greedy=greedy, beam_args=beam_args)
