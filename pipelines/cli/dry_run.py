"""`nightshelf run --dry-run`: what a night would make, worked out from what stands, with nothing written and nothing started.

night, warehouse -> a row a stage: whether it would be made and why

Each step plans as it does when it runs, on a warehouse that is only looked at, so that "current" means here what it means
there. What reads a table that an earlier step would make is made after it, whatever it would plan today.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.nightly import NIGHT
from pipelines.runtime.jobs import WouldRun
from pipelines.runtime.night_ahead import Ahead, planned, prepared, seconds_of, stages_ahead
from pipelines.runtime.progress import roughly, silent
from pipelines.runtime.schedule import Night, Step
from transforms.tables.runs import Run
from transforms.tables.warehouse import Warehouse

FIRST, CHANGED = "nothing of it stands yet", "its settings, the program or the log's files have changed"


@dataclass(frozen=True)
class Line:
    """A stage: what would become of it.

    Attributes:
        makes: whether it would make something; else what stands is current.
        why: why it would be made; "" where it would not.
    """

    stage: str
    job: str
    makes: bool
    why: str


def dry_run(night: Night) -> tuple[list[Line], float | None]:
    """What a night would make.

    Args:
        night: of a warehouse that is only looked at (`transforms.tables.store_dry`).

    Returns:
        a line a stage, and about how many seconds they would take; None where this warehouse has no record of such stages.

    Raises:
        GateFailed: the log fails its checks, so that nothing would be begun.
        UserError: there is no listening to work on, or a table is pinned.
    """
    steps = planned(NIGHT, *prepared(night))
    ahead = stages_ahead(steps)
    lines = list(_lines(steps, ahead))
    every = [stage for stages in ahead for stage in stages]
    seconds, own = seconds_of(night.warehouse, every)
    took = sum(s for s, line in zip(seconds, lines, strict=True) if line.makes)
    return lines, took if own else None


def _lines(steps: Sequence[tuple[Night, Step]], ahead: Sequence[Sequence[Ahead]]) -> Iterator[Line]:
    made: dict[str, str] = {}  # table -> the stage that would make it
    for (night, step), stages in zip(steps, ahead, strict=True):
        after = next((made[table] for table in step.reads if table in made), None)
        found = None if after and stages else _asked(night, step)
        for stage in stages:
            why = f"after {after}" if after else _why(night.warehouse, found) if found else ""
            yield Line(stage.name, stage.job, bool(why), why)
        if stages and (after or found):
            made |= dict.fromkeys(step.makes, stages[-1].name)
        elif found:  # a step that shows no stage of its own
            made |= dict.fromkeys(step.makes, step.job)


def _asked(night: Night, step: Step) -> WouldRun | None:
    """What a step would start; None where everything is current."""
    with silent():
        try:
            step.begin(night)
        except WouldRun as found:
            return found
    return None


def _why(warehouse: Warehouse, found: WouldRun) -> str:
    """Why the last of a job's tables is not current."""
    run: Run = found.runs[-1]
    before = warehouse.current(run.table, run.day)
    if before is None:
        return FIRST
    moved = sorted(k for k in {*run.inputs, *before.inputs} if run.inputs.get(k) != before.inputs.get(k))
    return f"moved: {', '.join(moved[:3])}{' and more' if len(moved) > 3 else ''}" if moved else CHANGED


def dry_lines(night: Night, lines: Sequence[Line], seconds: float | None) -> list[str]:
    """`dry_run` for people."""
    makes = sum(line.makes for line in lines)
    long = "" if seconds is None or not makes else f", about {roughly(seconds)} as such stages took before"
    head = f"night {night.day}: {makes} of {len(lines)} stages would be made{long}; nothing is written"
    width = max((len(line.stage) for line in lines), default=0)
    rows = [
        f"  {n:>2}  {line.stage:<{width}}  {f'make: {line.why}' if line.makes else 'current'}"
        for n, line in enumerate(lines, 1)
    ]
    return [head, *rows]


def as_dict(night: Night, lines: Sequence[Line], seconds: float | None) -> dict[str, Any]:
    """`dry_run` for programs."""
    return {"night": str(night.day), "seconds": seconds, "stages": [asdict(line) for line in lines]}
