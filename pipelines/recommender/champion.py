"""Which models a night is scored with: those of its fit date, unless a newest trial kept earlier ones.

    models_date(past, fit, settings.trial)    the fit date itself, or the champion's

Table `model_trials` holds what two fits of the models were worth on a stored night (`pipelines.recommender.model_trial`). Where
the newer fit, the challenger, was surely worse, the older one, the champion, is kept: later fits of the challenger's recipe (its
settings) are held back too, until a trial of a later closed night says otherwise. A fit by other settings is used at once, and
so is any fit where `trial.listeners` is 0. A verdict holds for the files that were tried: if the champion's date has been fitted
again since, it is void.

    >>> sentence({"kept": 0}) is None
    True
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from hashlib import blake2b
from typing import Any

from pipelines.recommender.settings import TrialSettings
from transforms.common.errors import UserError
from transforms.tables.as_of import AsOf
from transforms.tables.manifest import Heading, canonical, made_from
from transforms.tables.upkeep import input_key
from transforms.tables.warehouse import Warehouse

TABLE, MODELS, RECIPE = "model_trials", "models", "recipe"


def models_date(past: AsOf, fit: date, settings: TrialSettings) -> date:
    """The date of the models that a night with this fit date is scored with."""
    trial = held_back_by(past, fit, settings)
    return fit if trial is None else champion_of(trial)


def held_back_by(past: AsOf, fit: date, settings: TrialSettings) -> Heading | None:
    """The trial for which the models of a fit date give way to the champion's; None = they are used.

    Of trials only those up to the fit date are read: a verdict is learned from listeners, as the models are.
    """
    trial = past.newest(TABLE, before=fit + timedelta(1)) if settings.listeners else None
    if trial is None or not trial.extra.get("kept") or fit <= champion_of(trial):
        return None
    fitted = past.heading(MODELS, fit)
    same = fitted is not None and recipe(fitted) == trial.settings[RECIPE]
    return trial if same and kept_models(past, trial) is not None else None


def kept_models(past: AsOf, trial: Heading) -> Heading | None:
    """The models that a trial kept; None where it kept none, or where they are gone or were fitted again since."""
    if not trial.extra.get("kept"):
        return None
    models = past.heading(MODELS, champion_of(trial))
    return models if models is not None and trial.inputs.get(input_key(models)) == models.version else None


def champion_of(trial: Heading) -> date:
    """Fit date of the older models of a trial."""
    return read_date(trial.extra["champion_fit_date"])


def recipe(models: Heading) -> str:
    """What models were fitted by: a hash of the settings that stand in their manifest."""
    return blake2b(canonical(models.settings).encode(), digest_size=8).hexdigest()


def made_with(night: Heading) -> date:
    """The date of the models that a stored night was made with, as its manifest's inputs name it.

    Raises:
        UserError: it names none.
    """
    found = made_from(night, MODELS)
    if found is None:
        raise UserError(
            f"{night.table} of {night.date} do not name the models they were made with; make that night again with "
            f"`nightshelf run --date {night.date}`"
        )
    return found


def whole_fits(past: AsOf, until: date) -> Iterator[Heading]:
    """Fits of the models up to a date, newest first, without those of nights made for the first ranker."""
    for day in reversed(past.dates(MODELS)):
        if day <= until and not is_bootstrap(past.warehouse, day):
            models = past.heading(MODELS, day)
            if models is not None:
                yield models


def is_bootstrap(warehouse: Warehouse, day: date) -> bool:
    """Whether what stands on a date is a night that stopped after its candidates."""
    made = warehouse.heading("candidates", day)
    return made is not None and bool(made.settings.get("candidates_only")) and warehouse.heading("shelves", day) is None


def number_of(day: date) -> int:
    """A date as a manifest's `extra` holds it: 20260131."""
    return int(day.strftime("%Y%m%d"))


def read_date(number: int) -> date:
    """The date of such a number."""
    return date(number // 10_000, number // 100 % 100, number % 100)


def sentence(extra: Mapping[str, Any]) -> str | None:
    """What a manifest of `model_trials` has to say; None where the newer models are used."""
    if not extra.get("kept"):
        return None
    champion, challenger, night = (
        read_date(extra[name]) for name in ("champion_fit_date", "challenger_fit_date", "night")
    )
    ours, theirs = _shown(extra["challenger_ppm"]), _shown(extra["champion_ppm"])
    gap, low, high = (_shown(extra[f"{name}_ppm"], signed=True) for name in ("difference", "low", "high"))
    return (
        f"the models fitted as of {champion} are kept: on the stored night of {night}, whose outcomes neither had seen, NDCG@50 "
        f"of the sources' blend is {ours} with the models of {challenger}, {theirs} with those kept ({gap}, 95% interval {low} "
        f"to {high}, {extra['listeners']:,} listeners)"
    )


def note_of(warehouse: Warehouse, night: Heading) -> str | None:
    """What a stored night has to say of its models; None where those of its fit date were used."""
    when = made_from(night, TABLE)
    trial = warehouse.heading(TABLE, when) if when else None
    return sentence(trial.extra) if trial else None


def _shown(ppm: int, signed: bool = False) -> str:
    return f"{ppm / 1e6:{'+' if signed else ''}.4f}"
