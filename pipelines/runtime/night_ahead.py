"""Which stages a night has before it, in order, known before the first of them begins; and how long such stages took before.

    prepared(night)           ->  the night, and the dates that are made before it
    planned(NIGHT, *that)     ->  its steps, and theirs
    stages_ahead(steps)       ->  features 2026-01-02 to 2026-01-09, models 2026-01-09, score 2026-01-09, ...

What a stage makes is known only when it begins, so a stage in the list may turn out to be current.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import islice

from pipelines.recommender.champion import is_bootstrap, whole_fits
from pipelines.runtime.schedule import Night, Step, bootstrap_nights, first_listens, to_join
from transforms.common.errors import UserError
from transforms.tables.as_of import as_of
from transforms.tables.records import read_record
from transforms.tables.repair import to_fold_again
from transforms.tables.warehouse import Warehouse, days

LAST_OF = {
    "features": "library",
    "outcomes": "outcomes",
    "train": "models",
    "train_ranker": "rankers",
    "try_models": "model_trials",
    "score": "shelves",
    "beliefs": "beliefs",
    "blend": "blend_shelves",
    "prompt": "playlists",
}


@dataclass(frozen=True)
class Ahead:
    """A stage that is to come.

    Attributes:
        job: of the step it belongs to.
        name: as it is shown when it is at work.
        dates: how many dates it makes.
        earlier: of a night that is made for the first ranker.
    """

    job: str
    name: str
    dates: int = 1
    earlier: bool = False


def prepared(asked: Night) -> tuple[Night, list[date]]:
    """A night with the horizon of its ranker's labels, which follows from what stands, and the dates to be made before it.

    Raises:
        UserError: there is no listening to work on, or the fit date is later than the night.
    """
    if asked.fit > asked.day:
        raise UserError(
            f"--fit-date {asked.fit} is later than the night {asked.day}; a night may only learn from its past"
        )
    first_listens(asked.warehouse, asked.day)
    earlier, apart = bootstrap_nights(asked.warehouse, asked.fit, asked.settings)
    return replace(asked, horizon=apart), earlier


def planned(steps: Sequence[Step], night: Night, earlier: Sequence[date]) -> list[tuple[Night, Step]]:
    """What is started for a night, in order, each step with the night it belongs to: its own, or one that is made before it.

    Several processes take some of these at once; none before what it reads.
    """
    out = []
    for step in steps:
        out.append((night, step))
        if step.job == "check":  # before anything is made
            for past in earlier:  # only what is missing: a night is made once
                out += [(night.earlier(past), one) for one in steps if one.earlier]
    return [(of_night, step) for of_night, step in out if step.start is not None]


def expected(steps: Sequence[tuple[Night, Step]]) -> tuple[list[str], list[float]]:
    """Names of the stages to come, and about how many seconds each takes."""
    ahead = [stage for stages in stages_ahead(steps) for stage in stages]
    return [stage.name for stage in ahead], seconds_of(steps[0][0].warehouse, ahead)[0]


def stages_ahead(steps: Sequence[tuple[Night, Step]]) -> list[list[Ahead]]:
    """For each step the stages it will show; steps that show none have none."""
    seen = _Seen(steps[0][0].warehouse) if steps else None
    return [_STAGES[step.job](night, seen) if seen and step.job in _STAGES else [] for night, step in steps]


class _Seen:
    """A warehouse as it will stand when a stage begins: what stands now, and what earlier stages will have made."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.libraries: set[date] = set(warehouse.dates("library"))
        self.candidates: list[date] = []


def _fold(night: Night, seen: _Seen) -> list[Ahead]:
    out = []
    for day in sorted({night.fit, night.day}):
        before = max((d for d in seen.libraries if d <= day), default=None)
        first = before + timedelta(1) if before else first_listens(seen.warehouse, day)
        last = day
        if before == day:
            again = to_fold_again(seen.warehouse, first, day)
            if not again:
                continue
            first, last = again[0], again[-1]
        seen.libraries.add(last)
        out.append(Ahead("features", f"features {first} to {last}", len(days(first, last)), night.candidates_only))
    return out


