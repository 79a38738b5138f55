"""How many processes a local job gets, and several jobs of a night at once, each in a process of its own.

The rule: one where the runner is another than the local one, or has a mode of its own, or there are few plays (starting
processes would cost more than they save); else `processes` of the settings; else one a processor, as far as memory goes. It
decides how long a job takes and nothing else: rows and files are the same with any number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from pipelines.runtime.jobs import elsewhere, noted, watched
from transforms.common import processes as of_machine
from transforms.common.memory import available_mb
from transforms.tables.records import Record
from transforms.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from collections import Counter

    from pipelines.runtime.config import Settings

PLAYS = 50_000  # up to a date; fewer are done before other processes have started
EACH_MB = 2_500  # what one that trains or scores holds: TensorFlow, models, a chunk, a block's products
Work = tuple[Callable[..., None], tuple[Any, ...]]


def processes_of(settings: Settings, warehouse: str, day: date, beam_args: Sequence[str] = ()) -> int:
    """The number for jobs of a night, by the rule."""
    if of_machine.within() or elsewhere(beam_args) or any(a.startswith("--direct_") for a in beam_args):
        return 1
    most = settings.processes or min(of_machine.cores(), max(1, available_mb() // EACH_MB))
    return most if most > 1 and _plays(Warehouse(warehouse), day) >= PLAYS else 1


def _plays(warehouse: Warehouse, day: date) -> int:
    """Plays up to a date, counted backwards until there are enough."""
    found = 0
    for at in reversed([d for d in warehouse.dates("listens") if d <= day]):
        manifest = warehouse.current("listens", at)
        found += manifest.rows if manifest else 0
        if found >= PLAYS:
            break
    return found


def at_once(count: int, works: Sequence[Work]) -> None:
    """Do several works, by at most `count` processes side by side; what their jobs took is noted as if they ran here.

    Where one fails the others are ended: what they had committed stays, and the same command goes on from there.

    Raises:
        UserError: as the work that failed first raised it; or a process died.
    """
    if count < 2:
        for work, args in works:
            work(*args)
        return
    from pipelines.runtime import profile

    looking = profile.at_work()
    with of_machine.processes(min(count, len(works))) as pool:
        for asked in [pool.submit(_done, looking is not None, work, args) for work, args in works]:
            records, stacks = asked.result()
            for record in records:
                noted(record)
            if looking is not None:
                looking.stacks.update(stacks)


def _done(
    look: bool, work: Callable[..., None], args: tuple[Any, ...]
) -> tuple[list[Record], Counter[tuple[str, ...]]]:
    """One work, in a process of its own."""
    from pipelines.runtime import logs
    from pipelines.runtime.profile import Sampler

    logs.setup()
    sampler = Sampler()
    with watched() as records:
        if look:
            sampler.start()
        try:
            work(*args)
        finally:
            if look:
                sampler.stop()
    return list(records), sampler.stacks
