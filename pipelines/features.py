"""Job `features`: fold any range of dates into sessions, library, track statistics and co-listens.

listens, open sessions, library, feedback, listeners of a shard -> fold -> sessions, library by date
                                                                        -> partials by track -> sum -> by date
listens, values of listeners' signals                     -> fold of signals -> likewise
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.runtime.jobs import Record, described_only, launch, planned_anew
from transforms.common.errors import UserError
from transforms.listening.beam import define_fold
from transforms.listening.fold import OUTPUTS
from transforms.listening.fold_plan import begin, plan_fold
from transforms.signals.beam import define_signals
from transforms.signals.plan import plan_signals
from transforms.tables.as_of import as_of
from transforms.tables.beam import Commit
from transforms.tables.repair import to_fold_again

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "3"


def features(
    warehouse: str,
    date_from: date,
    date_to: date,
    settings: Settings | None = None,
    beam_args: Sequence[str] = (),
    *,
    outputs: Collection[str] = OUTPUTS,
) -> Record | None:
    """Fold dates, in one job; nothing is done where everything is current.

    What `repair` marked, and the fold would build on, is folded again before: a job for each library, with the catalog
    of its date, so that the version is the one it was. A range that ends with such a date is done with that. One library is
    written, at `date_to` (and again at each earlier date of the range that has one already).

    Args:
        outputs: which of OUTPUTS to make.

    Returns:
        What the job took; None where there was nothing to do.

    Raises:
        UserError: no listens up to `date_to`, or a table is pinned or was committed by another run meanwhile.
    """
    if settings is None:
        from pipelines.runtime.config import Settings as Defaults

        settings = Defaults()
    again = to_fold_again(as_of(warehouse, date_to).warehouse, date_from, date_to)
    if described_only(beam_args) and again not in ([], [date_to]):
        # a graph that is only written cannot wait for another
        raise UserError(
            f"the fold up to {date_to} builds on what is marked to be made again; fold {again[0]} first (template "
            f"`features` with from_date and date {again[0]}), or all with `nightshelf features --from {again[0]} --to {date_to}`"
        )
    record = None
    for day in again:
        record = _fold(warehouse, day, day, settings, beam_args, OUTPUTS) or record
    return record if date_to in again else _fold(warehouse, date_from, date_to, settings, beam_args, outputs)


def _fold(
    warehouse: str, first: date, last: date, settings: Settings, beam_args: Sequence[str], outputs: Collection[str]
) -> Record | None:
    """Fold dates in one job, onto what stands before them; planned anew if listens came in meanwhile."""

    def once() -> Record | None:
        past = as_of(warehouse, last)
        plan = plan_fold(past, first, settings, outputs, STEP)
        signals = plan_signals(past, begin(past, first)[1], settings) if set(outputs) == set(OUTPUTS) else None
        runs = [*(signals.runs if signals else ()), *(plan.runs if plan else ())]  # the library last
        if not runs:
            return None

        def define_both(root: beam.Pipeline) -> None:
            written = (*(define_fold(root, plan) if plan else ()), *(define_signals(root, signals) if signals else ()))
            _ = root | "Done" >> Commit(runs, written | "Written" >> beam.Flatten(), plan.stands if plan else None)

        return launch("features", past.warehouse, define_both, beam_args, runs)

    return planned_anew(once)
