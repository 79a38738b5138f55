"""What a night and its steps are, and which nights and dates are to be made.

A fresh log has no stored nights to train a ranker on, so some are made first, which stop after `candidates`, each with everything
as of its own date. They stand a horizon apart: seven days where people have listened for long, fewer where that would leave
nothing to know them by. A listener with twenty days of plays is another one a week earlier, and has no list three weeks earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from pipelines.recommender.settings import BootstrapSettings
from pipelines.runtime.config import Settings
from transforms.common.errors import UserError
from transforms.tables.warehouse import Warehouse

WINDOW = 90  # dates that tell how much was played lately
MORE = 2  # nights more where they stand closer, since each tells less


@dataclass(frozen=True)
class Night:
    """A night that is being made.

    Attributes:
        fit: learn from other listeners only up to this date.
        horizon: days of the ranker's labels.
        candidates_only: it is made for the first ranker to learn from, and stops after its candidates.
        processes: of this machine, that share what can be shared.
    """

    url: str
    day: date
    fit: date
    settings: Settings
    horizon: int
    beam_args: Sequence[str] = ()
    candidates_only: bool = False
    greedy: bool = False
    accept_gates: bool = False
    processes: int = 1

    @property
    def warehouse(self) -> Warehouse:
        """Where it is made."""
        return Warehouse(self.url)

    def earlier(self, day: date) -> Night:
        """A night of an earlier date for the first ranker: everything as of its own date."""
        learned = bootstrap_settings(self.settings)
        return replace(self, day=day, fit=day, settings=learned, candidates_only=True, greedy=False)


@dataclass(frozen=True)
class Step:
    """One job of a night, as `pipelines.nightly` lists them.

    Attributes:
        job: its module under `pipelines`, and the name of its template.
        reads, makes: tables, as manifests name them.
        start: starts it locally; None = left to a command of its own.
        earlier: a night that is made for the first ranker takes this step too.
    """

    job: str
    reads: tuple[str, ...]
    makes: tuple[str, ...] = ()
    start: Callable[[Night], None] | None = None
    earlier: bool = False

    def begin(self, night: Night) -> None:
        """Start it locally, if it is started so."""
        if self.start is not None:
            self.start(night)


def first_listens(warehouse: Warehouse, day: date) -> date:
    """The first date with listens.

    Raises:
        UserError: there is none up to `day`.
    """
    found = [d for d in warehouse.dates("listens") if d <= day]
    if not found:
        raise UserError(f"no listens up to {day} in the warehouse; bring a log in with `nightshelf ingest`")
    return found[0]


def horizon(warehouse: Warehouse, fit: date, settings: Settings) -> int:
    """Days of listening behind the ranker's labels: as few as hold `bootstrap.share` of what was played lately.

    At most `bootstrap.days_apart`, which is what a log of two months and more gets, and at least two, where the setting allows.
    """
    return _horizon(_plays(warehouse, fit), fit, settings.bootstrap)


def bootstrap_nights(warehouse: Warehouse, fit: date, settings: Settings) -> tuple[list[date], int]:
    """Nights to make before the first ranker, and the days between them.

    None where stored nights whose outcomes have closed by the fit date are there already, or the log is too short. A night is
    worth making where more than half as much was played in its horizon as in the newest one's, and as much as that before it: of
    a log with gaps, those on whose morrow somebody listened.

    Returns:
        the dates to make, in order, and the horizon in days of the labels they give.
    """
    wanted, plays = settings.bootstrap, _plays(warehouse, fit)
    apart = _horizon(plays, fit, wanted)

    def played(first: date, last: date) -> int:
        return sum(rows for day, rows in plays.items() if first <= day <= last)

    newest = played(fit - timedelta(apart - 1), fit)
    earliest = min(plays, default=fit)
    planned: list[date] = []
    day = fit - timedelta(apart)
    most = wanted.nights + (MORE if apart < wanted.days_apart else 0)
    while len(planned) < most and day >= earliest:
        enough = played(day + timedelta(1), day + timedelta(apart)) > newest / 2 and played(earliest, day) >= newest
        if enough:
            planned.insert(0, day)
        day -= timedelta(apart if enough else 1)
    stored = {d for d in warehouse.dates("candidates") if d + timedelta(apart) <= fit}
    if stored and not stored <= set(planned):
        return [], apart
    return [d for d in planned if d not in stored], apart


def _plays(warehouse: Warehouse, fit: date) -> dict[date, int]:
    """Listens by date of the last `WINDOW` dates."""
    first = fit - timedelta(WINDOW - 1)
    found = ((day, warehouse.current("listens", day)) for day in warehouse.dates("listens") if first <= day <= fit)
    return {day: manifest.rows for day, manifest in found if manifest is not None}


def _horizon(plays: dict[date, int], fit: date, wanted: BootstrapSettings) -> int:
    least, held = wanted.share * sum(plays.values()), 0
    for days in range(1, wanted.days_apart + 1):
        held += plays.get(fit - timedelta(days - 1), 0)
        if held >= least and (days > 1 or wanted.days_apart == 1):
            return days
    return wanted.days_apart


def bootstrap_settings(settings: Settings) -> Settings:
    """What such a night's models are fitted by: how sessions go on orders a shelf, and it has none."""
    models = settings.models.model_copy(update={"use_next_in_session": False})
    return settings.model_copy(update={"models": models})


def to_join(
    warehouse: Warehouse, day: date, horizons: Collection[int], also: Collection[date] = ()
) -> dict[date, list[int]]:
    """Dates up to `day` on which outcomes are to be joined, in order, and the horizons to join on each.

    A date that has been joined is joined again only for a horizon of a stored night that it lacks, and then for those it
    holds too. It stays as it is if the night of one of these is no longer stored: what was joined is worth more. Nobody
    can move what is pinned.

    Args:
        also: dates of nights that are not stored yet and will be.
    """
    nights = {*warehouse.dates("candidates"), *also}
    out = {}
    for closed in sorted({n + timedelta(h) for n in nights for h in horizons if n + timedelta(h) <= day}):
        wanted = {h for h in horizons if closed - timedelta(h) in nights}
        joined = warehouse.current("outcomes", closed)
        if joined is not None:
            held = set(joined.settings["horizons"])
            gone = any(closed - timedelta(h) not in nights for h in held)
            if wanted <= held or gone or joined.pinned:
                continue
            wanted |= held
        out[closed] = sorted(wanted)
    return out