def _outcomes(night: Night, seen: _Seen) -> list[Ahead]:
    horizons = {*night.settings.outcomes.horizons, night.horizon}
    closed = to_join(seen.warehouse, night.day, horizons, seen.candidates)
    return [Ahead("outcomes", f"outcomes {day}") for day in closed]


def _trial(night: Night, seen: _Seen) -> list[Ahead]:
    """Where two fits are as old as a whole night that closes; what was tried before is not tried again."""
    closed = night.fit - timedelta(night.horizon)
    whole = [d for d in seen.warehouse.dates("shelves") if d <= closed]
    if not whole or not night.settings.trial.listeners:
        return []
    two = islice(whole_fits(as_of(night.url, night.fit), whole[-1]), 2)
    return [Ahead("try_models", f"trial {night.fit}")] if len(list(two)) == 2 else []


def _models(night: Night, seen: _Seen) -> list[Ahead]:
    stands = seen.warehouse.current("models", night.fit) is not None and not is_bootstrap(seen.warehouse, night.fit)
    if night.fit != night.day and stands:
        return []
    return [Ahead("train", f"models {night.fit}", 1, night.candidates_only)]


def _ranker(night: Night, seen: _Seen) -> list[Ahead]:
    if night.fit != night.day and seen.warehouse.current("rankers", night.fit) is not None:
        return []
    return [Ahead("train_ranker", f"ranker {night.fit}")]


def _score(night: Night, seen: _Seen) -> list[Ahead]:
    seen.candidates.append(night.day)
    return [Ahead("score", f"score {night.day}", 1, night.candidates_only)]


def _prompts(night: Night, seen: _Seen) -> list[Ahead]:
    if seen.warehouse.current("prompts", night.day) is None:
        return []
    return [Ahead("prompt", f"prompts {night.day}")]


def _beliefs(night: Night, seen: _Seen) -> list[Ahead]:
    stands = night.fit != night.day and seen.warehouse.current("beliefs", night.fit) is not None
    return [Ahead("beliefs", f"beliefs {night.fit}")] if night.settings.rewards.days and not stands else []


def _blends(night: Night, seen: _Seen) -> list[Ahead]:
    asked = any(day <= night.day for day in seen.warehouse.dates("blends"))
    return [Ahead("blend", f"blends {night.day}")] if asked else []


_STAGES: dict[str, Callable[[Night, _Seen], list[Ahead]]] = {
    "features": _fold,
    "outcomes": _outcomes,
    "train": _models,
    "train_ranker": _ranker,
    "try_models": _trial,
    "score": _score,
    "beliefs": _beliefs,
    "blend": _blends,
    "prompt": _prompts,
}

# Seconds of each job of `make nightly LISTENERS=200 TRACKS=3000 DAYS=30` on two cores: only their ratios count, and only
# where the warehouse has no record of its own.
TYPICAL = {
    "features": 0.5,
    "outcomes": 2.0,
    "train": 30.0,
    "train_ranker": 20.0,
    "try_models": 20.0,
    "score": 12.0,
    "beliefs": 2.0,
    "blend": 4.0,
    "prompt": 6.0,
}


def seconds_of(warehouse: Warehouse, stages: Sequence[Ahead]) -> tuple[list[float], bool]:
    """How long each stage may take: as the newest of its kind did in this warehouse, else typical seconds.

    Returns:
        seconds by stage, and whether all of them are this warehouse's own.
    """
    known = {job: _of_record(warehouse, job) for job in {stage.job for stage in stages}}
    own = all(known[stage.job] is not None and not stage.earlier for stage in stages)
    return [_seconds(stage, known[stage.job] if own else None) for stage in stages], own


def _seconds(stage: Ahead, recorded: float | None) -> float:
    a_date = TYPICAL[stage.job] if recorded is None else recorded
    return a_date * (stage.dates if stage.job == "features" else 1)


def _of_record(warehouse: Warehouse, job: str) -> float | None:
    """Seconds of the job that made the newest date of its last table; of `features` a date of those it folded."""
    newest = warehouse.newest(LAST_OF[job], date.max)
    record = read_record(warehouse, f"runs/{newest.run_id}.json") if newest else None
    if record is None or record["job"] != job:
        return None
    folded = len(days(date.fromisoformat(record["first_date"]), date.fromisoformat(record["date"])))
    return float(record["seconds"]) / (folded if job == "features" else 1)
